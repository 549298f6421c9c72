//! The networks one by one, on stored inputs: autoencoder both ways, UNet, text encoder.

use std::{ops::ControlFlow, path::PathBuf};

use candle_core::{DType, Device, Tensor};
use libtest_mimic::Trial;
use overpaint::networks::{
    AutoencoderConfig, AutoencoderKl, ClipTextConfig, ClipTextModel, Conditioning,
    UNet2DConditionModel, UNetConfig, Weights,
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
    let mut trials = Vec::new();
    for model in models {
        let check = |what: &str, check: fn(&str) -> Result<Deviation, String>| {
            let name = model.clone();
            measured(format!("networks::{model}-{what}"), move || check(&name))
        };
        trials.push(check("moments", moments));
        trials.push(check("decoded", decoded));
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
    let file = folder(model, "text_encoder").join("config.json");
    let config = ClipTextConfig::open(&file).map_err(told)?;
    let encoder = ClipTextModel::load(config, &weights(model, "text_encoder")?).map_err(told)?;
    let tokenizer = tokenizer(model)?;
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

fn of_tensor(actual: &Tensor, reference: &Tensors, name: &str) -> Result<Deviation, String> {
    let expected = reference.get(name)?;
    if actual.dims() != expected.dims() {
        return Err(format!("shape {:?}, the reference has {:?}", actual.dims(), expected.dims()));
    }
    Deviation::of(&numbers(actual)?, &numbers(expected)?)
}
