//! The settings that each resolution has its own value of.

use serde_json::json;

use crate::networks::{
    Result,
    config::{ConfigReader, OneOrMany},
};

/// One resolution.
#[derive(Clone, Debug)]
pub struct Level {
    pub channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub layers: usize,
    pub down_attention: bool,
    pub up_attention: bool,
    pub heads: usize,
    /// Width of the encoded prompt.
    pub context: usize,
    /// Transformer blocks in each attention layer, on the way down and up.
    pub down_depth: usize,
    pub up_depth: usize,
    pub only_cross_attention: bool,
}

/// One level for each of `block_out_channels`; one at least.
pub fn read(json: &mut ConfigReader) -> Result<Vec<Level>> {
    let channels: Vec<usize> = json.take("block_out_channels", vec![320, 640, 1280, 1280])?;
    let count = channels.len();
    if count == 0 || channels.contains(&0) {
        return Err(json.error("block_out_channels", "needs channels for one block or more"));
    }
    let down = block_types(json, "down_block_types", "Down", count)?;
    let mut up = block_types(json, "up_block_types", "Up", count)?;
    up.reverse();
    json.only("num_attention_heads", json!(null))?;
    // What is called the width of a head is the number of heads, in all published models.
    let heads = spread(json, "attention_head_dim", 8, count)?;
    let layers = spread(json, "layers_per_block", 2, count)?;
    let context = spread(json, "cross_attention_dim", 1280, count)?;
    let down_depth = spread(json, "transformer_layers_per_block", 1, count)?;
    let up_depth =
        match json.take::<Option<Vec<usize>>>("reverse_transformer_layers_per_block", None)? {
            None => down_depth.clone(),
            Some(depth) if depth.len() == count => depth.into_iter().rev().collect(),
            Some(_) => {
                let why = format!("needs {count} values");
                return Err(json.error("reverse_transformer_layers_per_block", why));
            }
        };
    let only_cross = spread(json, "only_cross_attention", false, count)?;
    let level = |i: usize| Level {
        channels: channels[i],
        layers: layers[i],
        down_attention: down[i],
        up_attention: up[i],
        heads: heads[i],
        context: context[i],
        down_depth: down_depth[i],
        up_depth: up_depth[i],
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

/// Whether each block has attention. `direction` is `Down` or `Up`.
fn block_types(
    json: &mut ConfigReader,
    key: &str,
    direction: &str,
    count: usize,
) -> Result<Vec<bool>> {
    let plain = format!("{direction}Block2D");
    let attention = format!("CrossAttn{direction}Block2D");
    // By default all have attention but the coarsest: the last on the way down, the first up.
    let mut default = vec![attention.clone(); 4];
    default[if direction == "Down" { 3 } else { 0 }] = plain.clone();
    let types: Vec<String> = json.take(key, default)?;
    if types.len() != count {
        return Err(json.error(key, format!("needs {count} blocks, as many as block_out_channels")));
    }
    match types.iter().find(|name| **name != plain && **name != attention) {
        Some(_) => Err(json.error(key, format!("only {plain} and {attention} are supported"))),
        None => Ok(types.iter().map(|name| *name == attention).collect()),
    }
}
