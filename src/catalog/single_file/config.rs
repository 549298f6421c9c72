//! Configurations of networks, from the shapes of their tensors.
//!
//! A header tells nearly everything. What it cannot tell (numbers of heads and groups, activations,
//! the autoencoder's scale) is what the published models of the family have; where the shapes do
//! not allow that, the nearest that they allow.

use serde_json::{Map, Value, json};

use super::parts::Component;
use crate::catalog::Family;

pub type Config = Map<String, Value>;

/// Groups of a normalisation.
const GROUPS: usize = 32;
/// Heads of Stable Diffusion 1, at every resolution.
const HEADS: usize = 8;
/// Width of a head everywhere else.
const HEAD_WIDTH: usize = 64;

/// `UNet2DConditionModel`, or the part of it that a `ControlNetModel` has.
///
/// # Errors
/// What about the network is not as in any of its family.
pub fn unet(unet: &Component, family: Family, sample_size: usize) -> Result<Config, String> {
    let levels = unet.count("down_blocks");
    let side = |name: &str, side| unet.side(name, side).ok_or_else(|| format!("it lacks {name}"));
    let mut channels = Vec::new();
    for level in 0..levels {
        channels.push(side(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0)?);
    }
    let first = *channels.first().ok_or("it has no blocks")?;
    let down: Vec<usize> = depths(unet, "down_blocks", levels)?;
    let kinds = |depths: &[usize], way: &str| -> Vec<String> {
        let kind = |depth: &usize| if *depth > 0 { "CrossAttn" } else { "" };
        depths.iter().map(|depth| format!("{}{way}Block2D", kind(depth))).collect()
    };
    let layers: Vec<usize> =
        (0..levels).map(|level| unet.count(&format!("down_blocks.{level}.resnets"))).collect();
    let middle = depth(unet, "mid_block.attentions.0");
    let mut config = object(json!({
        "sample_size": sample_size,
        "in_channels": side("conv_in.weight", 1)?,
        "block_out_channels": channels,
        "down_block_types": kinds(&down, "Down"),
        "layers_per_block": one_or_many(&layers),
        "norm_num_groups": groups(unet),
    }));
    // The middle has the depth of the last level, and so does a last level without attention.
    let mut depths_down = down.clone();
    if let Some(last) = depths_down.last_mut().filter(|depth| **depth == 0) {
        *last = middle.max(1);
    }
    if middle != 0 && depths_down.last() != Some(&middle) {
        return Err(
            "its middle has another number of transformer blocks than its last level".into()
        );
    }
    depths_down.iter_mut().for_each(|depth| *depth = (*depth).max(1));
    if unet.has("conv_out") {
        let up = depths(unet, "up_blocks", levels)?;
        config.insert("out_channels".into(), json!(side("conv_out.weight", 0)?));
        config.insert("up_block_types".into(), json!(kinds(&up, "Up")));
        if middle == 0 {
            config.insert("mid_block_type".into(), json!("UNetMidBlock2D"));
        }
        let mirrored = depths_down.iter().rev().zip(&up).all(|(down, up)| *up == 0 || down == up);
        if !mirrored {
            let up: Vec<usize> = up.iter().map(|depth| (*depth).max(1)).collect();
            config.insert("reverse_transformer_layers_per_block".into(), json!(up));
        }
    }
    config.insert("transformer_layers_per_block".into(), one_or_many(&depths_down));
    let attends: Vec<bool> =
        (0..levels).map(|level| down[level] > 0 || (level + 1 == levels && middle > 0)).collect();
    attention(unet, family, &mut config, &channels, &attends)?;
    if let Some(width) = unet.side("time_embedding.linear_1.weight", 0).filter(|w| *w != 4 * first)
    {
        config.insert("time_embedding_dim".into(), json!(width));
    }
    if let Some(width) = unet.side("time_embedding.cond_proj.weight", 1) {
        config.insert("time_cond_proj_dim".into(), json!(width));
    }
    Ok(config)
}

