//! The scale that a file gives to each of its layers.
//!
//! Kohya's trainers store an alpha beside each layer's matrices, and mean alpha / rank; without one
//! they mean 1. PEFT writes its configuration into the file's header.

use super::{keys::Part, peft::PeftConfig};

/// How alphas that lie beside their layers are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaRule {
    /// A layer's own, as those who trained it mean it.
    Own,
    /// As diffusers 0.42 does: where it cannot tell which layer an alpha belongs to (attention, and
    /// all of the first text encoder), the most common alpha of the network. It also loses a text
    /// encoder's attention if a kohya file has none of its output projections (those are what it
    /// tells the naming by), and the layers of [`LOST`].
    Reference,
}

/// Layers of a U-Net that diffusers does not find by their own names with underscores (its
/// `_convert_unet_lora_key`). By the names of the original code it finds them.
const LOST: [&str; 3] =
    ["add_embedding_linear_1", "add_embedding_linear_2", "time_embedding_cond_proj"];

/// What the scale of a layer follows from.
pub struct LayerScale<'a> {
    pub part: Part,
    /// The module's path.
    pub path: &'a str,
    pub rank: usize,
    pub alpha: Option<f64>,
    /// What the file calls it, if it does as kohya's trainers do.
    pub kohya: Option<&'a str>,
}

/// The scales of all layers of a file, which come in the file's order.
pub fn scales(layers: &[LayerScale<'_>], config: Option<&PeftConfig>, rule: AlphaRule) -> Vec<f64> {
    let parts = [Part::Unet, Part::TextEncoder, Part::TextEncoder2];
    let common = parts.map(|part| most_common(layers, part));
    let scale = |layer: &LayerScale<'_>| {
        if rule == AlphaRule::Reference && is_lost(layer, layers) {
            return 0.0;
        }
        if let Some(scale) = config.and_then(|config| config.scale(layer)) {
            return scale;
        }
        let rank = layer.rank as f64;
        let common = common[layer.part as usize];
        let alpha = match rule {
            AlphaRule::Own => layer.alpha,
            AlphaRule::Reference if keeps_its_own(layer) => layer.alpha.or(common),
            AlphaRule::Reference => common,
        };
        alpha.map_or(1.0, |alpha| alpha / rank)
    };
    layers.iter().map(scale).collect()
}

/// Of equally common ones the first.
fn most_common(layers: &[LayerScale<'_>], part: Part) -> Option<f64> {
    let alphas = layers.iter().filter(|layer| layer.part == part).filter_map(|layer| layer.alpha);
    let mut counts: Vec<(f64, usize)> = Vec::new();
    for alpha in alphas {
        match counts.iter_mut().find(|(known, _)| *known == alpha) {
            Some((_, count)) => *count += 1,
            None => counts.push((alpha, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.iter().find(|(_, count)| *count == most).map(|(alpha, _)| *alpha)
}

/// Whether the reference does not recognise this layer's names.
fn is_lost(layer: &LayerScale<'_>, layers: &[LayerScale<'_>]) -> bool {
    let Some(name) = layer.kohya else { return false };
    if layer.part == Part::Unet {
        return LOST.contains(&name);
    }
    let attends = |layer: &LayerScale<'_>| layer.path.contains("self_attn");
    let mut same = layers.iter().filter(|other| other.part == layer.part);
    attends(layer)
        && same.clone().any(|other| !attends(other))
        && !same.any(|other| other.path.ends_with("out_proj"))
}

/// Whether the reference finds this layer's own alpha.
fn keeps_its_own(layer: &LayerScale<'_>) -> bool {
    match layer.part {
        Part::Unet => {
            let ends = [".to_q", ".to_k", ".to_v", ".to_out.0"];
            !ends.iter().any(|end| layer.path.ends_with(end))
        }
        Part::TextEncoder => false,
        Part::TextEncoder2 => !layer.path.contains("self_attn"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str, rank: usize, alpha: Option<f64>) -> LayerScale<'_> {
        LayerScale { part: Part::Unet, path, rank, alpha, kohya: Some(path) }
    }

    #[test]
    fn an_alpha_over_the_rank_or_one() {
        let layers = [layer("a.to_q", 4, Some(2.0)), layer("b.to_q", 8, None)];
        assert_eq!(scales(&layers, None, AlphaRule::Own), [0.5, 1.0]);
    }

    #[test]
    fn the_reference_mixes_up_attention() {
        let layers = [
            layer("a.to_q", 4, Some(2.0)),
            layer("b.to_q", 4, Some(1.0)),
            layer("c.conv1", 4, Some(1.0)),
            layer("d.conv1", 4, None),
            LayerScale { part: Part::TextEncoder, ..layer("e.fc1", 4, Some(3.0)) },
        ];
        assert_eq!(scales(&layers, None, AlphaRule::Own), [0.5, 0.25, 0.25, 1.0, 0.75]);
        assert_eq!(scales(&layers, None, AlphaRule::Reference), [0.25, 0.25, 0.25, 0.25, 0.75]);
    }

    #[test]
    fn the_reference_does_not_find_some_layers() {
        let path = "add_embedding.linear_1";
        for (name, expected) in [("add_embedding_linear_1", 0.0), ("label_emb_0_0", 0.5)] {
            let layers = [LayerScale { kohya: Some(name), ..layer(path, 2, Some(1.0)) }];
            assert_eq!(scales(&layers, None, AlphaRule::Own), [0.5]);
            assert_eq!(scales(&layers, None, AlphaRule::Reference), [expected]);
        }
    }

    #[test]
    fn the_reference_loses_attention_without_output_projections() {
        let text = |path| LayerScale { part: Part::TextEncoder, ..layer(path, 2, Some(1.0)) };
        let layers = [text("0.self_attn.q_proj"), text("0.mlp.fc1")];
        assert_eq!(scales(&layers, None, AlphaRule::Own), [0.5, 0.5]);
        assert_eq!(scales(&layers, None, AlphaRule::Reference), [0.0, 0.5]);
        let layers = [text("0.self_attn.q_proj"), text("0.self_attn.out_proj"), text("0.mlp.fc1")];
        assert_eq!(scales(&layers, None, AlphaRule::Reference), [0.5, 0.5, 0.5]);
    }
}
