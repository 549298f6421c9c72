//! ControlNets: the networks on stored inputs, and whole runs with them.
//! `tests/reference/controlnet.py` made what they are compared with.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor, safetensors};
use libtest_mimic::Trial;
use overpaint::{
    engine::{ControlNet, ImageSource, Request},
    networks::{
        AddedConditions, Conditioning, ControlNetConfig, ControlNetModel, Weights,
        controlnet::Control,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    compare::{Deviation, exact, measured, numbers},
    described,
    fixtures::{self, Tensors},
    pipelines::{self, Case, cases_of, deviation, run},
};

const NETWORKS: [&str; 5] = ["plain", "inpaint", "unusual", "bgr", "pooled"];

/// Those of them that are `plain` under another configuration.
const VARIANTS: [&str; 2] = ["bgr", "pooled"];

/// The timestep and the scale that the stored residuals belong to.
const TIMESTEP: f64 = 417.25;
const SCALE: f64 = 0.7;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

pub fn trials() -> Vec<Trial> {
    let whole = |case: Case| {
        measured(format!("controlnet::{}", case.name), move || {
            let scratch = tempfile::tempdir().map_err(told)?;
            deviation(&case, &run(request(&case, scratch.path())?)?)
        })
    };
    let cases = cases_of("controlnet.json");
    let mut trials: Vec<Trial> = cases.iter().cloned().map(whole).collect();
    trials.extend(cases.iter().flat_map(changes));
    for name in NETWORKS {
        for guess_mode in [false, true] {
            if guess_mode && VARIANTS.contains(&name) {
                continue;
            }
            let kind = if guess_mode { "guess" } else { "plain" };
            trials.push(measured(format!("controlnet::{name}-{kind}"), move || {
                residuals(name, name, SCALE, guess_mode)
            }));
        }
    }
    // The comparison can fail.
    let changed: [(&str, Check); 3] = [
        ("scale", || residuals("plain", "plain", 0.71, false)),
        ("order-of-channels", || residuals("bgr", "plain", SCALE, false)),
        ("pooling", || residuals("pooled", "plain", SCALE, false)),
    ];
    trials.extend(changed.map(|(what, check)| {
        exact(format!("controlnet::sensitivity-{what}"), move || must_differ(check()))
    }));
    trials
}

fn must_differ(deviation: Result<Deviation, String>) -> Result<(), String> {
    match deviation {
        Ok(deviation) if deviation.is_within() => Err(format!("passes all the same: {deviation}")),
        Ok(_) => Ok(()),
        // Another number of them is another result too.
        Err(error) if error.contains(", the reference ") => Ok(()),
        Err(error) => Err(error),
    }
}

/// A comparison of one network.
type Check = fn() -> Result<Deviation, String>;

/// A change of a request; the folder is for files that it needs.
type Change = fn(&mut Request, &Path) -> Result<(), String>;

/// What must push a case out of bounds, where it applies to the case.
fn changes(case: &Case) -> Vec<Trial> {
    let mut all: Vec<(&str, Change)> = vec![
        ("scale", |request, _| each(request, |c| c.conditioning_scale = Some(1.15))),
        ("start", |request, _| each(request, |c| c.guidance_start = 0.45)),
        ("end", |request, _| each(request, |c| c.guidance_end = 0.46)),
        ("without", |request, _| {
            request.guess_mode = false;
            request.controlnets.clear();
            Ok(())
        }),
        ("guess-mode", |request, _| {
            request.guess_mode ^= true;
            Ok(())
        }),
        ("weight", with_other_weight),
    ];
    match case.name.as_str() {
        "control-text" | "control-img2img" | "control-fill9" | "control-fill4-crop"
        | "control-xl-text" | "control-xl-fill9" => {}
        "control-text-two-each" => {
            all = vec![("order-of-pictures", |request, _| {
                let first = request.controlnets[0].image.take();
                request.controlnets[0].image = request.controlnets[1].image.take();
                request.controlnets[1].image = first;
                Ok(())
            })];
        }
        "control-text-bgr" => {
            all = vec![("order-of-channels", |request, scratch| {
                let plain = folder("plain", scratch)?.display().to_string();
                each(request, |c| c.model.clone_from(&plain))
            })];
        }
        _ => return Vec::new(),
    }
    let trial = |(what, change): (&str, Change)| {
        let case = case.clone();
        exact(format!("sensitivity::{}-{what}", case.name), move || {
            let scratch = tempfile::tempdir().map_err(told)?;
            let mut changed = request(&case, scratch.path())?;
            change(&mut changed, scratch.path())?;
            must_differ(run(changed).and_then(|outcome| deviation(&case, &outcome)))
        })
    };
    all.into_iter().map(trial).collect()
}

fn each(request: &mut Request, change: impl FnMut(&mut ControlNet)) -> Result<(), String> {
    request.controlnets.iter_mut().for_each(change);
    Ok(())
}

/// One of the convolutions between the networks, a little larger.
fn with_other_weight(request: &mut Request, scratch: &Path) -> Result<(), String> {
    let made = scratch.join("changed");
    let from = PathBuf::from(&request.controlnets[0].model);
    fs::create_dir_all(&made).map_err(told)?;
    fs::copy(from.join("config.json"), made.join("config.json")).map_err(told)?;
    let mut tensors = safetensors::load(from.join(WEIGHTS), &Device::Cpu).map_err(told)?;
    let name = "controlnet_down_blocks.0.weight";
    let larger = tensors.get(name).ok_or("no such weight")? * 1.3;
    tensors.insert(name.into(), larger.map_err(told)?);
    safetensors::save(&tensors, made.join(WEIGHTS)).map_err(told)?;
    request.controlnets[0].model = made.display().to_string();
    Ok(())
}

/// The request of a case; networks that are put together for it go to `scratch`.
pub fn request(case: &Case, scratch: &Path) -> Result<Request, String> {
    let mut plain = case.clone();
    let mut take = |option: &str| plain.settings.remove(option);
    let names: Vec<String> = list(take("controlnet"))?;
    let images: Vec<String> = list(take("control-image"))?;
    let scales: Vec<f64> = list(take("controlnet-conditioning-scale"))?;
    let starts: Vec<f64> = list(take("control-guidance-start"))?;
    let ends: Vec<f64> = list(take("control-guidance-end"))?;
    let mut request = pipelines::request(&plain)?;
    for (i, name) in names.iter().enumerate() {
        let image = images.get(i).filter(|name| *name != "from-mask");
        let default = ControlNet::default();
        request.controlnets.push(ControlNet {
            model: folder(name, scratch)?.display().to_string(),
            image: image.map(|name| ImageSource::File(fixtures::root().join("inputs").join(name))),
            conditioning_scale: scales.get(i).copied(),
            guidance_start: starts.get(i).copied().unwrap_or(default.guidance_start),
            guidance_end: ends.get(i).copied().unwrap_or(default.guidance_end),
        });
    }
    Ok(request)
}

fn list<T: DeserializeOwned>(value: Option<Value>) -> Result<Vec<T>, String> {
    value.map_or(Ok(Vec::new()), |value| serde_json::from_value(value).map_err(told))
}

fn root() -> PathBuf {
    fixtures::root().join("controlnets")
}

/// An ordinary folder of a network, made in `scratch` from its description.
fn folder(name: &str, scratch: &Path) -> Result<PathBuf, String> {
    let made = scratch.join(name);
    described::materialise(&root().join(name), &made).map_err(told)?;
    Ok(made)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn load(name: &str) -> Result<ControlNetModel, String> {
    let scratch = tempfile::tempdir().map_err(told)?;
    let folder = folder(name, scratch.path())?;
    let go_on = |_| ControlFlow::Continue(());
    let weights = Weights::open(&folder, DType::F32, &Device::Cpu, go_on).map_err(told)?;
    let config = ControlNetConfig::open(&folder.join("config.json")).map_err(told)?;
    ControlNetModel::load(config, &weights).map_err(told)
}

/// What the network `name` gives for the inputs of `inputs`, against what that one gives.
fn residuals(name: &str, inputs: &str, scale: f64, guess_mode: bool) -> Result<Deviation, String> {
    let reference = Tensors::load("units/controlnet.safetensors");
    let input = |part: &str| reference.get(&format!("{inputs}.{part}"));
    let network = load(name)?;
    let picture = input("bytes")?.to_dtype(DType::F32).and_then(|bytes| bytes / 255.0);
    let picture = network.embed(&picture.map_err(told)?).map_err(told)?;
    let added = AddedConditions {
        text_embeds: input("pooled").ok().cloned(),
        time_ids: input("ids").ok().cloned(),
        image_embeds: None,
    };
    let conditioning = Conditioning { added: Some(&added), ..Conditioning::new(input("text")?) };
    let control = Control { picture: &picture, scale, guess_mode };
    let residuals =
        network.forward(input("sample")?, TIMESTEP, conditioning, control).map_err(told)?;
    let all: Vec<&Tensor> = residuals.down.iter().chain([&residuals.mid]).collect();
    let kind = if guess_mode { "guess" } else { "plain" };
    let mut worst = Deviation::default();
    for (index, residual) in all.into_iter().enumerate() {
        let expected = reference.numbers(&format!("{inputs}.{kind}.{index}"))?;
        worst = worst.worst(Deviation::of(&numbers(residual)?, &expected)?);
    }
    Ok(worst)
}
