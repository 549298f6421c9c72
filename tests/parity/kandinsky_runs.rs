//! Kandinsky 2.2: whole runs of prior and decoder with one generator, as the reference's combined
//! pipelines have it, and what must change them.

use std::{path::Path, sync::Arc};

use libtest_mimic::Trial;
use overpaint::{
    catalog,
    engine::{
        EngineError, LoraUse, Monitor, PassNumber, Request, compositing::placed, diffusion_backend,
        memory, preflight,
    },
    geometry::{Bounds, Extent},
    pixels::{
        Picture,
        codec::{load_mask, load_picture},
    },
};
use serde_json::json;

use super::{
    compare::{exact, measured},
    fixtures,
    kandinsky::{fixtures as folder, models},
    pipelines::{Case, Cases, deviation, request, run},
    sensitivity::{copy, enlarge, must_differ},
};

pub fn trials() -> Vec<Trial> {
    let all = cases();
    let find = |name: &str| all.iter().find(|case| case.name == name).cloned();
    let mut trials = Vec::new();
    for case in all.clone() {
        let name = format!("kandinsky::{}", case.name);
        trials.push(measured(name, move || deviation(&case, &run(whole(&case)?)?)));
    }
    for case in CASES.iter().filter_map(|name| find(name)) {
        for (what, change) in CHANGES {
            let case = case.clone();
            trials.push(exact(format!("kandinsky::sensitivity-{}-{what}", case.name), move || {
                let mut changed = whole(&case)?;
                change(&mut changed);
                must_differ(&case, changed)
            }));
        }
        for (model, part) in PARTS {
            let case = case.clone();
            let name = format!("kandinsky::sensitivity-{}-{model}-{part}", case.name);
            trials.push(exact(name, move || with_other_weight(&case, model, part)));
        }
    }
    for name in ["fill", "fill-wide"] {
        let Some(case) = find(name) else { continue };
        trials.push(exact(format!("kandinsky::product-{name}"), move || keeps_the_rest(&case)));
    }
    for name in CASES {
        let Some(case) = find(name) else { continue };
        let name = format!("kandinsky::least-memory-{name}");
        trials.push(exact(name, move || least_memory(&case)));
    }
    if let Some(case) = find("text") {
        trials.push(exact("kandinsky::product-other-scheduler", move || {
            let mut request = whole(&case)?;
            (request.exact, request.scheduler) = (false, Some("DPM++ 2M Karras".into()));
            run(request).map(drop)
        }));
    }
    for (name, says, change) in REFUSED {
        let Some(case) = find(name) else { continue };
        let what = says.replace(' ', "-");
        trials.push(exact(format!("kandinsky::refused-{name}-{what}"), move || {
            let mut changed = whole(&case)?;
            change(&mut changed);
            match preflight(&changed).map_err(|error| error.to_string()) {
                Err(text) if text.contains(says) => Ok(()),
                other => Err(format!("not refused so: {:?}", other.err())),
            }
        }));
    }
    trials
}

/// What Kandinsky, or the reference's pipeline of it, has no use for.
const REFUSED: [(&str, &str, Change); 13] = [
    ("fill", "takes no LoRA", |r| {
        r.lora = vec![LoraUse { path: "x.safetensors".into(), scale: 1.0 }];
    }),
    ("text", "clip skip", |r| r.clip_skip = Some(1)),
    ("text", "long-prompts", |r| r.long_prompts = true),
    ("fill", "has no strength", |r| r.strength = Some(0.5)),
    ("text", "no eta", |r| r.eta = 0.5),
    ("fill", "padding", |r| r.padding_mask_crop = Some(4)),
    ("text", "learned variance", |r| r.scheduler = Some("DDIM".into())),
    ("text", "learns no variance", |r| r.scheduler = Some("DPMSolverMultistep".into())),
    ("text", "takes no generator", |r| r.scheduler = Some("UniPC".into())),
    ("fill", "takes no generator", |r| r.scheduler = Some("Heun".into())),
    ("text", "2 to 1000", |r| r.prior.num_inference_steps = 1),
    ("text", "no prior", |r| r.prior.model = Some(r.model.clone())),
    ("text", "name a decoder", |r| r.model = models().join("models/prior").display().to_string()),
];

/// Without exact mode a fill changes what the mask touches and not one byte else, and is shown as it
/// forms.
fn keeps_the_rest(case: &Case) -> Result<(), String> {
    let request = Request {
        exact: false,
        overlay: true,
        width: None,
        height: None,
        strength: Some(0.7),
        scheduler: Some("Euler".into()),
        num_inference_steps: 6,
        ..whole(case)?
    };
    let inputs = fixtures::root().join("inputs");
    let file = |option: &str| inputs.join(case.settings[option].as_str().unwrap_or_default());
    let original = load_picture(&file("image")).map_err(|error| error.to_string())?;
    let mask = load_mask(&file("mask")).map_err(|error| error.to_string())?;
    let mut watcher = Previews(0);
    let outcome = diffusion_backend().run(&request, &mut watcher).map_err(|e| e.to_string())?;
    let made = placed(&outcome.request, Some(&original), &outcome.images[0]);
    let pixels = original.bytes().chunks_exact(4).zip(made.bytes().chunks_exact(4));
    let (mut inside, mut outside) = (0, 0);
    for ((old, new), &covered) in pixels.zip(mask.bytes()) {
        match covered {
            0 => outside += usize::from(old != new),
            _ => inside += usize::from(old != new),
        }
    }
    // Strength 0.7 of 6 steps.
    match (outside, inside, watcher.0) {
        (0, 10.., 4) => Ok(()),
        counts => Err(format!("pixels changed outside, inside, previews: {counts:?}")),
    }
}

