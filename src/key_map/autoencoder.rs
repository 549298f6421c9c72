//! Autoencoders. The original numbers the decoder's levels by their resolution, diffusers in the
//! order in which they run.

use std::collections::BTreeSet;

use super::{Renamed, View, numbered, renamed};

/// Of encoder or decoder, outside of the levels: (original, diffusers).
const OUTSIDE: [(&str, &str); 6] = [
    ("conv_in", "conv_in"),
    ("norm_out", "conv_norm_out"),
    ("conv_out", "conv_out"),
    ("mid.block_1", "mid_block.resnets.0"),
    ("mid.block_2", "mid_block.resnets.1"),
    ("mid.attn_1", "mid_block.attentions.0"),
];

/// In the attention of the middle. What is a 1x1 convolution there, is a linear layer here.
const ATTENTION: [(&str, &str); 5] =
    [("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")];

/// Diffusers' names of an autoencoder's tensors, whose names here have no prefix. What belongs to
/// none is left out. A file in diffusers' own names stays as it is.
pub fn names<'a>(stored: &[&'a str]) -> Vec<Renamed<'a>> {
    let up: BTreeSet<usize> = stored
        .iter()
        .filter_map(|name| Some(numbered(name.strip_prefix("decoder.up.")?)?.0))
        .collect();
    let name = |original: &&'a str| Some((renamed_one(original, &up)?, *original, View::Whole));
    stored.iter().filter_map(name).collect()
}

fn renamed_one(original: &str, up: &BTreeSet<usize>) -> Option<String> {
    let (half, rest) = original.split_once('.')?;
    if matches!(half, "quant_conv" | "post_quant_conv") {
        return Some(original.to_owned());
    }
    if !matches!(half, "encoder" | "decoder") {
        return None;
    }
    let part = rest.split('.').next().unwrap_or_default();
    let rest = match part {
        "down" => level(rest.strip_prefix("down.")?, "down_blocks", |level| level)?,
        "up" => {
            level(rest.strip_prefix("up.")?, "up_blocks", |level| up.range(level + 1..).count())?
        }
        "down_blocks" | "mid_block" | "up_blocks" | "conv_norm_out" => rest.to_owned(),
        _ => outside(rest)?,
    };
    Some(format!("{half}.{rest}"))
}

fn level(path: &str, blocks: &str, place: impl Fn(usize) -> usize) -> Option<String> {
    let (number, rest) = numbered(path)?;
    let resampling = [("downsample", "downsamplers.0"), ("upsample", "upsamplers.0")];
    let inside = match rest.strip_prefix("block.") {
        Some(block) => {
            let (index, rest) = numbered(block)?;
            format!("resnets.{index}.{}", resnet(rest))
        }
        None => renamed(rest, &resampling)?,
    };
    Some(format!("{blocks}.{}.{inside}", place(number)))
}

fn outside(rest: &str) -> Option<String> {
    let attention = rest.strip_prefix("mid.attn_1.").map(|rest| renamed(rest, &ATTENTION));
    match attention {
        Some(inside) => Some(format!("mid_block.attentions.0.{}", inside?)),
        None => renamed(rest, &OUTSIDE).map(|name| resnet(&name)),
    }
}

fn resnet(rest: &str) -> String {
    rest.replace("nin_shortcut.", "conv_shortcut.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoders_levels_run_the_other_way() {
        let stored = [
            "encoder.down.1.block.0.nin_shortcut.weight",
            "encoder.down.0.downsample.conv.bias",
            "decoder.up.0.block.2.norm1.weight",
            "decoder.up.2.upsample.conv.weight",
            "decoder.up.1.block.0.conv1.bias",
            "decoder.mid.attn_1.proj_out.weight",
            "decoder.mid.block_2.conv2.weight",
            "encoder.norm_out.bias",
            "post_quant_conv.weight",
            "loss.logvar",
        ];
        let names: Vec<String> = names(&stored).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(
            names,
            [
                "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
                "encoder.down_blocks.0.downsamplers.0.conv.bias",
                "decoder.up_blocks.2.resnets.2.norm1.weight",
                "decoder.up_blocks.0.upsamplers.0.conv.weight",
                "decoder.up_blocks.1.resnets.0.conv1.bias",
                "decoder.mid_block.attentions.0.to_out.0.weight",
                "decoder.mid_block.resnets.1.conv2.weight",
                "encoder.conv_norm_out.bias",
                "post_quant_conv.weight",
            ]
        );
    }
}
