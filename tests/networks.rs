//! The networks against numbers that diffusers and transformers made: small random models of
//! several shapes (`tests/reference/units.py` writes the numbers).

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use overpaint::networks::{
    AutoencoderConfig, AutoencoderKl, ClipTextConfig, ClipTextModel, ClipTokenizer, Conditioning,
    UNet2DConditionModel, UNetConfig, Weights,
};
use serde_json::Value;

const MODELS: [&str; 4] = ["base-sharded", "inpaint-pndm", "base-v", "inpaint-fp16"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

fn component(model: &str, name: &str) -> PathBuf {
    fixtures().join("models").join(model).join(name)
}

fn weights(folder: &Path) -> Weights<'static> {
    Weights::open(folder, DType::F32, &Device::Cpu, |_| ControlFlow::Continue(())).unwrap()
}

fn numbers(name: &str) -> HashMap<String, Tensor> {
    let file = fixtures().join("units").join(name);
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn index() -> Value {
    let text = std::fs::read_to_string(fixtures().join("units/units.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The largest difference, as a part of the largest number.
fn difference(got: &Tensor, right: &Tensor) -> f32 {
    assert_eq!(got.dims(), right.dims());
    let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap();
    let difference = largest(&(got - right).unwrap()) / largest(right);
    difference.unwrap().to_scalar().unwrap()
}

#[track_caller]
fn assert_close(what: &str, got: &Tensor, right: &Tensor) {
    let difference = difference(got, right);
    println!("{what}: {difference:.1e}");
    assert!(difference < 1e-5, "{what} is off by {difference:e} of its largest number");
}

fn unet(model: &str) -> UNet2DConditionModel {
    let folder = component(model, "unet");
    let config = UNetConfig::open(&folder.join("config.json")).unwrap();
    UNet2DConditionModel::load(config, &weights(&folder)).unwrap()
}

#[test]
fn unets_predict_what_the_reference_predicts() {
    let numbers = numbers("networks.safetensors");
    for model in MODELS {
        let unet = unet(model);
        let (sample, text) =
            (&numbers[&format!("{model}.sample")], &numbers[&format!("{model}.text")]);
        for (i, timestep) in [1.0, 500.0, 999.0, 317.4375].into_iter().enumerate() {
            let conditioning = Conditioning { encoder_hidden_states: text, timestep_cond: None };
            let got = unet.forward(sample, timestep, conditioning).unwrap();
            let what = format!("{model}.unet_{i}");
            assert_close(&what, &got, &numbers[&what]);
        }
    }
}

#[test]
fn autoencoders_encode_and_decode_like_the_reference() {
    let numbers = numbers("networks.safetensors");
    for model in MODELS {
        let folder = component(model, "vae");
        let config = AutoencoderConfig::open(&folder.join("config.json")).unwrap();
        let vae = AutoencoderKl::load(config, &weights(&folder)).unwrap();
        let moments = vae.encode_moments(&numbers["picture"]).unwrap();
        assert_close(&format!("{model}.moments"), &moments, &numbers[&format!("{model}.moments")]);
        let decoded = vae.decode(&numbers[&format!("{model}.latents")]).unwrap();
        assert_close(&format!("{model}.decoded"), &decoded, &numbers[&format!("{model}.decoded")]);
    }
}

#[test]
fn texts_are_encoded_like_the_reference() {
    let (numbers, index) = (numbers("text.safetensors"), index());
    for model in MODELS {
        let tokenizer = ClipTokenizer::open(&component(model, "tokenizer")).unwrap();
        let folder = component(model, "text_encoder");
        let config = ClipTextConfig::open(&folder.join("config.json")).unwrap();
        let encoder = ClipTextModel::load(config, &weights(&folder)).unwrap();
        let prompts = index["text"]["prompts"].as_array().unwrap();
        let ids: Vec<_> = prompts
            .iter()
            .map(|prompt| tokenizer.encode(prompt.as_str().unwrap()).unwrap())
            .collect();
        for (name, clip_skip) in [("last", None), ("skip1", Some(1))] {
            let all = encoder.encode(&ids, clip_skip).unwrap();
            let every: Vec<u32> = (0..77).step_by(6).collect();
            let got = all.index_select(&Tensor::new(every, &Device::Cpu).unwrap(), 1).unwrap();
            let what = format!("{model}.{name}");
            assert_close(&what, &got, &numbers[&what]);
        }
        assert!(encoder.encode(&ids, Some(99)).is_err());
    }
}

#[test]
fn tokens_are_the_reference_s() {
    let index = index();
    let prompts = index["tokens"]["prompts"].as_array().unwrap();
    for model in MODELS {
        let tokenizer = ClipTokenizer::open(&component(model, "tokenizer")).unwrap();
        let right = &index["tokens"]["tokenizers"][model];
        let padding = right["pad"].as_u64().unwrap() as u32;
        let rows = right["ids_without_repeated_padding"].as_array().unwrap();
        assert_eq!(rows.len(), prompts.len());
        for (prompt, row) in prompts.iter().zip(rows) {
            let prompt = prompt.as_str().unwrap();
            let mut right: Vec<u32> =
                row.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
            right.resize(77, padding);
            assert_eq!(tokenizer.encode(prompt).unwrap(), right, "{model}: {prompt:?}");
        }
    }
}
