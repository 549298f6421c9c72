//! ControlNets: a U-Net's way down and middle, a small encoder of the conditioning picture, and a
//! convolution for each connection.

use super::{Renamed, View, numbered, unet::Levels};

/// Diffusers' names of a ControlNet's tensors, whose names here have no prefix.
pub fn names<'a>(stored: &[&'a str]) -> Vec<Renamed<'a>> {
    let levels = Levels::of(stored);
    let last = stored.iter().filter_map(|name| hint(name)).map(|(layer, _)| layer).max();
    let name = |original: &&'a str| {
        let own = own_name(original, last.unwrap_or(0));
        Some((own.or_else(|| levels.name(original))?, *original, View::Whole))
    };
    stored.iter().filter_map(name).collect()
}

fn hint(name: &str) -> Option<(usize, &str)> {
    numbered(name.strip_prefix("input_hint_block.")?)
}

/// Of what U-Nets have not. Every second layer of the small encoder is an activation.
fn own_name(original: &str, last_hint: usize) -> Option<String> {
    if let Some((layer, rest)) = hint(original) {
        let name = match layer {
            0 => "conv_in".to_owned(),
            layer if layer == last_hint => "conv_out".to_owned(),
            layer => format!("blocks.{}", layer / 2 - 1),
        };
        return Some(format!("controlnet_cond_embedding.{name}.{rest}"));
    }
    if let Some(rest) = original.strip_prefix("middle_block_out.0.") {
        return Some(format!("controlnet_mid_block.{rest}"));
    }
    if let Some(rest) = original.strip_prefix("zero_convs.") {
        let (connection, rest) = numbered(rest)?;
        return Some(format!("controlnet_down_blocks.{connection}.{}", rest.strip_prefix("0.")?));
    }
    original.starts_with("controlnet_").then(|| original.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_controlnet_has_besides() {
        let stored = [
            "input_hint_block.0.weight",
            "input_hint_block.2.weight",
            "input_hint_block.14.bias",
            "zero_convs.11.0.weight",
            "middle_block_out.0.bias",
            "input_blocks.3.0.op.weight",
        ];
        let names: Vec<String> = names(&stored).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(
            names,
            [
                "controlnet_cond_embedding.conv_in.weight",
                "controlnet_cond_embedding.blocks.0.weight",
                "controlnet_cond_embedding.conv_out.bias",
                "controlnet_down_blocks.11.weight",
                "controlnet_mid_block.bias",
                "down_blocks.0.downsamplers.0.conv.weight",
            ]
        );
    }
}
