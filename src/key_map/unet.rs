//! U-Nets. In the original, what goes in and out at one resolution are numbered blocks, and so are
//! the things in a block; a block that changes the resolution ends a level.

use std::collections::BTreeSet;

use super::{Renamed, View, numbered, renamed};

/// Outside of the blocks: (original, diffusers).
pub const OUTSIDE: [(&str, &str); 8] = [
    ("input_blocks.0.0", "conv_in"),
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("time_embed.cond_proj", "time_embedding.cond_proj"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
];

/// In a residual block: (original, diffusers).
pub const RESNET: [(&str, &str); 6] = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

/// Diffusers' names of a U-Net's tensors, whose names here have no prefix. What belongs to no
/// U-Net is left out. A file in diffusers' own names stays as it is.
pub fn names<'a>(stored: &[&'a str]) -> Vec<Renamed<'a>> {
    let levels = Levels::of(stored);
    let name = |original: &&'a str| Some((levels.name(original)?, *original, View::Whole));
    stored.iter().filter_map(name).collect()
}

/// Which blocks end a level.
pub(super) struct Levels {
    down: BTreeSet<usize>,
    up: BTreeSet<usize>,
}

impl Levels {
    pub fn of(stored: &[&str]) -> Self {
        let ends = |stem: &str, end: &str| {
            let block = |name: &&str| {
                let (block, rest) = numbered(name.strip_prefix(stem)?)?;
                let (_, rest) = numbered(rest)?;
                rest.starts_with(end).then_some(block)
            };
            stored.iter().filter_map(block).collect()
        };
        Self { down: ends("input_blocks.", "op."), up: ends("output_blocks.", "conv.") }
    }

    pub fn name(&self, original: &str) -> Option<String> {
        if let Some(name) = renamed(original, &OUTSIDE) {
            return Some(name);
        }
        let (stem, rest) = original.split_once('.')?;
        match stem {
            "input_blocks" => self.down(rest),
            "middle_block" => middle(rest),
            "output_blocks" => self.up(rest),
            "conv_in" | "conv_norm_out" | "conv_out" | "time_embedding" | "add_embedding"
            | "down_blocks" | "mid_block" | "up_blocks" => Some(original.to_owned()),
            _ => None,
        }
    }

    /// The first block is `conv_in`; then each level has a block a layer, and one that resamples.
    fn down(&self, path: &str) -> Option<String> {
        let (block, rest) = numbered(path)?;
        let (_, rest) = numbered(rest)?;
        let (level, first) = position(&self.down, block, 1);
        let inside = match rest.strip_prefix("op.") {
            Some(rest) => format!("downsamplers.0.conv.{rest}"),
            None => inside(rest, block.checked_sub(first)?)?,
        };
        Some(format!("down_blocks.{level}.{inside}"))
    }

    /// The last block of a level has the way to the next one, too.
    fn up(&self, path: &str) -> Option<String> {
        let (block, rest) = numbered(path)?;
        let (_, rest) = numbered(rest)?;
        let (level, first) = position(&self.up, block, 0);
        let inside = match rest.strip_prefix("conv.") {
            Some(rest) => format!("upsamplers.0.conv.{rest}"),
            None => inside(rest, block.checked_sub(first)?)?,
        };
        Some(format!("up_blocks.{level}.{inside}"))
    }
}

/// How many levels ended before this block, and the first block after them.
fn position(ends: &BTreeSet<usize>, block: usize, first: usize) -> (usize, usize) {
    let before = ends.range(..block);
    (before.clone().count(), before.last().map_or(first, |end| end + 1))
}

/// Residual block, attention, residual block.
fn middle(path: &str) -> Option<String> {
    let (place, rest) = numbered(path)?;
    inside(rest, place / 2).map(|inside| format!("mid_block.{inside}"))
}

/// What has none of a residual block's names is attention, and has the same names in both.
fn inside(rest: &str, index: usize) -> Option<String> {
    match renamed(rest, &RESNET) {
        Some(rest) => Some(format!("resnets.{index}.{rest}")),
        None => Some(format!("attentions.{index}.{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three levels; attention in the middle one; two layers each.
    const NAMES: [&str; 10] = [
        "input_blocks.0.0.weight",
        "input_blocks.2.0.in_layers.2.weight",
        "input_blocks.3.0.op.bias",
        "input_blocks.5.1.transformer_blocks.0.attn1.to_q.weight",
        "input_blocks.6.0.op.bias",
        "input_blocks.7.0.skip_connection.weight",
        "middle_block.2.out_layers.3.bias",
        "output_blocks.2.1.conv.weight",
        "output_blocks.4.1.proj_in.weight",
        "output_blocks.5.2.conv.weight",
    ];

    #[test]
    fn blocks_are_sorted_by_level() {
        let renamed = names(&NAMES);
        let names: Vec<&str> = renamed.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "conv_in.weight",
                "down_blocks.0.resnets.1.conv1.weight",
                "down_blocks.0.downsamplers.0.conv.bias",
                "down_blocks.1.attentions.1.transformer_blocks.0.attn1.to_q.weight",
                "down_blocks.1.downsamplers.0.conv.bias",
                "down_blocks.2.resnets.0.conv_shortcut.weight",
                "mid_block.resnets.1.conv2.bias",
                "up_blocks.0.upsamplers.0.conv.weight",
                "up_blocks.1.attentions.1.proj_in.weight",
                "up_blocks.1.upsamplers.0.conv.weight",
            ]
        );
    }

    #[test]
    fn what_is_no_unets_is_left_out() {
        assert!(names(&["betas", "input_hint_block.0.weight", "zero_convs.0.0.bias"]).is_empty());
    }
}
