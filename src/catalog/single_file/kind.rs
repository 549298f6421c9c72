//! What kind of file it is, and which family: from names and shapes.

use super::parts::Parts;
use crate::catalog::{
    Family, Kind,
    header::Header,
    kind::{OTHERS, UNKNOWN},
};

/// Parts of names of adapters.
const OF_LORAS: [&str; 6] =
    ["lora_up.", "lora_down.", ".lora_A.", "lora.up.", "lora.down.", "hada_w1"];

/// Of those, parts of names of the half that meets the input.
const OF_LORAS_DOWN: [&str; 3] = ["lora_down.", ".lora_A.", "lora.down."];

/// Names of textual inversions.
const OF_EMBEDDINGS: [&str; 6] =
    ["emb_params", "clip_l", "clip_g", "text_encoders_0", "text_encoders_1", "string_to_param"];

pub fn kind(header: &Header, parts: &Parts) -> Kind {
    let names = || header.tensors.keys();
    if names().any(|name| OF_LORAS.iter().any(|part| name.contains(part))) {
        return Kind::Lora(family_of_lora(header));
    }
    if let Some((_, what)) = OTHERS.iter().find(|(part, _)| names().any(|name| name.contains(part)))
    {
        return Kind::Other(what);
    }
    if parts.controlnet.has("controlnet_mid_block") {
        return Kind::ControlNet(family_of(&parts.controlnet, parts));
    }
    if parts.unet.has("conv_out") && parts.unet.has("up_blocks") {
        return Kind::Model(family_of(&parts.unet, parts));
    }
    let vae = &parts.autoencoder;
    if vae.has("encoder.mid_block") && vae.has("decoder.mid_block") {
        return Kind::Autoencoder;
    }
    if is_embedding(header) {
        return Kind::Embedding(family_of_embedding(header));
    }
    let any_below = |path: &str| names().any(|name| name.starts_with(path));
    if any_below("mask_decoder.") && any_below("image_encoder.") {
        return Kind::Segmentation;
    }
    if names().any(|name| name.ends_with("decoder.layers.0.weight") || name == "1.weight") {
        return Kind::TinyAutoencoder;
    }
    Kind::Other(UNKNOWN)
}

/// By the U-Net alone, where the text encoders do not tell.
fn family_of(unet: &super::parts::Component, parts: &Parts) -> Family {
    let context = unet
        .names()
        .find(|name| name.ends_with("attn2.to_k.weight"))
        .and_then(|name| unet.side(name, 1));
    let linear = unet
        .names()
        .find(|name| name.ends_with("proj_in.weight"))
        .and_then(|name| unet.shape(name))
        .is_some_and(|shape| shape.len() == 2);
    if unet.has("add_embedding") {
        // The refiner reads the second encoder's text only.
        let second = parts.text_2.side("text_model.final_layer_norm.weight", 0).unwrap_or(1280);
        let refines = parts.text.is_empty() && context == Some(second);
        return if refines { Family::StableDiffusionXlRefiner } else { Family::StableDiffusionXl };
    }
    if linear || context == Some(1024) {
        Family::StableDiffusion2
    } else {
        Family::StableDiffusion1
    }
}

/// Vectors under a known name or in angle brackets, or one tensor as wide as a text encoder.
fn is_embedding(header: &Header) -> bool {
    let is_named = |name: &String| OF_EMBEDDINGS.contains(&name.as_str()) || name.starts_with('<');
    let few = header.tensors.len() <= 4;
    let mut tensors = header.tensors.values();
    let alone = match (tensors.next(), tensors.next()) {
        (Some(tensor), None) => {
            matches!(tensor.shape[..], [768 | 1024 | 1280] | [_, 768 | 1024 | 1280])
        }
        _ => false,
    };
    alone || few && header.tensors.keys().any(is_named)
}

fn family_of_embedding(header: &Header) -> Option<Family> {
    if ["clip_g", "text_encoders_1"].iter().any(|name| header.tensors.contains_key(*name)) {
        return Some(Family::StableDiffusionXl);
    }
    family_of_width(*header.tensors.values().next()?.shape.last()?)
}

/// By what the trainer noted, or by the width of the prompts that its matrices read.
fn family_of_lora(header: &Header) -> Option<Family> {
    if header.metadata.get("ss_base_model_version").is_some_and(|noted| noted.contains("sdxl")) {
        return Some(Family::StableDiffusionXl);
    }
    let meets_the_prompt = |name: &str| {
        let keys = name.contains("attn2.to_k") || name.contains("attn2_to_k");
        keys && OF_LORAS_DOWN.iter().any(|mark| name.contains(mark))
    };
    let found = header.tensors.iter().find(|(name, _)| meets_the_prompt(name))?;
    family_of_width(*found.1.shape.get(1)?)
}

