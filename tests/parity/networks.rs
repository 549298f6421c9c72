//! The networks one by one, on stored inputs: autoencoder both ways, UNet, text encoder.

use std::{ops::ControlFlow, path::PathBuf};

use candle_core::{DType, Device, Tensor};
use libtest_mimic::Trial;
use overpaint::networks::{
    AutoencoderConfig, AutoencoderKl, ClipTextConfig, ClipTextModel, Conditioning, TinyAutoencoder,
    TinyAutoencoderConfig, UNet2DConditionModel, UNetConfig, Weights,
};
use serde::Deserialize;

use super::{
    compare::{Deviation, measured, numbers},
    fixtures::{self, Tensors, unit},
    tokens::tokenizer,
};

#[derive(Clone, Deserialize)]
struct Networks {
    models: Vec<String>,
    timesteps: Vec<f64>,
}

#[derive(Clone, Deserialize)]
struct Text {
    prompts: Vec<String>,
    every_position: usize,
}

pub fn trials() -> Vec<Trial> {
    let Networks { models, timesteps } = unit("networks");
    let text: Text = unit("text");
    let mut trials = tiny_trials();
    for model in models {
        let check = |what: &str, check: fn(&str) -> Result<Deviation, String>| {
            let name = model.clone();
            measured(format!("networks::{model}-{what}"), move || check(&name))
        };
        trials.push(check("moments", moments));
        trials.push(check("decoded", decoded));
        trials.push(check("moments-in-bands", moments_in_bands));
        trials.push(check("decoded-in-bands", decoded_in_bands));
        for (index, &timestep) in timesteps.iter().enumerate() {
            let name = model.clone();
            trials.push(measured(format!("networks::{model}-unet-{timestep}"), move || {
                unet(&name, index, timestep)
            }));
        }
        for clip_skip in [None, Some(1)] {
            let (text, name) = (text.clone(), model.clone());
            let skipped = clip_skip.map_or("last", |_| "skip1");
            trials.push(measured(format!("networks::{model}-text-{skipped}"), move || {
                hidden_states(&name, &text, clip_skip, skipped)
            }));
        }
    }
    trials
}

fn reference() -> Tensors {
    Tensors::load("units/networks.safetensors")
}

fn folder(model: &str, part: &str) -> PathBuf {
    fixtures::root().join("models").join(model).join(part)
}

fn weights(model: &str, part: &str) -> Result<Weights<'static>, String> {
    let keep_going = |_| ControlFlow::Continue(());
    Weights::open(&folder(model, part), DType::F32, &Device::Cpu, keep_going).map_err(told)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn autoencoder(model: &str) -> Result<AutoencoderKl, String> {
    let config =
        AutoencoderConfig::open(&folder(model, "vae").join("config.json")).map_err(told)?;
    AutoencoderKl::load(config, &weights(model, "vae")?).map_err(told)
}

fn moments(model: &str) -> Result<Deviation, String> {
    let reference = reference();
    let moments = autoencoder(model)?.encode_moments(reference.get("picture")?).map_err(told)?;
    of_tensor(&moments, &reference, &format!("{model}.moments"))
}

fn decoded(model: &str) -> Result<Deviation, String> {
    let reference = reference();
    let latents = reference.get(&format!("{model}.latents"))?;
    let picture = autoencoder(model)?.decode(latents).map_err(told)?;
    of_tensor(&picture, &reference, &format!("{model}.decoded"))
}

/// So little that every level is cut into the narrowest bands.
const NO_ROOM: Option<usize> = Some(1);

fn moments_in_bands(model: &str) -> Result<Deviation, String> {
    let reference = reference();
    let picture = reference.get("picture")?;
    let moments = autoencoder(model)?.encode_moments_within(picture, NO_ROOM).map_err(told)?;
    of_tensor(&moments, &reference, &format!("{model}.moments"))
}

fn decoded_in_bands(model: &str) -> Result<Deviation, String> {
    let reference = reference();
    let latents = reference.get(&format!("{model}.latents"))?;
    let picture = autoencoder(model)?.decode_within(latents, NO_ROOM).map_err(told)?;
    of_tensor(&picture, &reference, &format!("{model}.decoded"))
}

