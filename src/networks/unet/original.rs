//! What the layers are called in the original code (CompVis, Stability): blocks are numbered
//! through, and what is in a block is numbered, too.

use super::config::{BlockKind, UNetConfig};
use crate::key_map::unet::{OUTSIDE, RESNET};

/// The original name of a layer, or of a tensor of it; `None` if there is no such layer.
pub fn name(config: &UNetConfig, path: &str) -> Option<String> {
    if let Some(name) = renamed(path, &OUTSIDE) {
        return Some(name);
    }
    match path.split_once('.')? {
        ("down_blocks", rest) => down(config, rest),
        ("mid_block", rest) => {
            let (kind, index, rest) = item(rest)?;
            let place = if kind == "resnets" { 2 * index } else { 2 * index + 1 };
            inside(kind, rest).map(|rest| format!("middle_block.{place}.{rest}"))
        }
        ("up_blocks", rest) => up(config, rest),
        _ => None,
    }
}

/// One block for each layer, and one for the way to the next level.
fn down(config: &UNetConfig, path: &str) -> Option<String> {
    let (level, path) = numbered(path)?;
    let (kind, index, rest) = item(path)?;
    let before: usize = config.levels.get(..level)?.iter().map(|level| level.layers + 1).sum();
    if kind == "downsamplers" {
        let block = 1 + before + config.levels.get(level)?.layers;
        let rest = rest.strip_prefix("conv")?;
        return Some(format!("input_blocks.{block}.0.op{rest}"));
    }
    Some(format!("input_blocks.{}.{}.{}", 1 + before + index, place(kind), inside(kind, rest)?))
}

/// One block for each layer; the last one of a level has the way to the next, too.
fn up(config: &UNetConfig, path: &str) -> Option<String> {
    let (block, path) = numbered(path)?;
    let (kind, index, rest) = item(path)?;
    let mut levels = config.levels.iter().rev();
    let before: usize = levels.by_ref().take(block).map(|level| level.layers + 1).sum();
    let level = levels.next()?;
    if kind == "upsamplers" {
        let place = 1 + usize::from(level.up == BlockKind::CrossAttention);
        return Some(format!("output_blocks.{}.{place}.{rest}", before + level.layers));
    }
    Some(format!("output_blocks.{}.{}.{}", before + index, place(kind), inside(kind, rest)?))
}

fn place(kind: &str) -> usize {
    usize::from(kind == "attentions")
}

/// What is in a residual block has other names, what is in an attention layer the same.
fn inside(kind: &str, rest: &str) -> Option<String> {
    match kind {
        "resnets" => renamed(rest, &RESNET),
        "attentions" => Some(rest.to_owned()),
        _ => None,
    }
}

/// `resnets.1.conv1` in three.
fn item(path: &str) -> Option<(&str, usize, &str)> {
    let (kind, rest) = path.split_once('.')?;
    let (index, rest) = numbered(rest)?;
    Some((kind, index, rest))
}

fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// With its beginning replaced by a table.
fn renamed(path: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(original, name)| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{original}{rest}"))
    })
}
