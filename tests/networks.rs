//! The networks against numbers that diffusers and transformers made: small random models shaped
//! like published ones (`tests/reference/units.py` writes the numbers), and some with settings that
//! published ones seldom have (`tests/reference/networks.py`).

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use overpaint::networks::{
    AddedConditions, AutoencoderConfig, AutoencoderKl, ClipTextConfig, ClipTextModel,
    ClipTokenizer, Conditioning, Reading, Residency, Residuals, UNet2DConditionModel, UNetConfig,
    Weights,
};
use serde_json::Value;

const MODELS: [&str; 4] = ["base-sharded", "inpaint-pndm", "base-v", "inpaint-fp16"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

fn unusual() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/networks")
}

/// Of `tests/reference/conditions.py`.
fn conditions() -> (PathBuf, HashMap<String, Tensor>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let numbers =
        candle_core::safetensors::load(fixtures.join("conditions.safetensors"), &Device::Cpu);
    (fixtures.join("families/models/xl-base"), numbers.unwrap())
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

/// The reference's own rounding moves these models by up to 8e-6 (f32 against f64).
const TOLERANCE: f32 = 2e-5;

#[track_caller]
fn assert_close(what: &str, got: &Tensor, right: &Tensor) {
    let difference = difference(got, right);
    println!("{what}: {difference:.1e}");
    assert!(difference < TOLERANCE, "{what} is off by {difference:e} of its largest number");
}

fn unet(folder: &Path) -> UNet2DConditionModel {
    let config = UNetConfig::open(&folder.join("config.json")).unwrap();
    UNet2DConditionModel::load(config, &weights(folder)).unwrap()
}

fn autoencoder(folder: &Path) -> AutoencoderKl {
    let config = AutoencoderConfig::open(&folder.join("config.json")).unwrap();
    AutoencoderKl::load(config, &weights(folder)).unwrap()
}

fn text_encoder(folder: &Path) -> ClipTextModel {
    let config = ClipTextConfig::open(&folder.join("config.json")).unwrap();
    ClipTextModel::load(config, &weights(folder)).unwrap()
}

#[test]
fn unets_predict_what_the_reference_predicts() {
    let numbers = numbers("networks.safetensors");
    for model in MODELS {
        let unet = unet(&component(model, "unet"));
        let (sample, text) =
            (&numbers[&format!("{model}.sample")], &numbers[&format!("{model}.text")]);
        for (i, timestep) in [1.0, 500.0, 999.0, 317.4375].into_iter().enumerate() {
            let conditioning = Conditioning::new(text);
            let got = unet.forward(sample, timestep, conditioning).unwrap();
            let what = format!("{model}.unet_{i}");
            assert_close(&what, &got, &numbers[&what]);
        }
    }
}

/// Layers that are read for each use compute what those that stay compute, to the bit.
#[test]
fn a_unet_that_is_read_layer_by_layer_predicts_the_same() {
    for model in MODELS {
        let folder = component(model, "unet");
        let config = UNetConfig::open(&folder.join("config.json")).unwrap();
        let whole = unet(&folder);
        let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        let sample = random(&[2, config.in_channels, 8, 8]);
        let context = random(&[2, 7, config.levels[0].context]);
        let run = |unet: &UNet2DConditionModel| {
            unet.forward(&sample, 321.0, Conditioning::new(&context)).unwrap()
        };
        let right = run(&whole);
        for limit in [0, 20_000] {
            let residency = Residency::within(Some(limit));
            let weights = weights(&folder).within(&residency);
            let streamed = UNet2DConditionModel::load(config.clone(), &weights).unwrap();
            for _ in 0..2 {
                let got = run(&streamed);
                assert_eq!(difference(&got, &right), 0.0, "{model}");
                assert!(residency.held() <= limit, "{model}");
            }
            assert_eq!(residency.held() > 0, limit > 0, "{model}: something stays");
            residency.set_limit(None);
            run(&streamed);
            assert!(residency.held() > limit, "{model}: everything stays again");
        }
    }
}

#[test]
fn autoencoders_encode_and_decode_like_the_reference() {
    let numbers = numbers("networks.safetensors");
    for model in MODELS {
        let vae = autoencoder(&component(model, "vae"));
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
        let encoder = text_encoder(&component(model, "text_encoder"));
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

#[test]
fn unusual_settings_are_heeded() {
    let file = unusual().join("numbers.safetensors");
    let numbers = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    for name in ["unet-scale-shift", "unet-uneven"] {
        let number = |part: &str| numbers.get(&format!("{name}.{part}"));
        let conditioning = Conditioning {
            timestep_cond: number("condition"),
            ..Conditioning::new(number("text").unwrap())
        };
        let unet = unet(&unusual().join(name));
        let got = unet.forward(number("sample").unwrap(), 721.25, conditioning).unwrap();
        assert_close(name, &got, number("output").unwrap());
    }
    let vae = autoencoder(&unusual().join("vae-one-level"));
    let number = |part: &str| &numbers[&format!("vae-one-level.{part}")];
    let moments = vae.encode_moments(number("picture")).unwrap();
    assert_close("one level, moments", &moments, number("moments"));
    assert_close("one level, decoded", &vae.decode(number("latents")).unwrap(), number("decoded"));
    let texts = [vec![28, 3, 7, 29, 29, 29], vec![28, 1, 29, 5, 29, 0]];
    for name in ["text-old-end", "text-new-end"] {
        let output =
            text_encoder(&unusual().join(name)).forward(&texts, Reading::default()).unwrap();
        assert_close(name, &output.last_hidden_state, &numbers[&format!("{name}.last")]);
        assert_close(name, &output.pooled, &numbers[&format!("{name}.pooled")]);
    }
}

#[test]
fn added_conditions_and_residuals_are_the_reference_s() {
    let (folder, numbers) = conditions();
    let unet = unet(&folder.join("unet"));
    let number = |name: &str| numbers[name].clone();
    let added = AddedConditions {
        text_embeds: Some(number("text_embeds")),
        time_ids: Some(number("time_ids")),
        image_embeds: None,
    };
    let text = number("text");
    let with = |added, residuals| {
        let conditioning = Conditioning { added, residuals, ..Conditioning::new(&text) };
        unet.forward(&numbers["sample"], 317.4375, conditioning)
    };
    let plain = with(Some(&added), None).unwrap();
    assert_close("text and times", &plain, &numbers["output"]);
    let down = (0..4).map(|i| number(&format!("down_{i}"))).collect();
    let residuals = Residuals { down, mid: number("mid") };
    let controlled = with(Some(&added), Some(&residuals)).unwrap();
    assert_close("residuals", &controlled, &numbers["controlled"]);
    assert!(difference(&controlled, &plain) > 0.05, "residuals count");

    let other =
        AddedConditions { time_ids: Some((number("time_ids") + 8.0).unwrap()), ..added.clone() };
    assert!(difference(&with(Some(&other), None).unwrap(), &plain) > 1e-2, "times count");
    let other = AddedConditions {
        text_embeds: Some((number("text_embeds") * 0.9).unwrap()),
        ..added.clone()
    };
    assert!(difference(&with(Some(&other), None).unwrap(), &plain) > 1e-3, "the text counts");
    assert!(with(None, None).unwrap_err().to_string().contains("pooled text"));
    let narrow = AddedConditions {
        time_ids: Some(number("time_ids").narrow(1, 0, 5).unwrap()),
        ..added.clone()
    };
    assert!(with(Some(&narrow), None).unwrap_err().to_string().contains("30"));
    let short = Residuals { down: vec![number("down_0")], mid: number("mid") };
    assert!(with(Some(&added), Some(&short)).unwrap_err().to_string().contains("4"));
    let wrong = Residuals { mid: number("down_0"), ..residuals.clone() };
    assert!(with(Some(&added), Some(&wrong)).is_err());
}

#[test]
fn projected_texts_are_the_reference_s() {
    let (folder, numbers) = conditions();
    let encoder = text_encoder(&folder.join("text_encoder_2"));
    let texts = [vec![682, 3, 7, 683, 0, 0], vec![682, 1, 9, 5, 2, 683]];
    let output = encoder.forward(&texts, Reading::default()).unwrap();
    let states = &output.hidden_states;
    assert_eq!(states.len(), 4);
    assert_close("before the last layer", &states[2], &numbers["text_before_last"]);
    assert_close("projected", &output.text_embeds.unwrap(), &numbers["text_projected"]);
}

#[test]
fn half_precision_comes_close() {
    let numbers = numbers("networks.safetensors");
    let folder = component("inpaint-pndm", "unet");
    let config = UNetConfig::open(&folder.join("config.json")).unwrap();
    let weights =
        Weights::open(&folder, DType::F16, &Device::Cpu, |_| ControlFlow::Continue(())).unwrap();
    let unet = UNet2DConditionModel::load(config, &weights).unwrap();
    let conditioning = Conditioning::new(&numbers["inpaint-pndm.text"]);
    let got = unet.forward(&numbers["inpaint-pndm.sample"], 999.0, conditioning).unwrap();
    assert_eq!(got.dtype(), DType::F16);
    let got = got.to_dtype(DType::F32).unwrap();
    let difference = difference(&got, &numbers["inpaint-pndm.unet_2"]);
    assert!((1e-6..1e-2).contains(&difference), "{difference:e}");
}

#[test]
fn wrong_inputs_are_errors() {
    let unet = unet(&component("inpaint-pndm", "unet"));
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let forward = |sample: &[usize], text: &[usize]| {
        let text = zeros(text);
        let conditioning = Conditioning::new(&text);
        unet.forward(&zeros(sample), 1.0, conditioning)
    };
    assert!(forward(&[1, 9, 1, 3], &[1, 2, 16]).is_ok());
    for (sample, text) in [
        ([1, 4, 8, 8], [1, 77, 16]),
        ([1, 9, 8, 8], [1, 77, 15]),
        ([1, 9, 8, 8], [2, 77, 16]),
        ([1, 9, 0, 8], [1, 77, 16]),
    ] {
        assert!(forward(&sample, &text).is_err(), "{sample:?} {text:?}");
    }
    let vae = autoencoder(&component("inpaint-pndm", "vae"));
    let text = vae.encode_moments(&zeros(&[1, 3, 36, 32])).unwrap_err().to_string();
    assert!(text.contains("32x36") && text.contains('8'), "{text}");
    let encoder = text_encoder(&component("inpaint-pndm", "text_encoder"));
    assert!(encoder.encode(&[vec![1; 78]], None).is_err());
    assert!(encoder.encode(&[vec![999_999; 3]], None).is_err());
    assert!(encoder.encode(&[vec![1; 3], vec![1; 4]], None).is_err());
}
