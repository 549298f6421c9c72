//! The passes that follow the first one: as the panel edits them, and how each will get what the
//! one before it leaves, asked of the engine before the run.

use super::{App, background::Background, models::ModelChoice, settings::tidy};
use crate::engine::{Handover, Request, Stage, Task};

/// What a further pass does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassKind {
    /// Repaints the mask, or changes the whole picture.
    Over(Task),
    /// Goes on with the run before its end, as a refiner does.
    TakesOver,
}

/// A further pass, as the panel edits it. Numbers are `f64` because sliders are.
#[derive(Clone, Debug, PartialEq)]
pub struct PassSettings {
    pub kind: PassKind,
    /// `None` is the first pass's.
    pub model: Option<String>,
    /// When it takes over, as a part of the schedule, 0 to 1.
    pub start: f64,
    /// 0 to 1.
    pub strength: f64,
    pub steps: f64,
    /// 1 is off.
    pub guidance: f64,
    /// Empty is the first pass's.
    pub prompt: String,
}

impl PassSettings {
    /// Over the finished picture, with the steps and the guidance of the first pass.
    pub fn over(task: Task, steps: f64, guidance: f64) -> Self {
        let (model, prompt) = (None, String::new());
        let kind = PassKind::Over(task);
        Self { kind, model, start: 0.8, strength: 0.5, steps, guidance, prompt }
    }

    /// A refiner that finishes the run.
    pub fn refiner(model: String, steps: f64, guidance: f64) -> Self {
        let over = Self::over(Task::Transform, steps, guidance);
        Self { kind: PassKind::TakesOver, model: Some(model), ..over }
    }

    /// What a request says about one, with the model that its name stands for.
    pub fn of(stage: &Stage, first: &Request, model: Option<String>) -> Self {
        let steps = stage.num_inference_steps.unwrap_or(first.num_inference_steps) as f64;
        let guidance = stage.guidance_scale.unwrap_or(first.guidance_scale);
        let over = Self::over(stage.task, steps, guidance);
        Self {
            kind: if stage.denoising_start.is_some() { PassKind::TakesOver } else { over.kind },
            model,
            start: stage.denoising_start.unwrap_or(over.start),
            strength: stage.strength.unwrap_or(over.strength),
            prompt: stage.prompt.clone().unwrap_or_default(),
            ..over
        }
    }

    /// Takes the numbers that its model asks for, where it does.
    pub fn take_recommended(&mut self, model: &ModelChoice) {
        let wanted = model.recommended;
        self.steps = wanted.steps.map_or(self.steps, |steps| steps as f64);
        self.guidance = wanted.guidance_scale.unwrap_or(self.guidance);
    }

    /// Puts the pass after those that a request has.
    pub fn follow(&self, request: &mut Request) {
        let prompt = Some(self.prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty());
        let stage = Stage {
            model: self.model.clone().unwrap_or_default(),
            // Both encoders read the pass's own.
            prompt_2: prompt.as_ref().and(request.prompt_2.as_ref()).map(|_| String::new()),
            prompt,
            ..Stage::default()
        };
        match self.kind {
            PassKind::TakesOver => {
                let start = Some(tidy(self.start.clamp(0.01, 0.99)));
                request.refine(Stage { denoising_start: start, ..stage });
            }
            PassKind::Over(task) => request.chain.push(Stage {
                task,
                strength: Some(tidy(self.strength)),
                num_inference_steps: Some(self.steps.round().max(1.0) as usize),
                guidance_scale: Some(tidy(self.guidance)),
                ..stage
            }),
        }
    }
}

/// How the passes hand over, as far as it is known.
#[derive(Default)]
pub struct ToldHandovers {
    /// What was asked about last.
    asked: Option<Request>,
    told: Option<Result<Vec<Handover>, String>>,
}

impl ToldHandovers {
    /// How each further pass gets what the one before it leaves, or why the chain cannot run;
    /// nothing while the answer is not there.
    pub fn told(&self) -> Option<Result<&[Handover], &str>> {
        self.told.as_ref().map(|told| told.as_deref().map_err(String::as_str))
    }

    /// Takes an answer, unless something else is asked by now.
    pub fn answered(&mut self, asked: &Request, told: Result<Vec<Handover>, String>) {
        if self.asked.as_ref() == Some(asked) {
            self.told = Some(told);
        }
    }

    /// Asks again where the answer may be another.
    fn ask(&mut self, request: &Request, background: &Background) {
        let request = essence(request);
        if self.asked.as_ref() != Some(&request) {
            (self.asked, self.told) = (Some(request.clone()), None);
            background.ask_for_handovers(request);
        }
    }
}

/// Only what the answer depends on.
fn essence(request: &Request) -> Request {
    let part = |part: Option<f64>| part.map(|_| 0.5);
    let stage = |stage: &Stage| Stage {
        task: stage.task,
        model: stage.model.clone(),
        denoising_start: part(stage.denoising_start),
        denoising_end: part(stage.denoising_end),
        ..Stage::default()
    };
    Request {
        task: request.task,
        model: request.model.clone(),
        vae: request.vae.clone(),
        denoising_end: part(request.denoising_end),
        chain: request.chain.iter().map(stage).collect(),
        ..Request::default()
    }
}

impl App {
    /// Keeps what is told under each pass right.
    pub(super) fn ask_for_handovers(&mut self) {
        let request = self.settings.request();
        if !request.chain.is_empty() {
            self.handovers.ask(&request, &self.background);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_come_back_from_the_request_that_they_make() {
        let refiner = PassSettings { start: 0.7, ..PassSettings::refiner("r".into(), 20.0, 7.0) };
        let own = PassSettings {
            strength: 0.3,
            prompt: "a red door".into(),
            ..PassSettings::over(Task::Fill, 12.0, 3.0)
        };
        let mut request = Request { task: Task::Generate, ..Request::default() };
        for pass in [&own, &refiner] {
            pass.follow(&mut request);
        }
        assert_eq!(request.chain[1].task, Task::Fill, "goes on with what is repainted");
        assert_eq!(request.chain[0].denoising_end, Some(0.7));
        assert_eq!(PassSettings::of(&request.chain[0], &request, None), own);
        assert_eq!(PassSettings::of(&request.chain[1], &request, refiner.model.clone()), refiner);
    }
}
