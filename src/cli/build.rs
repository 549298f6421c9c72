//! From arguments to a request and what to do with its result.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Failure,
    arguments::{
        Added, Blending, Common, Fill, Generate, Machine, Outputs, Prior, Refiner, Settings,
        Transform,
    },
    controls, files,
};
use crate::{
    catalog,
    engine::{ImageSource, PreviewMethod, Record, Request, Stage, Task},
};

/// One run.
pub struct Run {
    pub request: Request,
    pub outputs: Outputs,
    /// Where the picture goes.
    pub output: PathBuf,
    pub threads: Option<usize>,
}

/// The reference's own defaults, for exact runs.
const EXACT_STEPS: usize = 50;
const EXACT_GUIDANCE: f64 = 7.5;
/// The same of Stable Diffusion XL, and of latent consistency models, but for inpainting.
const XL_EXACT: (usize, f64) = (EXACT_STEPS, 5.0);
const LCM_EXACT: (usize, f64) = (4, 8.5);
const KANDINSKY_EXACT: (usize, f64) = (100, 4.0);

pub fn fill(arguments: Fill) -> Result<Run, Failure> {
    let mut request = base(&arguments.common, Task::Fill)?;
    let image = arguments.image.map(ImageSource::File);
    request.image = image.or(request.image);
    request.mask = arguments.mask.map(ImageSource::File).or(request.mask);
    set(&mut request.mask_blur, arguments.mask_blur);
    request.padding_mask_crop = arguments.padding_mask_crop.or(request.padding_mask_crop);
    set(&mut request.fill_mode, arguments.fill_mode);
    blend(&mut request, &arguments.blending);
    match arguments.overlay {
        Some(overlay) => request.overlay = overlay,
        None if arguments.common.request.is_none() => request.overlay = !request.exact,
        None => {}
    }
    finish(request, arguments.common, "-filled")
}

fn blend(request: &mut Request, blending: &Blending) {
    let blend = &mut request.blend;
    set(&mut blend.edge.grow, blending.mask_grow);
    set(&mut blend.edge.feather, blending.mask_feather);
    set(&mut blend.edge.fade, blending.mask_fade);
    set(&mut blend.color_match, blending.color_match);
    set(&mut blend.seam, blending.seam);
    set(&mut blend.opacity, blending.blend_opacity);
}

pub fn generate(arguments: Generate) -> Result<Run, Failure> {
    let mut request = base(&arguments.common, Task::Generate)?;
    (request.image, request.mask) = (None, None);
    finish(request, arguments.common, "")
}

pub fn transform(arguments: Transform) -> Result<Run, Failure> {
    let mut request = base(&arguments.common, Task::Transform)?;
    request.image = arguments.image.map(ImageSource::File).or(request.image);
    request.mask = None;
    finish(request, arguments.common, "-transformed")
}

/// The request of the file, or the defaults, with the common options over it.
fn base(common: &Common, task: Task) -> Result<Request, Failure> {
    let settings = &common.settings;
    let mut request = match &common.request {
        Some(file) => read_request(file)?,
        None => Request::default(),
    };
    request.task = task;
    request.exact |= common.exact;
    set(&mut request.model, settings.model.clone());
    if request.model.is_empty() {
        request.model = default_model(&request, settings.prompt.is_some()).into();
    }
    if common.request.is_none() {
        recommend(&mut request)?;
    }
    apply(&mut request, settings);
    add(&mut request, &common.added);
    read_through(&mut request, &common.prior);
    refine(&mut request, &common.refiner);
    controls::apply(&mut request, &common.controls)?;
    set(&mut request.device, common.machine.device);
    request.dtype = common.machine.dtype.or(request.dtype);
    request.memory_budget = common.machine.memory_budget.or(request.memory_budget);
    Ok(request)
}

/// The model where nobody names one. The default fill reads no words and draws nothing new, so a
/// prompt, or a task that is not a fill, takes the built-in model that does.
fn default_model(request: &Request, has_prompt: bool) -> &'static str {
    let wants_words = has_prompt || !request.prompt.is_empty();
    if request.task == Task::Fill && !request.exact && !wants_words {
        catalog::default_id()
    } else {
        catalog::STARTER
    }
}

/// Steps and guidance where nobody names them: the reference's, the model's or the program's own.
fn recommend(request: &mut Request) -> Result<(), Failure> {
    let model = catalog::find(&request.model).map_err(Failure::bad)?;
    if request.exact {
        let (steps, guidance) = exact_defaults(&model, request.task);
        request.num_inference_steps = steps;
        request.guidance_scale = guidance;
    } else if let catalog::Model::Diffusion(folder) = model {
        set(&mut request.num_inference_steps, folder.recommended.steps);
        set(&mut request.guidance_scale, folder.recommended.guidance_scale);
        set(&mut request.eta, folder.recommended.eta);
        request.scheduler = folder.recommended.scheduler.map(str::to_owned);
    }
    Ok(())
}

