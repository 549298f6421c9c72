//! Text encoders, in the names of transformers' CLIP (`...transformer.*`) and of OpenCLIP
//! (`...model.*`), which stores query, key and value as one and the projection transposed.

use super::{Renamed, View, numbered, renamed};

/// Outside of OpenCLIP's layers: (original, transformers).
const OUTSIDE: [(&str, &str); 3] = [
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("token_embedding", "text_model.embeddings.token_embedding"),
    ("ln_final", "text_model.final_layer_norm"),
];

/// In a layer.
const LAYER: [(&str, &str); 5] = [
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
];

/// In the order in which they are stored.
const FUSED: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

/// Transformers' names of an encoder in its own names, with or without `text_model.`.
pub fn clip<'a>(stored: &[&'a str]) -> Vec<Renamed<'a>> {
    let name = |original: &&'a str| {
        let rest = original.strip_prefix("text_model.").unwrap_or(original);
        let known = ["embeddings.", "encoder.layers.", "final_layer_norm."];
        let name = match rest {
            "text_projection.weight" => rest.to_owned(),
            _ if rest.ends_with("position_ids") => return None,
            _ if known.iter().any(|start| rest.starts_with(start)) => format!("text_model.{rest}"),
            _ => return None,
        };
        Some((name, *original, View::Whole))
    };
    stored.iter().filter_map(name).collect()
}

/// Transformers' names of an encoder in OpenCLIP's.
pub fn open_clip<'a>(stored: &[&'a str]) -> Vec<Renamed<'a>> {
    stored.iter().flat_map(|original| open_clip_one(original)).collect()
}

fn open_clip_one(original: &str) -> Vec<Renamed<'_>> {
    let one = |name: String, view| vec![(name, original, view)];
    // A linear layer's weight is stored as it is used, a bare matrix the other way around.
    match original {
        "text_projection" => return one("text_projection.weight".into(), View::Transposed),
        "text_projection.weight" => return one(original.into(), View::Whole),
        _ => {}
    }
    if let Some(name) = renamed(original, &OUTSIDE) {
        return one(name, View::Whole);
    }
    let Some((layer, rest)) = original.strip_prefix("transformer.resblocks.").and_then(numbered)
    else {
        return Vec::new();
    };
    let path = format!("text_model.encoder.layers.{layer}");
    if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
        let third = |(which, name): (usize, &&str)| {
            (format!("{path}.self_attn.{name}.{kind}"), original, View::Third(which))
        };
        return FUSED.iter().enumerate().map(third).collect();
    }
    renamed(rest, &LAYER).map(|rest| one(format!("{path}.{rest}"), View::Whole)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_projections_become_three() {
        let renamed = open_clip(&["transformer.resblocks.3.attn.in_proj_bias"]);
        let layer = "text_model.encoder.layers.3.self_attn";
        let expected = FUSED.iter().enumerate().map(|(which, name)| {
            (format!("{layer}.{name}.bias"), renamed[0].1, View::Third(which))
        });
        assert_eq!(renamed, expected.collect::<Vec<_>>());
    }

    #[test]
    fn both_ways_to_store_a_projection() {
        let views =
            |name| open_clip(&[name]).into_iter().map(|(.., view)| view).collect::<Vec<_>>();
        assert_eq!(views("text_projection"), [View::Transposed]);
        assert_eq!(views("text_projection.weight"), [View::Whole]);
        assert!(views("logit_scale").is_empty() && views("attn_mask").is_empty());
    }

    #[test]
    fn the_text_prefix_comes_and_goes() {
        for stored in
            ["embeddings.token_embedding.weight", "text_model.embeddings.token_embedding.weight"]
        {
            assert_eq!(clip(&[stored])[0].0, "text_model.embeddings.token_embedding.weight");
        }
        assert!(clip(&["text_model.embeddings.position_ids", "logit_scale"]).is_empty());
        let name = "transformer.resblocks.0.mlp.c_proj.weight";
        assert_eq!(open_clip(&[name])[0].0, "text_model.encoder.layers.0.mlp.fc2.weight");
    }
}
