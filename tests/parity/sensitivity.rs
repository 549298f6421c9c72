//! The comparison can fail: each of these changes must push a case out of bounds.

use std::{fs, path::Path};

use candle_core::{Device, safetensors};
use libtest_mimic::Trial;
use overpaint::engine::Request;
use serde_json::json;

use super::{
    compare::exact,
    pipelines::{Case, cases, deviation, request, run},
};

/// Cases of each pipeline, with and without mask channels.
const CASES: [&str; 5] = [
    "own-inpaint-pndm",
    "own-base-sharded",
    "own-base-v-img2img",
    "fill4-ddim",
    "fill9-part-unipc",
];

/// Something about a request that is not as it was.
type Change = fn(&mut Request);

const CHANGES: [(&str, Change); 7] = [
    ("seed", |request| request.seed = request.seed.map(|seed| seed + 1)),
    ("prompt", |request| request.prompt.push('s')),
    ("negative-prompt", |request| request.negative_prompt = Some("fog".into())),
    ("guidance", |request| request.guidance_scale += 0.1),
    ("clip-skip", |request| request.clip_skip = Some(1)),
    ("steps", |request| request.num_inference_steps += 1),
    ("scheduler-flag", |request| {
        request.scheduler_options.insert("beta_end".into(), json!(0.0121));
    }),
];

pub fn trials() -> Vec<Trial> {
    let all = cases();
    let find = |name: &str| all.iter().find(|case| case.name == name).cloned();
    let mut trials = Vec::new();
    for case in CASES.iter().filter_map(|name| find(name)) {
        for (what, change) in CHANGES {
            let case = case.clone();
            trials.push(exact(format!("sensitivity::{}-{what}", case.name), move || {
                let mut changed = request(&case)?;
                change(&mut changed);
                must_differ(&case, changed)
            }));
        }
        for part in ["unet", "vae", "text_encoder"] {
            let case = case.clone();
            trials.push(exact(format!("sensitivity::{}-{part}-weight", case.name), move || {
                with_other_weight(&case, part)
            }));
        }
    }
    trials
}

fn must_differ(case: &Case, changed: Request) -> Result<(), String> {
    match deviation(case, &run(changed)?) {
        Ok(deviation) if deviation.is_within() => Err(format!("passes all the same: {deviation}")),
        _ => Ok(()),
    }
}

/// One tensor of the model, a little larger.
fn with_other_weight(case: &Case, part: &str) -> Result<(), String> {
    let mut changed = request(case)?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy(Path::new(&changed.model), folder.path()).map_err(|error| error.to_string())?;
    enlarge(&folder.path().join(part)).map_err(|error| error.to_string())?;
    changed.model = folder.path().display().to_string();
    must_differ(case, changed)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Ends of names of weights that no normalisation undoes the scale of.
const WEIGHTS: [&str; 3] = [
    "mid_block.attentions.0.proj_out.weight",
    "decoder.conv_out.weight",
    "layers.0.mlp.fc2.weight",
];

/// Multiplies one weight tensor of the component by 1.1.
fn enlarge(part: &Path) -> candle_core::Result<()> {
    for entry in fs::read_dir(part)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let mut tensors = safetensors::load(&path, &Device::Cpu)?;
        let chosen = |name: &&String| WEIGHTS.iter().any(|end| name.ends_with(end));
        let Some(name) = tensors.keys().find(chosen).cloned() else { continue };
        let larger = (&tensors[&name] * 1.1)?;
        tensors.insert(name, larger);
        return safetensors::save(&tensors, &path);
    }
    candle_core::bail!("no weight to change in {}", part.display())
}