/// Steps and guidance scale that the reference's pipeline has by default.
fn exact_defaults(model: &catalog::Model, task: Task) -> (usize, f64) {
    match model {
        catalog::Model::Diffusion(folder) if folder.image_embeds.is_some() => KANDINSKY_EXACT,
        // The other families' inpainting is that of Stable Diffusion 1.
        _ if task == Task::Fill => (EXACT_STEPS, EXACT_GUIDANCE),
        catalog::Model::Diffusion(folder) if folder.latent_consistency => LCM_EXACT,
        catalog::Model::Diffusion(folder) if folder.takes_sizes => XL_EXACT,
        _ => (EXACT_STEPS, EXACT_GUIDANCE),
    }
}

fn apply(request: &mut Request, settings: &Settings) {
    request.vae = settings.vae.clone().or_else(|| request.vae.take());
    set(&mut request.prompt, settings.prompt.clone());
    if settings.negative_prompt.is_some() {
        request.negative_prompt.clone_from(&settings.negative_prompt);
    }
    request.prompt_syntax = settings.prompt_syntax.or(request.prompt_syntax);
    request.long_prompts |= settings.long_prompts;
    if !settings.embedding.is_empty() {
        request.embeddings.clone_from(&settings.embedding);
    }
    if settings.scheduler.is_some() {
        request.scheduler.clone_from(&settings.scheduler);
    }
    request.scheduler_options.extend(settings.scheduler_option.iter().cloned());
    request.seed = settings.seed.or(request.seed);
    set(&mut request.num_inference_steps, settings.num_inference_steps);
    set(&mut request.guidance_scale, settings.guidance_scale);
    request.strength = settings.strength.or(request.strength);
    request.width = settings.width.or(request.width);
    request.height = settings.height.or(request.height);
    set(&mut request.num_images_per_prompt, settings.num_images_per_prompt);
    set(&mut request.eta, settings.eta);
    request.clip_skip = settings.clip_skip.or(request.clip_skip);
    set(&mut request.guidance_rescale, settings.guidance_rescale);
    if !settings.lora.is_empty() {
        request.lora.clone_from(&settings.lora);
    }
    set(&mut request.noise, settings.noise);
}

fn add(request: &mut Request, added: &Added) {
    request.prompt_2 = added.prompt_2.clone().or(request.prompt_2.take());
    request.negative_prompt_2 =
        added.negative_prompt_2.clone().or(request.negative_prompt_2.take());
    request.denoising_end = added.denoising_end.or(request.denoising_end);
    let told = &mut request.micro_conditions;
    told.original_size = added.original_size.or(told.original_size);
    told.target_size = added.target_size.or(told.target_size);
    told.negative_original_size = added.negative_original_size.or(told.negative_original_size);
    told.negative_target_size = added.negative_target_size.or(told.negative_target_size);
    set(&mut told.crops_coords_top_left, added.crops_coords_top_left);
    set(&mut told.negative_crops_coords_top_left, added.negative_crops_coords_top_left);
    set(&mut told.aesthetic_score, added.aesthetic_score);
    set(&mut told.negative_aesthetic_score, added.negative_aesthetic_score);
}

fn read_through(request: &mut Request, prior: &Prior) {
    let read_through = &mut request.prior;
    read_through.model = prior.prior.clone().or(read_through.model.take());
    set(&mut read_through.num_inference_steps, prior.prior_num_inference_steps);
    set(&mut read_through.guidance_scale, prior.prior_guidance_scale);
}

/// Where an ensemble's refiner takes over when nobody says.
const REFINER_START: f64 = 0.8;

fn refine(request: &mut Request, refiner: &Refiner) {
    let Some(model) = &refiner.refiner else { return };
    request.refine(match refiner.refiner_steps {
        Some(steps) => Stage::refiner(model.clone(), steps),
        None => Stage::ensemble(model.clone(), refiner.refiner_start.unwrap_or(REFINER_START)),
    });
}

fn set<T>(value: &mut T, option: Option<T>) {
    if let Some(option) = option {
        *value = option;
    }
}

fn read_request(file: &Path) -> Result<Request, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Bad(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| bad(&error))?;
    serde_json::from_str(&text).map_err(|error| bad(&format!("not a request: {error}")))
}

/// Previews only where somebody sees them; recordings only where they are written.
fn finish(mut request: Request, common: Common, suffix: &str) -> Result<Run, Failure> {
    let Common { outputs, machine: Machine { threads, .. }, .. } = common;
    request.preview = match outputs.preview_dir {
        Some(_) => outputs.preview.unwrap_or_default(),
        None => PreviewMethod::Off,
    };
    request.record =
        Record { decoded: outputs.output_float.is_some(), latents: outputs.trace.is_some() };
    let output = match &outputs.output {
        Some(output) => output.clone(),
        None => files::default_output(&request, suffix),
    };
    let run = Run { request, outputs, output, threads };
    files::check_outputs(&run)?;
    Ok(run)
}