/// `ControlNetModel`, but for its added conditions.
///
/// # Errors
/// As [`unet`].
pub fn controlnet(net: &Component, family: Family) -> Result<Config, String> {
    let mut config = unet(net, family, 64)?;
    config.remove("sample_size");
    let embedding = "controlnet_cond_embedding";
    let side = |name: String, side| net.side(&name, side).ok_or_else(|| format!("it lacks {name}"));
    // Two layers a width, of which the second halves the picture and widens it.
    let mut widths = vec![side(format!("{embedding}.conv_in.weight"), 0)?];
    for layer in (1..net.count(&format!("{embedding}.blocks"))).step_by(2) {
        widths.push(side(format!("{embedding}.blocks.{layer}.weight"), 0)?);
    }
    config.extend(object(json!({
        "_class_name": "ControlNetModel",
        "conditioning_channels": side(format!("{embedding}.conv_in.weight"), 1)?,
        "conditioning_embedding_out_channels": widths,
    })));
    Ok(config)
}

/// What the text attends through.
fn attention(
    unet: &Component,
    family: Family,
    config: &mut Config,
    channels: &[usize],
    attends: &[bool],
) -> Result<(), String> {
    let attended = channels.iter().zip(attends).filter(|(_, attends)| **attends);
    let attended: Vec<usize> = attended.map(|(channels, _)| *channels).collect();
    let of =
        |end: &str| unet.names().find(|name| name.ends_with(end)).and_then(|name| unet.shape(name));
    let context = of("attn2.to_k.weight").ok_or("it has no attention to text")?;
    let projection = of("proj_in.weight").ok_or("it has no transformer blocks")?;
    let heads = match family {
        Family::StableDiffusion1 => json!(largest(HEADS, &attended)),
        _ => {
            let width = largest_of(&[HEAD_WIDTH, 16], &attended);
            json!(channels.iter().map(|channels| (channels / width).max(1)).collect::<Vec<_>>())
        }
    };
    config.insert("cross_attention_dim".into(), json!(context.get(1)));
    config.insert("use_linear_projection".into(), json!(projection.len() == 2));
    config.insert("attention_head_dim".into(), heads);
    Ok(())
}

/// `addition_embed_type` and what belongs to it; `pooled` is the width of the pooled text.
pub fn added(unet: &Component, family: Family, pooled: Option<usize>) -> Result<Config, String> {
    let Some(inputs) = unet.side("add_embedding.linear_1.weight", 1) else {
        return Ok(Config::new());
    };
    let numbers = if family == Family::StableDiffusionXlRefiner { 5 } else { 6 };
    let rest = inputs.checked_sub(pooled.unwrap_or(POOLED)).filter(|rest| rest % numbers == 0);
    let width = rest.filter(|rest| *rest > 0).ok_or_else(|| {
        format!("its added conditions are {inputs} wide, which no {} is", family.name())
    })? / numbers;
    Ok(object(json!({
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": width,
        "projection_class_embeddings_input_dim": inputs,
    })))
}

/// The width of Stable Diffusion XL's pooled text.
const POOLED: usize = 1280;

/// Transformer blocks of each level, 0 where it has no attention.
fn depths(unet: &Component, blocks: &str, levels: usize) -> Result<Vec<usize>, String> {
    let of_level = |level: usize| {
        let path = format!("{blocks}.{level}.attentions");
        let layers = (0..unet.count(&path)).map(|layer| depth(unet, &format!("{path}.{layer}")));
        let mut depths: Vec<usize> = layers.collect();
        depths.dedup();
        match depths.as_slice() {
            [] => Ok(0),
            [depth] => Ok(*depth),
            _ => Err(format!(
                "its layers in {blocks}.{level} have different numbers of transformer blocks \
                 {depths:?}, as pruned models have; these are not supported"
            )),
        }
    };
    (0..levels).map(of_level).collect()
}

fn depth(unet: &Component, attention: &str) -> usize {
    unet.count(&format!("{attention}.transformer_blocks"))
}

