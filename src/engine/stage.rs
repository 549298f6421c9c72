//! Chains: passes that run one after the other on what the one before left, such as a base model
//! and its refiner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ImageSource, PriorUse, Request, Task};
use crate::pixels::Mask;

/// One more pass over the result of the last. What is not named is the request's.
///
/// Latents are handed on as they are where both models have the same autoencoder and the next
/// takes them; otherwise the picture is decoded and encoded, and the outcome says so. One generator
/// draws for all passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stage {
    /// Fill or transform.
    pub task: Task,
    /// Empty: the request's.
    pub model: String,
    /// For a fill, of the size of the picture that is made; `None` is the request's mask.
    pub mask: Option<ImageSource<Mask>>,
    pub prompt: Option<String>,
    pub prompt_2: Option<String>,
    pub negative_prompt: Option<String>,
    pub negative_prompt_2: Option<String>,
    pub num_inference_steps: Option<usize>,
    pub guidance_scale: Option<f64>,
    /// As [`Request::strength`].
    pub strength: Option<f64>,
    /// See [`Request::denoising_start`].
    pub denoising_start: Option<f64>,
    /// See [`Request::denoising_end`].
    pub denoising_end: Option<f64>,
    /// `None` is the request's scheduler and its options, or the model's own.
    pub scheduler: Option<String>,
    pub scheduler_options: BTreeMap<String, serde_json::Value>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            task: Task::Transform,
            model: String::new(),
            mask: None,
            prompt: None,
            prompt_2: None,
            negative_prompt: None,
            negative_prompt_2: None,
            num_inference_steps: None,
            guidance_scale: None,
            strength: None,
            denoising_start: None,
            denoising_end: None,
            scheduler: None,
            scheduler_options: BTreeMap::new(),
        }
    }
}

/// How much of the schedule a refiner runs over a finished picture: its pipeline's own default.
const REFINER_STRENGTH: f64 = 0.3;

impl Stage {
    /// A refiner over a finished picture, `steps` laid out, of which three in ten run.
    pub fn refiner(model: String, steps: usize) -> Self {
        let (steps, strength) = (Some(steps), Some(REFINER_STRENGTH));
        Self { model, num_inference_steps: steps, strength, ..Self::default() }
    }

    /// A refiner that takes the run over when `start` (0 to 1) of the schedule is done.
    pub fn ensemble(model: String, start: f64) -> Self {
        Self { model, denoising_start: Some(start), ..Self::default() }
    }

    /// The request of this pass alone; its picture is what the last pass left.
    pub fn request(&self, first: &Request) -> Request {
        let own = |own: &Option<String>, first: &Option<String>| own.clone().or(first.clone());
        let named = !self.scheduler_options.is_empty() || self.scheduler.is_some();
        let (scheduler, scheduler_options) = match named {
            true => (self.scheduler.clone(), self.scheduler_options.clone()),
            false => (first.scheduler.clone(), first.scheduler_options.clone()),
        };
        let model = if self.model.is_empty() { &first.model } else { &self.model };
        Request {
            task: self.task,
            model: model.clone(),
            image: None,
            mask: self.mask.clone().or(first.mask.clone()).filter(|_| self.task == Task::Fill),
            prompt: self.prompt.clone().unwrap_or_else(|| first.prompt.clone()),
            prompt_2: own(&self.prompt_2, &first.prompt_2),
            negative_prompt: own(&self.negative_prompt, &first.negative_prompt),
            negative_prompt_2: own(&self.negative_prompt_2, &first.negative_prompt_2),
            num_inference_steps: self.num_inference_steps.unwrap_or(first.num_inference_steps),
            guidance_scale: self.guidance_scale.unwrap_or(first.guidance_scale),
            strength: self.strength,
            denoising_start: self.denoising_start,
            denoising_end: self.denoising_end,
            scheduler,
            scheduler_options,
            // Made for one model; another has layers of its own.
            lora: if *model == first.model { first.lora.clone() } else { Vec::new() },
            // They steer what the first pass lays out.
            controlnets: Vec::new(),
            guess_mode: false,
            prior: PriorUse {
                model: first.prior.model.clone().filter(|_| *model == first.model),
                ..first.prior
            },
            chain: Vec::new(),
            ..first.clone()
        }
    }
}

impl Request {
    /// Every pass of the run as a request of its own, in order.
    pub fn passes(&self) -> Vec<Self> {
        let first = Self { chain: Vec::new(), ..self.clone() };
        let later = self.chain.iter().map(|stage| stage.request(self));
        std::iter::once(first).chain(later).collect()
    }

    /// A refiner after everything else; a fill is refined where it was filled.
    pub fn refine(&mut self, stage: Stage) {
        let last = self.chain.last().map_or(self.task, |stage| stage.task);
        let task = if last == Task::Fill { Task::Fill } else { Task::Transform };
        let end = match self.chain.last_mut() {
            Some(last) => &mut last.denoising_end,
            None => &mut self.denoising_end,
        };
        *end = stage.denoising_start.or(*end);
        self.chain.push(Stage { task, ..stage });
    }
}