/// By the width of prompts.
fn family_of_width(width: usize) -> Option<Family> {
    match width {
        768 => Some(Family::StableDiffusion1),
        1024 => Some(Family::StableDiffusion2),
        1280 => Some(Family::StableDiffusionXlRefiner),
        2048 => Some(Family::StableDiffusionXl),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use safetensors::Dtype;

    use super::*;
    use crate::catalog::header::Entry;

    /// What a file of these tensors is.
    fn of(tensors: &[(&str, &[usize])]) -> Kind {
        let entry = |(name, shape): &(&str, &[usize])| {
            let entry = Entry { dtype: Dtype::F16, shape: shape.to_vec(), begin: 0, end: 0 };
            ((*name).to_owned(), entry)
        };
        let header = Header::of_tensors(tensors.iter().map(entry).collect::<BTreeMap<_, _>>());
        kind(&header, &Parts::of(&header))
    }

    /// A U-Net with these tensors besides; its attention reads texts of this width.
    fn model(prefix: &str, width: usize, linear: bool, besides: &[(&str, &[usize])]) -> Kind {
        let attention = |end: &str| format!("{prefix}output_blocks.0.1.{end}");
        let out = format!("{prefix}out.2.weight");
        let (text, input) =
            (attention("transformer_blocks.0.attn2.to_k.weight"), attention("proj_in.weight"));
        let projection: &[usize] = if linear { &[64, 64] } else { &[64, 64, 1, 1] };
        let text_shape = [64, width];
        let own: [(&str, &[usize]); 3] =
            [(&out, &[4, 64, 3, 3]), (&text, &text_shape), (&input, projection)];
        of(&[&own, besides].concat())
    }

    #[test]
    fn families_are_told_apart_by_names_and_shapes() {
        const IN_A_MODEL: &str = "model.diffusion_model.";
        let label: (&str, &[usize]) = ("model.diffusion_model.label_emb.0.0.weight", &[64, 2816]);
        let second = "conditioner.embedders.0.model.ln_final.weight";
        for (found, right) in [
            (model(IN_A_MODEL, 768, false, &[]), Family::StableDiffusion1),
            (model("", 768, false, &[]), Family::StableDiffusion1),
            (model("state_dict.model.diffusion_model.", 768, false, &[]), Family::StableDiffusion1),
            (model(IN_A_MODEL, 1024, true, &[]), Family::StableDiffusion2),
            (model(IN_A_MODEL, 2048, true, &[label]), Family::StableDiffusionXl),
            (model(IN_A_MODEL, 1280, true, &[label]), Family::StableDiffusionXlRefiner),
            (
                model(IN_A_MODEL, 64, true, &[label, (second, &[64])]),
                Family::StableDiffusionXlRefiner,
            ),
        ] {
            assert_eq!(found, Kind::Model(right));
        }
        let control: (&str, &[usize]) = ("control_model.middle_block_out.0.bias", &[64]);
        assert!(matches!(model("control_model.", 768, false, &[control]), Kind::ControlNet(_)));
    }

    #[test]
    fn other_files_are_named() {
        let autoencoder: [(&str, &[usize]); 2] =
            [("encoder.mid.block_1.norm1.bias", &[4]), ("decoder.mid.block_1.norm1.bias", &[4])];
        assert_eq!(of(&autoencoder), Kind::Autoencoder);
        for (name, right) in [
            ("lora_unet_mid_block.lora_up.weight", Kind::Lora(None)),
            ("emb_params", Kind::Embedding(None)),
            ("clip_g", Kind::Embedding(Some(Family::StableDiffusionXl))),
            ("text_encoders_0", Kind::Embedding(None)),
        ] {
            assert_eq!(of(&[(name, &[4, 4])]), right);
        }
        for (name, what) in [
            ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
            ("double_blocks.0.img_attn.norm.key_norm.scale", "FLUX"),
            ("edm_mean", "EDM"),
            ("lllite_unet_input_blocks_4_1.conditioning1.0.bias", "LLLite"),
            ("control_add_embedding.linear_1.bias", "Union"),
            ("something.else", "without any model"),
        ] {
            let kind = of(&[(name, &[4])]);
            assert!(matches!(kind, Kind::Other(_)) && kind.name().contains(what), "{name}");
        }
    }
    #[test]
    fn what_goes_with_a_family_is_known_by_the_width_of_its_prompts() {
        let keys = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k";
        for name in [
            format!("lora_unet_{}.lora_down.weight", keys.replace('.', "_")),
            format!("unet.{keys}.lora_A.weight"),
            format!("unet.{keys}.lora.down.weight"),
        ] {
            let sd1 = Kind::Lora(Some(Family::StableDiffusion1));
            assert_eq!(of(&[(&name, &[4, 768])]), sd1, "{name}");
        }
        let sd2 = Kind::Embedding(Some(Family::StableDiffusion2));
        assert_eq!(of(&[("a word of one's own", &[8, 1024])]), sd2);
        let segmentation: [(&str, &[usize]); 2] =
            [("mask_decoder.x", &[1]), ("image_encoder.x", &[1])];
        assert_eq!(of(&segmentation), Kind::Segmentation);
    }
}
