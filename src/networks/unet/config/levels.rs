//! The settings that each resolution has its own value of.

use serde_json::json;

use super::depths;
use crate::networks::{
    Result,
    config::{ConfigReader, OneOrMany},
};

/// What a block is made of besides residual blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// `DownBlock2D`, `UpBlock2D`: a convolution to the next resolution.
    Plain,
    /// `CrossAttnDownBlock2D`, `CrossAttnUpBlock2D`: transformers, and a convolution.
    CrossAttention,
    /// `ResnetDownsampleBlock2D`, `ResnetUpsampleBlock2D`: a residual block to the next resolution.
    Resnet,
    /// `SimpleCrossAttnDownBlock2D`, `SimpleCrossAttnUpBlock2D`: single attention layers, and a
    /// residual block to the next resolution.
    SimpleCrossAttention,
}

impl BlockKind {
    /// Whether a residual block leads to the next resolution.
    pub fn resamples_by_resnet(self) -> bool {
        matches!(self, Self::Resnet | Self::SimpleCrossAttention)
    }
}

/// One resolution.
#[derive(Clone, Debug)]
pub struct Level {
    pub channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub layers: usize,
    pub down: BlockKind,
    pub up: BlockKind,
    /// What `attention_head_dim` says: the number of heads of a transformer, and of simple
    /// attention the width of a head.
    pub heads: usize,
    /// Width of the encoded prompt.
    pub context: usize,
    /// Transformer blocks of each layer's attention on the way down, one entry a layer.
    pub down_depths: Vec<usize>,
    /// The same on the way up, where there is one layer more.
    pub up_depths: Vec<usize>,
    pub only_cross_attention: bool,
}

/// Where the settings of the up path come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WayUp {
    /// Keys of its own.
    AsNamed,
    /// There is none; it stands for what the down path has.
    Mirrored,
}

/// One level for each of `block_out_channels`; one at least.
pub fn read(json: &mut ConfigReader, way_up: WayUp) -> Result<Vec<Level>> {
    let channels: Vec<usize> = json.take("block_out_channels", vec![320, 640, 1280, 1280])?;
    let count = channels.len();
    if count == 0 || channels.contains(&0) {
        return Err(json.error("block_out_channels", "needs channels for one block or more"));
    }
    let down = block_kinds(json, "down_block_types", "Down", count)?;
    let up = match way_up {
        WayUp::AsNamed => {
            let mut up = block_kinds(json, "up_block_types", "Up", count)?;
            up.reverse();
            up
        }
        WayUp::Mirrored => down.clone(),
    };
    json.only("num_attention_heads", json!(null))?;
    // What is called the width of a head is the number of heads, in all published models.
    let heads = spread(json, "attention_head_dim", 8, count)?;
    let layers = spread(json, "layers_per_block", 2, count)?;
    let context = spread(json, "cross_attention_dim", 1280, count)?;
    let (down_depths, up_depths) = depths::read(json, &layers, &down, &up, way_up)?;
    let only_cross = spread(json, "only_cross_attention", false, count)?;
    let level = |i: usize| Level {
        channels: channels[i],
        layers: layers[i],
        down: down[i],
        up: up[i],
        heads: heads[i],
        context: context[i],
        down_depths: down_depths[i].clone(),
        up_depths: up_depths[i].clone(),
        only_cross_attention: only_cross[i],
    };
    let levels: Vec<Level> = (0..count).map(level).collect();
    for (key, zero) in [
        ("attention_head_dim", levels.iter().any(|level| level.heads == 0)),
        ("layers_per_block", levels.iter().any(|level| level.layers == 0)),
    ] {
        if zero {
            return Err(json.error(key, "must be 1 or more"));
        }
    }
    Ok(levels)
}

/// One value for all levels, or one each.
fn spread<T>(json: &mut ConfigReader, key: &str, default: T, count: usize) -> Result<Vec<T>>
where
    T: Clone + serde::de::DeserializeOwned,
{
    let values: OneOrMany<T> = json.take(key, OneOrMany::One(default))?;
    values.spread(count).ok_or_else(|| {
        json.error(key, format!("needs one value, or {count}: one for each of block_out_channels"))
    })
}

/// The kind of each block. `direction` is `Down` or `Up`.
fn block_kinds(
    json: &mut ConfigReader,
    key: &str,
    direction: &str,
    count: usize,
) -> Result<Vec<BlockKind>> {
    let kinds = [
        (format!("{direction}Block2D"), BlockKind::Plain),
        (format!("CrossAttn{direction}Block2D"), BlockKind::CrossAttention),
        (format!("Resnet{direction}sampleBlock2D"), BlockKind::Resnet),
        (format!("SimpleCrossAttn{direction}Block2D"), BlockKind::SimpleCrossAttention),
    ];
    // By default all have attention but the coarsest: the last on the way down, the first up.
    let mut default = vec![kinds[1].0.clone(); 4];
    default[if direction == "Down" { 3 } else { 0 }] = kinds[0].0.clone();
    let types: Vec<String> = json.take(key, default)?;
    if types.len() != count {
        return Err(json.error(key, format!("needs {count} blocks, as many as block_out_channels")));
    }
    let kind = |name: &String| kinds.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
    let found: Option<Vec<BlockKind>> = types.iter().map(kind).collect();
    found.ok_or_else(|| {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
        json.error(key, format!("only {} are supported", names.join(", ")))
    })
}
