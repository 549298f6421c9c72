//! What a kind of model, or the reference's pipeline of it, has no use for of what a pass asks for.

use super::{EngineError, Request, Task, pass::Pass};
use crate::{
    catalog::{ModelFolder, Setting},
    diffusion::{Scheduler, SchedulerConfig, schedulers},
};

/// Why a setting is refused.
enum Lacks {
    /// The networks cannot; what, and what to do.
    Ability(&'static str, &'static str),
    /// The pipelines have no argument for it, which matters in exact runs; what has none.
    Argument(&'static str),
}

/// A setting, whether a pass has it, and what is said where the model has no use for it.
type Rule = (Setting, fn(&Request) -> bool, Lacks);

const RULES: [Rule; 10] = [
    (
        Setting::Lora,
        |pass| !pass.lora.is_empty(),
        Lacks::Ability("takes no LoRA", "leave --lora out"),
    ),
    (
        Setting::Embedding,
        |pass| !pass.embeddings.is_empty(),
        Lacks::Ability("takes no words of textual inversion", "leave --embedding out"),
    ),
    (
        Setting::ControlNet,
        |pass| !pass.controlnets.is_empty(),
        Lacks::Ability("takes no ControlNet", "leave --controlnet out"),
    ),
    (
        Setting::LongPrompts,
        |pass| pass.long_prompts,
        Lacks::Ability("reads one row of 75 tokens", "leave --long-prompts out"),
    ),
    (
        Setting::ClipSkip,
        |pass| pass.clip_skip.is_some(),
        Lacks::Ability("reads the prompt through a prior", "leave clip skip out"),
    ),
    (
        Setting::FillStrength,
        |pass| pass.task == Task::Fill && pass.strength() < 1.0,
        Lacks::Argument("inpainting has no strength"),
    ),
    (Setting::Eta, |pass| pass.eta > 0.0, Lacks::Argument("pipelines have no eta")),
    (
        Setting::GuidanceRescale,
        |pass| pass.guidance_rescale > 0.0,
        Lacks::Argument("pipelines have no guidance rescale"),
    ),
    (
        Setting::MaskCrop,
        |pass| pass.padding_mask_crop.is_some(),
        Lacks::Argument("inpainting has no padding of the mask's crop"),
    ),
    (
        Setting::Part,
        |pass| pass.denoising_start.is_some() || pass.denoising_end.is_some(),
        Lacks::Argument("pipelines run the whole schedule"),
    ),
];

/// Refuses what the pass asks for and its model cannot do, and in exact mode what the reference's
/// pipelines of it have no argument for.
///
/// # Errors
/// The first of such settings, by name.
pub fn check(Pass { request: pass, folder, .. }: &Pass) -> Result<(), EngineError> {
    let lacking = |(setting, ..): &&Rule| folder.conventions.lacks.contains(setting);
    let (name, family) = (&folder.name, folder.family.name());
    for (_, asks, lacks) in RULES.iter().filter(lacking) {
        match lacks {
            _ if !asks(pass) => {}
            Lacks::Ability(what, instead) => {
                let text = format!("{name} is of {family}, which {what}; {instead}");
                return Err(EngineError::invalid(text));
            }
            Lacks::Argument(what) if pass.exact => {
                return Err(EngineError::invalid(format!(
                    "{name}: {family}'s {what} in the reference; leave it out, or leave out --exact"
                )));
            }
            Lacks::Argument(_) => {}
        }
    }
    Ok(())
}

const VARIANCE: &str = "variance_type";

/// Only DDPM has a use for a variance that was learned. Others are given the prediction alone,
/// whatever the model's file says, which the reference cannot do.
pub fn without_unused_variance(config: &mut SchedulerConfig, named: Option<&str>) {
    let id = |name: &str| schedulers::find(name).map(|info| info.id);
    if named.or(config.class_name()).is_some_and(|class| id(class) != id("DDPM")) {
        config.values.remove(VARIANCE);
    }
}

/// Refuses schedulers that the reference's pipelines for this model fail with.
///
/// # Errors
/// If they hand its steps what its class does not take: a generator, or a learned variance.
pub fn check_scheduler(
    scheduler: &dyn Scheduler,
    config: &SchedulerConfig,
    folder: &ModelFolder,
    request: &Request,
) -> Result<(), EngineError> {
    let (class, family) = (scheduler.class_name(), folder.family.name());
    let fails = |why: &str| {
        Err(EngineError::invalid(format!(
            "the reference's pipelines of {family} fail with {class}, {why}; take DDPM, or leave \
             out --exact"
        )))
    };
    let conventions = folder.conventions;
    if conventions.hands_generator && !schedulers::step_takes_generator(class) {
        return fails("whose step takes no generator");
    }
    let learned = config.values.get(VARIANCE).and_then(|kind| kind.as_str());
    let learned = learned.is_some_and(|kind| kind.starts_with("learned"));
    let overridden = request.scheduler_options.contains_key(VARIANCE);
    if conventions.hands_variance && learned && !overridden && !scheduler.learns_variance() {
        return fails("which has no use for the learned variance of the scheduler's file");
    }
    Ok(())
}