/// `AutoencoderKL`.
///
/// # Errors
/// What it lacks.
pub fn autoencoder(vae: &Component, scaling_factor: f64) -> Result<Config, String> {
    let levels = vae.count("encoder.down_blocks");
    let side = |name: &str, side| vae.side(name, side).ok_or_else(|| format!("it lacks {name}"));
    let mut channels = Vec::new();
    for level in 0..levels {
        channels.push(side(&format!("encoder.down_blocks.{level}.resnets.0.conv1.weight"), 0)?);
    }
    Ok(object(json!({
        "in_channels": side("encoder.conv_in.weight", 1)?,
        "out_channels": side("decoder.conv_out.weight", 0)?,
        "latent_channels": side("decoder.conv_in.weight", 1)?,
        "block_out_channels": channels,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "layers_per_block": vae.count("encoder.down_blocks.0.resnets"),
        "norm_num_groups": groups(vae),
        "mid_block_add_attention": vae.has("decoder.mid_block.attentions"),
        "use_quant_conv": vae.has("quant_conv"),
        "use_post_quant_conv": vae.has("post_quant_conv"),
        "scaling_factor": scaling_factor,
    })))
}

/// The autoencoder that all of the families were trained with.
pub fn usual_autoencoder(scaling_factor: f64) -> Config {
    object(json!({
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": vec!["DownEncoderBlock2D"; 4],
        "up_block_types": vec!["UpDecoderBlock2D"; 4],
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": scaling_factor,
    }))
}

/// `CLIPTextModel`, or with its projection. `activation` is the family's.
///
/// # Errors
/// What it lacks.
pub fn text(text: &Component, activation: &str, projects: bool) -> Result<Config, String> {
    let side = |name: &str, side| text.side(name, side).ok_or_else(|| format!("it lacks {name}"));
    let embedding = "text_model.embeddings.token_embedding.weight";
    let width = side(embedding, 1)?;
    let class = if projects { "CLIPTextModelWithProjection" } else { "CLIPTextModel" };
    let projection = match projects {
        true => side("text_projection.weight", 0)?,
        false => width,
    };
    Ok(object(json!({
        "architectures": [class],
        "vocab_size": side(embedding, 0)?,
        "hidden_size": width,
        "intermediate_size": side("text_model.encoder.layers.0.mlp.fc1.weight", 0)?,
        "num_hidden_layers": text.count("text_model.encoder.layers"),
        "num_attention_heads": width / largest_of(&[HEAD_WIDTH, 8], &[width]),
        "max_position_embeddings":
            side("text_model.embeddings.position_embedding.weight", 0)?,
        "hidden_act": activation,
        "projection_dim": projection,
        // As in all published files: the text ends at its largest token id.
        "eos_token_id": 2,
    })))
}

/// The most groups, up to the usual number, that divide all normalised widths.
fn groups(component: &Component) -> usize {
    largest(GROUPS, &component.normalised().collect::<Vec<_>>())
}

/// The wish, or else its largest part by twos, that divides all of the numbers.
fn largest(wish: usize, numbers: &[usize]) -> usize {
    let parts = std::iter::successors(Some(wish), |part| Some(part / 2).filter(|part| *part > 0));
    parts.into_iter().find(|part| divides(*part, numbers)).unwrap_or(1)
}

/// The first of the wishes that divides all, or else a part of the last.
fn largest_of(wishes: &[usize], numbers: &[usize]) -> usize {
    let found = wishes.iter().find(|wish| divides(**wish, numbers));
    found.copied().unwrap_or_else(|| largest(wishes.last().copied().unwrap_or(1), numbers))
}

fn divides(part: usize, numbers: &[usize]) -> bool {
    numbers.iter().all(|number| number % part == 0)
}

fn one_or_many(values: &[usize]) -> Value {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => json!(first),
        _ => json!(values),
    }
}

fn object(value: Value) -> Config {
    match value {
        Value::Object(object) => object,
        _ => Config::new(),
    }
}
