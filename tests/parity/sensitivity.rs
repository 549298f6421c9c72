//! The comparison can fail: each of these changes must push a case out of bounds.

use std::{fs, path::Path};

use candle_core::{Device, safetensors};
use libtest_mimic::Trial;
use overpaint::{engine::Request, geometry::Extent};
use serde_json::json;

use super::{
    compare::exact,
    pipelines::{Case, cases, deviation, request, run},
};

/// Cases of each pipeline, with and without mask channels.
const CASES: [&str; 9] = [
    "own-inpaint-pndm",
    "own-base-sharded",
    "own-base-v-img2img",
    "fill4-ddim",
    "fill9-part-unipc",
    "sd2-fill",
    "xl-text-sizes",
    "xl-fill9",
    "ensemble-fill9",
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

/// What only Stable Diffusion XL pays attention to, each with a case that does.
const ADDED: [(&str, &str, Change); 13] = [
    ("xl-text-prompt-2", "prompt-2", |r| r.prompt_2 = None),
    ("xl-text-prompt-2", "negative-prompt-2", |r| r.negative_prompt_2 = None),
    ("xl-text", "no-zeros", |r| r.negative_prompt = Some(String::new())),
    ("xl-text-sizes", "original-size", |r| {
        r.micro_conditions.original_size = Some(Extent::new(96, 72));
    }),
    ("xl-text-sizes", "crop", |r| r.micro_conditions.crops_coords_top_left = (5, 12)),
    ("xl-text-sizes", "target-size", |r| r.micro_conditions.target_size = None),
    ("xl-text-negative-sizes", "negative-crop", |r| {
        r.micro_conditions.negative_crops_coords_top_left = (9, 3);
    }),
    ("xl-image", "negative-size", |r| r.micro_conditions.negative_original_size = None),
    ("refiner-image-scores", "score", |r| r.micro_conditions.aesthetic_score = 7.0),
    ("refiner-image-scores", "negative-score", |r| {
        r.micro_conditions.negative_aesthetic_score = 1.5;
    }),
    ("xl-text-end", "end", |r| r.denoising_end = Some(0.8)),
    ("xl-text-rescale", "rescale", |r| r.guidance_rescale = 0.6),
    ("refined-fill4", "strength", |r| r.chain[0].strength = Some(0.45)),
];

/// Settings that only some schedulers heed: each with a case of one that does.
const SETTINGS: [(&str, &str, Change); 9] = [
    ("few-tcd-4", "eta", |request| request.eta = 0.35),
    ("few-tcd-4", "original-steps", |request| {
        option(request, "original_inference_steps", json!(40))
    }),
    ("few-lcm-4", "original-steps", |request| {
        option(request, "original_inference_steps", json!(40))
    }),
    ("few-lcm-2", "embedded-guidance", |request| request.guidance_scale += 0.5),
    ("few-turbo-2", "spacing", |request| option(request, "timestep_spacing", json!("leading"))),
    ("few-turbo-ancestral", "class", |request| request.scheduler = Some("Euler".into())),
    ("few-deis-fill", "solver-order", |request| option(request, "solver_order", json!(1))),
    ("few-singlestep", "algorithm", |request| {
        option(request, "algorithm_type", json!("dpmsolver++"))
    }),
    ("few-singlestep", "sigmas", |request| option(request, "use_karras_sigmas", json!(false))),
];

fn option(request: &mut Request, key: &str, value: serde_json::Value) {
    request.scheduler_options.insert(key.into(), value);
}

pub fn trials() -> Vec<Trial> {
    let all = cases();
    let find = |name: &str| all.iter().find(|case| case.name == name).cloned();
    let mut trials = Vec::new();
    for (name, what, change) in SETTINGS.into_iter().chain(ADDED) {
        trials.extend(find(name).map(|case| {
            exact(format!("sensitivity::{name}-{what}"), move || {
                let mut changed = request(&case)?;
                change(&mut changed);
                must_differ(&case, changed)
            })
        }));
    }
    for case in CASES.iter().filter_map(|name| find(name)) {
        for (what, change) in CHANGES {
            let case = case.clone();
            trials.push(exact(format!("sensitivity::{}-{what}", case.name), move || {
                let mut changed = request(&case)?;
                change(&mut changed);
                must_differ(&case, changed)
            }));
        }
        for part in ["unet", "vae", "text_encoder", "text_encoder_2"] {
            let case = case.clone();
            if !case.set.join("models").join(model(&case)).join(part).exists() {
                continue;
            }
            trials.push(exact(format!("sensitivity::{}-{part}-weight", case.name), move || {
                with_other_weight(&case, part)
            }));
        }
    }
    trials
}

/// The name of a case's model.
fn model(case: &Case) -> &str {
    case.settings.get("model").and_then(serde_json::Value::as_str).unwrap_or_default()
}

pub fn must_differ(case: &Case, changed: Request) -> Result<(), String> {
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

pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        // Parts that models share are links.
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Ends of names of weights that no normalisation undoes the scale of; the first that a component
/// has is taken.
const WEIGHTS: [&str; 5] = [
    "mid_block.attentions.0.proj_out.weight",
    "decoder.conv_out.weight",
    "layers.0.mlp.fc2.weight",
    "proj_to_clip_embeddings.weight",
    "mid_block.attentions.0.to_out.0.weight",
];

/// Multiplies one weight tensor of the component by 1.1.
pub fn enlarge(part: &Path) -> candle_core::Result<()> {
    for entry in fs::read_dir(part)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let mut tensors = safetensors::load(&path, &Device::Cpu)?;
        let ending = |end: &&str| tensors.keys().find(|name| name.ends_with(end)).cloned();
        let Some(name) = WEIGHTS.iter().find_map(ending) else { continue };
        let larger = (&tensors[&name] * 1.1)?;
        tensors.insert(name, larger);
        return safetensors::save(&tensors, &path);
    }
    candle_core::bail!("no weight to change in {}", part.display())
}
