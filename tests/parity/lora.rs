//! LoRA in every form of the field: whole runs, and changes that must show.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, safetensors};
use libtest_mimic::Trial;
use overpaint::engine::{LoraUse, Request};

use super::{
    compare::{exact, measured},
    pipelines::{Case, cases_of, deviation, request, run},
};

/// Cases in which something is changed: one of each kind of naming.
const SENSITIVE: [&str; 4] = ["lora-peft", "lora-old-diffusers", "lora-locon", "lora-header"];

pub fn trials() -> Vec<Trial> {
    let cases = cases_of("lora.json");
    let mut trials: Vec<Trial> = cases.iter().cloned().map(same_as_the_reference).collect();
    for case in cases.into_iter().filter(|case| SENSITIVE.contains(&case.name.as_str())) {
        trials.extend(changed(&case));
    }
    trials.push(exact("lora::switched-without-reloading", switched));
    trials
}

fn same_as_the_reference(case: Case) -> Trial {
    measured(format!("lora::{}", case.name), move || deviation(&case, &run(request(&case)?)?))
}

/// The scale changed by a twentieth; without the file; with one matrix larger; with one alpha or
/// matrix gone.
fn changed(case: &Case) -> Vec<Trial> {
    let trial = |what: &str, change: fn(&mut Request, &PathBuf) -> Result<(), String>| {
        let case = case.clone();
        exact(format!("sensitivity::{}-{what}", case.name), move || {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            let mut changed = request(&case)?;
            change(&mut changed, &folder.path().join("changed.safetensors"))?;
            match deviation(&case, &run(changed)?) {
                Ok(deviation) if deviation.is_within() => Err(format!("passes: {deviation}")),
                _ => Ok(()),
            }
        })
    };
    let mut trials = vec![
        trial("scale", |request, _| {
            request.lora[0].scale *= 1.05;
            Ok(())
        }),
        trial("without", |request, _| {
            request.lora.clear();
            Ok(())
        }),
        trial("matrix", |request, file| {
            rewritten(&mut request.lora[0], file, |name, tensor| {
                let is_it = name.contains("mid_block") && name.contains("proj_in");
                Ok(Some(if is_it && is_up(name) { (tensor * 1.3)? } else { tensor.clone() }))
            })
        }),
        trial("layer-gone", |request, file| {
            rewritten(&mut request.lora[0], file, |name, tensor| {
                let is_it = name.contains("mid_block") && name.contains("proj_in");
                Ok((!is_it).then(|| tensor.clone()))
            })
        }),
    ];
    if case.name == "lora-locon" {
        trials.push(trial("alpha", |request, file| {
            rewritten(&mut request.lora[0], file, |name, tensor| {
                let is_it = name.ends_with("alpha");
                Ok(Some(if is_it { (tensor.to_dtype(DType::F32)? * 1.1)? } else { tensor.clone() }))
            })
        }));
    }
    if case.name == "lora-header" {
        trials.push(trial("header-gone", |request, file| {
            rewritten(&mut request.lora[0], file, |_, tensor| Ok(Some(tensor.clone())))
        }));
    }
    trials
}

fn is_up(name: &str) -> bool {
    [".lora_B.", ".lora.up.", ".lora_up."].iter().any(|part| name.contains(part))
}

/// Writes another file, without its header's configuration, and takes that.
fn rewritten(
    lora: &mut LoraUse,
    file: &PathBuf,
    change: impl Fn(&str, &Tensor) -> candle_core::Result<Option<Tensor>>,
) -> Result<(), String> {
    let write = || {
        let tensors = safetensors::load(&lora.path, &Device::Cpu)?;
        let mut kept = std::collections::HashMap::new();
        for (name, tensor) in &tensors {
            if let Some(tensor) = change(name, tensor)? {
                kept.insert(name.clone(), tensor);
            }
        }
        safetensors::save(&kept, file)
    };
    write().map_err(|error: candle_core::Error| error.to_string())?;
    lora.path.clone_from(file);
    Ok(())
}

/// One backend runs with a LoRA, with another scale, without it, and with it again.
fn switched() -> Result<(), String> {
    let cases = cases_of("lora.json");
    let case = cases.iter().find(|case| case.name == "lora-peft").ok_or("no such case")?;
    let with = request(case)?;
    let mut weaker = with.clone();
    weaker.lora[0].scale = 0.3;
    let without = Request { lora: Vec::new(), ..with.clone() };
    let mut backend = overpaint::engine::diffusion_backend();
    let mut last = |request: &Request| -> Result<Vec<f32>, String> {
        let outcome = backend.run(request, &mut super::pipelines::Unwatched);
        let mut outcome = outcome.map_err(|error| error.to_string())?;
        let last = outcome.recording.latents.pop().ok_or("no latents")?;
        Ok(last.values.to_vec())
    };
    let first = last(&with)?;
    let others = [last(&weaker)?, last(&without)?];
    let again = last(&with)?;
    let fresh = run(without)?.recording.latents.pop().ok_or("no latents")?;
    if first != again {
        return Err("the same request gives something else the second time".into());
    }
    if others.contains(&first) || others[0] == others[1] {
        return Err("switching changes nothing".into());
    }
    if others[1] != *fresh.values {
        return Err("something of the LoRA stays behind".into());
    }
    Ok(())
}
