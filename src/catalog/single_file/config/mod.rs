//! Configurations of networks, from the shapes of their tensors.
//!
//! A header tells nearly everything. What it cannot tell (numbers of heads and groups, activations,
//! the autoencoder's scale) is what the published models of the family have; where the shapes do
//! not allow that, the nearest that they allow.

mod depths;
mod unet;

use serde_json::{Map, Value, json};

pub use self::unet::{added, controlnet, unet};
use super::parts::Component;

pub type Config = Map<String, Value>;

/// Groups of a normalisation.
const GROUPS: usize = 32;
/// Width of a head, but in Stable Diffusion 1.
const HEAD_WIDTH: usize = 64;

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

fn object(value: Value) -> Config {
    match value {
        Value::Object(object) => object,
        _ => Config::new(),
    }
}