/// Under the smallest budget that does, where every part leaves memory while others work, the same
/// pictures are made.
fn least_memory(case: &Case) -> Result<(), String> {
    const SIDE: u32 = 160;
    let pictures = |request: Request| {
        let outcome = run(request)?;
        Ok::<_, String>(outcome.images.into_iter().map(|made| made.picture).collect::<Vec<_>>())
    };
    let free = Request {
        exact: false,
        width: Some(SIDE),
        height: Some(SIDE),
        num_images_per_prompt: 2,
        num_inference_steps: 2,
        ..whole(case)?
    };
    let catalog::Model::Diffusion(folder) = preflight(&free).map_err(|error| error.to_string())?
    else {
        return Err("the case's model is none that diffuses".into());
    };
    let foreseen = |memory_budget: Option<f64>| {
        let request = Request { memory_budget, ..free.clone() };
        memory::foresee(&folder, &request, Extent::new(SIDE, SIDE))
    };
    let plenty = foreseen(None).map_err(|error| error.to_string())?;
    // In steps of 1/8 MiB down to where there is no way.
    let gib = |step: u64| (plenty - (step << 17)) as f64 / (1u64 << 30) as f64;
    let least = (1..plenty >> 17).map(gib).take_while(|&budget| foreseen(Some(budget)).is_ok());
    let least = least.last().ok_or("nothing leaves memory")?;
    let tight = Request { memory_budget: Some(least), ..free.clone() };
    match pictures(free)? == pictures(tight)? {
        true => Ok(()),
        false => Err(format!("other pictures with a budget of {least} GiB")),
    }
}

/// Counts previews.
struct Previews(usize);

impl Monitor for Previews {
    fn is_cancelled(&mut self) -> bool {
        false
    }

    fn loading(&mut self, _: &str, _: Option<f32>) -> Result<(), EngineError> {
        Ok(())
    }

    fn pass(&mut self, _: PassNumber) -> Result<(), EngineError> {
        Ok(())
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), EngineError> {
        Ok(())
    }

    fn preview(&mut self, _: usize, _: Bounds, _: Arc<Picture>) {
        self.0 += 1;
    }
}

fn cases() -> Vec<Case> {
    let table: Cases = fixtures::read_file(&folder().join("cases.json"));
    table.cases.into_iter().map(|case| Case { set: folder(), ..case }).collect()
}

/// The request of a case; the prior lies beside the decoder.
fn whole(case: &Case) -> Result<Request, String> {
    request(&Case { set: models().to_path_buf(), ..case.clone() })
}

/// One of each pipeline, none with a negative prompt.
const CASES: [&str; 3] = ["text", "transform", "fill"];

/// Something about a request that is not as it was.
type Change = fn(&mut Request);

const CHANGES: [(&str, Change); 8] = [
    ("seed", |request| request.seed = request.seed.map(|seed| seed + 1)),
    ("prompt", |request| request.prompt.push('s')),
    // Not the same as none.
    ("negative-prompt", |request| request.negative_prompt = Some(String::new())),
    ("guidance", |request| request.guidance_scale += 0.1),
    ("steps", |request| request.num_inference_steps += 1),
    ("prior-guidance", |request| request.prior.guidance_scale += 0.1),
    ("prior-steps", |request| request.prior.num_inference_steps += 1),
    // Image-to-image runs only the last step, in which the first beta counts.
    ("scheduler-flag", |request| {
        request.scheduler_options.insert("beta_start".into(), json!(0.003));
        request.scheduler_options.insert("beta_end".into(), json!(0.016));
    }),
];

/// Models and their parts; `decoder` is the case's own.
const PARTS: [(&str, &str); 5] = [
    ("decoder", "unet"),
    ("decoder", "movq"),
    ("prior", "prior"),
    ("prior", "text_encoder"),
    ("prior", "image_encoder"),
];

/// One tensor of a part, a little larger.
fn with_other_weight(case: &Case, model: &str, part: &str) -> Result<(), String> {
    let mut changed = whole(case)?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let place = |name: &str| folder.path().join(name);
    let prior = models().join("models/prior");
    for (name, from) in [("decoder", Path::new(&changed.model)), ("prior", &prior)] {
        copy(from, &place(name)).map_err(|error| error.to_string())?;
    }
    enlarge(&place(model).join(part)).map_err(|error| error.to_string())?;
    changed.model = place("decoder").display().to_string();
    changed.prior.model = Some(place("prior").display().to_string());
    must_differ(case, changed)
}