/// A tiny autoencoder, from its folder and as a decoder alone.
fn tiny_trials() -> Vec<Trial> {
    vec![
        measured("networks::tiny-encoded", || {
            let picture = tiny_reference().get("picture").cloned()?;
            of_tensor(&tiny()?.encode(&picture).map_err(told)?, &tiny_reference(), "encoded")
        }),
        measured("networks::tiny-decoded", || {
            let latents = tiny_reference().get("latents").cloned()?;
            of_tensor(&tiny()?.decode(&latents).map_err(told)?, &tiny_reference(), "decoded")
        }),
        measured("networks::tiny-decoder-alone", || {
            let latents = tiny_reference().get("latents").cloned()?;
            let decoder = tiny_decoder_alone()?;
            of_tensor(&decoder.decode(&latents).map_err(told)?, &tiny_reference(), "decoded")
        }),
    ]
}

fn tiny_reference() -> Tensors {
    Tensors::load("units/tiny.safetensors")
}

fn tiny_config() -> Result<TinyAutoencoderConfig, String> {
    TinyAutoencoderConfig::open(&folder("tiny", "config.json")).map_err(told)
}

fn tiny() -> Result<TinyAutoencoder, String> {
    TinyAutoencoder::load(tiny_config()?, &weights("tiny", "")?).map_err(told)
}

/// From one file with the names that TAESD's own decoder has: everything one layer further on.
fn tiny_decoder_alone() -> Result<TinyAutoencoder, String> {
    let stored = folder("tiny", "diffusion_pytorch_model.safetensors");
    let stored = candle_core::safetensors::load(stored, &Device::Cpu).map_err(told)?;
    let renamed = stored.iter().filter_map(|(name, tensor)| {
        let (layer, rest) = name.strip_prefix("decoder.layers.")?.split_once('.')?;
        Some((format!("{}.{rest}", layer.parse::<usize>().ok()? + 1), tensor.clone()))
    });
    let renamed: std::collections::HashMap<_, _> = renamed.collect();
    let folder = tempfile::tempdir().map_err(told)?;
    let file = folder.path().join("taesd_decoder.safetensors");
    candle_core::safetensors::save(&renamed, &file).map_err(told)?;
    let keep_going = |_| ControlFlow::Continue(());
    let weights = Weights::open(&file, DType::F32, &Device::Cpu, keep_going).map_err(told)?;
    let decoder = TinyAutoencoder::load(tiny_config()?, &weights).map_err(told)?;
    match decoder.encode(&Tensor::zeros((1, 3, 8, 8), DType::F32, &Device::Cpu).map_err(told)?) {
        Ok(_) => Err("a decoder alone encodes".into()),
        Err(_) => Ok(decoder),
    }
}

fn unet(model: &str, index: usize, timestep: f64) -> Result<Deviation, String> {
    let reference = reference();
    let config = UNetConfig::open(&folder(model, "unet").join("config.json")).map_err(told)?;
    let unet = UNet2DConditionModel::load(config, &weights(model, "unet")?).map_err(told)?;
    let conditioning = Conditioning::new(reference.get(&format!("{model}.text"))?);
    let sample = reference.get(&format!("{model}.sample"))?;
    let prediction = unet.forward(sample, timestep, conditioning).map_err(told)?;
    of_tensor(&prediction, &reference, &format!("{model}.unet_{index}"))
}

fn hidden_states(
    model: &str,
    text: &Text,
    clip_skip: Option<usize>,
    kind: &str,
) -> Result<Deviation, String> {
    let (encoder, tokenizer) = (text_encoder(model)?, tokenizer(model)?);
    let ids = text.prompts.iter().map(|prompt| tokenizer.encode(prompt));
    let ids = ids.collect::<Result<Vec<_>, _>>().map_err(told)?;
    let states = encoder.encode(&ids, clip_skip).map_err(told)?;
    let kept: Vec<u32> =
        (0..states.dim(1).map_err(told)? as u32).step_by(text.every_position).collect();
    let kept = Tensor::new(kept, &Device::Cpu).map_err(told)?;
    let states = states.index_select(&kept, 1).map_err(told)?;
    let reference = Tensors::load("units/text.safetensors");
    of_tensor(&states, &reference, &format!("{model}.{kind}"))
}

/// The text encoder of a model of the fixtures.
pub fn text_encoder(model: &str) -> Result<ClipTextModel, String> {
    let file = folder(model, "text_encoder").join("config.json");
    let config = ClipTextConfig::open(&file).map_err(told)?;
    ClipTextModel::load(config, &weights(model, "text_encoder")?).map_err(told)
}

fn of_tensor(actual: &Tensor, reference: &Tensors, name: &str) -> Result<Deviation, String> {
    let expected = reference.get(name)?;
    if actual.dims() != expected.dims() {
        return Err(format!("shape {:?}, the reference has {:?}", actual.dims(), expected.dims()));
    }
    Deviation::of(&numbers(actual)?, &numbers(expected)?)
}
