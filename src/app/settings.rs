//! What the panel at the right edits, and the request that follows from it.

use std::{path::PathBuf, time::Duration};

use super::{
    controls::ControlSettings, embeddings::Embeddings, loras::LoraChoice, passes::PassSettings,
};
use crate::{
    engine::{
        FillMode, MicroConditions, NoiseKind, PreviewMethod, PriorUse, PromptSyntax, Request, Task,
    },
    pixels::blend::{Blend, Edge, EdgeWidth, Seam},
};

/// Where the next seed comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedChoice {
    /// A new one for every run; it is shown afterwards.
    Random,
    Fixed,
}

/// The generation settings, as the window edits them. Numbers are `f64` because sliders are.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What Generate does.
    pub task: Task,
    pub model: String,
    pub prompt: String,
    pub negative_prompt: String,
    /// For the second text encoder, where the model has two; empty is as the first.
    pub prompt_2: String,
    pub negative_prompt_2: String,
    pub prompt_syntax: PromptSyntax,
    /// Whether all of long prompts is read.
    pub long_prompts: bool,
    /// Layers of the text encoders to leave out.
    pub clip_skip: f64,
    pub embeddings: Embeddings,
    pub micro_conditions: MicroConditions,
    /// Whether the model samples; without that nothing can follow.
    pub diffuses: bool,
    /// The passes after the first.
    pub then: Vec<PassSettings>,
    pub prior: Prior,
    /// 0 to 1.
    pub strength: f64,
    /// 1 is off.
    pub guidance: f64,
    pub steps: f64,
    pub seed_choice: SeedChoice,
    /// The seed to use when fixed, and the last one used when random.
    pub seed: u64,
    /// A folder or file in place of the model's own autoencoder.
    pub vae: Option<PathBuf>,
    /// `None` is the model's own.
    pub scheduler: Option<String>,
    pub loras: Vec<LoraChoice>,
    /// Noise of each step, 0 to 1, for the schedulers that heed it.
    pub eta: f64,
    /// Gaussian radius in picture pixels.
    pub mask_blur: f64,
    pub blend: BlendSettings,
    pub fill_mode: FillMode,
    pub preview: PreviewMethod,
    pub controls: Vec<ControlSettings>,
    /// Counts where there are ControlNets.
    pub guess_mode: bool,
    /// GiB that a run may take; 0 is without limit.
    pub memory_budget: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            task: Task::Fill,
            model: String::new(),
            prompt: String::new(),
            negative_prompt: String::new(),
            prompt_2: String::new(),
            negative_prompt_2: String::new(),
            prompt_syntax: PromptSyntax::A1111,
            long_prompts: false,
            clip_skip: 0.0,
            embeddings: Embeddings::default(),
            micro_conditions: MicroConditions::default(),
            diffuses: true,
            then: Vec::new(),
            prior: Prior::default(),
            strength: 1.0,
            guidance: 7.0,
            steps: 20.0,
            seed_choice: SeedChoice::Random,
            seed: 0,
            vae: None,
            scheduler: None,
            loras: Vec::new(),
            eta: 0.0,
            mask_blur: 0.0,
            blend: BlendSettings::default(),
            fill_mode: FillMode::Original,
            preview: PreviewMethod::Linear,
            controls: Vec::new(),
            guess_mode: false,
            memory_budget: 0.0,
        }
    }
}

impl Settings {
    /// The request of these settings, without pictures.
    pub fn request(&self) -> Request {
        let named = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let pair = self.embeddings.shape.is_pair();
        let texts = [&self.prompt, &self.negative_prompt, &self.prompt_2, &self.negative_prompt_2];
        let texts = texts.into_iter().chain(self.then.iter().map(|pass| &pass.prompt));
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        let clip_skip = self.clip_skip.round() as usize;
        let mut request = Request {
            task: self.task,
            model: self.model.clone(),
            prompt: self.prompt.trim().to_owned(),
            negative_prompt: named(&self.negative_prompt),
            prompt_2: named(&self.prompt_2).filter(|_| pair),
            negative_prompt_2: named(&self.negative_prompt_2).filter(|_| pair),
            prompt_syntax: Some(self.prompt_syntax),
            long_prompts: self.long_prompts,
            clip_skip: (clip_skip > 0).then_some(clip_skip),
            embeddings: self.embeddings.wanted(&texts),
            micro_conditions: self.micro_conditions,
            seed: (self.seed_choice == SeedChoice::Fixed).then_some(self.seed),
            num_inference_steps: self.steps.round().max(1.0) as usize,
            guidance_scale: tidy(self.guidance),
            strength: Some(tidy(self.strength)),
            vae: self.vae.as_ref().map(|path| path.display().to_string()),
            scheduler: self.scheduler.clone(),
            lora: self.loras.iter().filter_map(LoraChoice::wanted).collect(),
            eta: tidy(self.eta),
            mask_blur: self.mask_blur as f32,
            blend: self.blend.blend(),
            fill_mode: self.fill_mode,
            preview: self.preview,
            memory_budget: (self.memory_budget > 0.0).then_some(self.memory_budget),
            noise: NoiseKind::Torch,
            ..Request::default()
        };
        for pass in self.then.iter().filter(|_| self.diffuses) {
            pass.follow(&mut request);
        }
        if self.prior.is_read_through {
            self.prior.suit(&mut request);
        }
        request
    }

    /// A pass to go on with: over what was filled, or over everything.
    pub fn another_pass(&self) -> PassSettings {
        let task = if self.task == Task::Fill { Task::Fill } else { Task::Transform };
        PassSettings::over(task, self.steps, self.guidance)
    }

    /// Another task, and the strength that it usually wants.
    pub fn set_task(&mut self, task: Task) {
        if task != self.task {
            self.strength = if task == Task::Transform { TRANSFORM_STRENGTH } else { 1.0 };
            self.task = task;
        }
    }
}

/// Without what a slider's arithmetic leaves behind the digits that it shows: 0.6000000000000001.
pub fn tidy(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Changes a picture visibly and keeps its composition.
const TRANSFORM_STRENGTH: f64 = 0.6;

/// What reads the prompt where the model does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// Whether the model wants it.
    pub is_read_through: bool,
    pub steps: f64,
    pub guidance: f64,
}

impl Default for Prior {
    fn default() -> Self {
        let PriorUse { num_inference_steps, guidance_scale, .. } = PriorUse::default();
        Self { is_read_through: false, steps: num_inference_steps as f64, guidance: guidance_scale }
    }
}

impl Prior {
    /// Says how it reads, and leaves out what was chosen for other models and would be refused.
    fn suit(&self, request: &mut Request) {
        request.prior = PriorUse {
            model: None,
            num_inference_steps: self.steps.round().max(2.0) as usize,
            guidance_scale: tidy(self.guidance),
        };
        (request.lora, request.embeddings) = (Vec::new(), Vec::new());
        (request.clip_skip, request.long_prompts) = (None, false);
    }
}

/// How results are blended into the picture; changes what waits on the canvas at once.
#[derive(Clone, Debug, PartialEq)]
pub struct BlendSettings {
    /// Whether the widths below follow the mask and the strength.
    pub automatic: bool,
    /// Picture pixels.
    pub grow: f64,
    pub feather: f64,
    pub fade: f64,
    pub color_match: bool,
    pub seam: Seam,
    /// 0 to 1.
    pub opacity: f64,
}

impl Default for BlendSettings {
    fn default() -> Self {
        let (grow, feather, fade) = (0.0, 0.0, 0.0);
        let Blend { color_match, seam, .. } = Blend::default();
        Self { automatic: true, grow, feather, fade, color_match, seam, opacity: 1.0 }
    }
}

impl From<Blend> for BlendSettings {
    fn from(blend: Blend) -> Self {
        let px = |width: EdgeWidth| match width {
            EdgeWidth::Px(px) => f64::from(px),
            EdgeWidth::Auto => 0.0,
        };
        Self {
            automatic: blend.edge == Edge::AUTO,
            grow: px(blend.edge.grow),
            feather: px(blend.edge.feather),
            fade: px(blend.edge.fade),
            color_match: blend.color_match,
            seam: blend.seam,
            opacity: f64::from(blend.opacity),
        }
    }
}

impl BlendSettings {
    /// As a request takes it.
    pub fn blend(&self) -> Blend {
        let px = |width: f64| EdgeWidth::Px(width as f32);
        let own = Edge { grow: px(self.grow), feather: px(self.feather), fade: px(self.fade) };
        Blend {
            edge: if self.automatic { Edge::AUTO } else { own },
            color_match: self.color_match,
            seam: self.seam,
            opacity: self.opacity as f32,
        }
    }
}

/// How the mask is drawn over the picture; no influence on the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    pub visible: bool,
    /// sRGB.
    pub color: [u8; 3],
    /// 0 to 1.
    pub opacity: f64,
}

impl Default for Overlay {
    fn default() -> Self {
        Self { visible: true, color: [255, 45, 45], opacity: 0.5 }
    }
}

/// A line that goes away by itself, or stays until closed when it is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub text: String,
    pub is_error: bool,
    /// `egui` time at which it goes away.
    pub until: Option<f64>,
}

impl Notice {
    /// How long news stay on the screen.
    pub const LIFETIME: Duration = Duration::from_secs(5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stage;

    #[test]
    fn a_refiner_is_a_pass_of_the_chain() {
        let mut settings = Settings::default();
        assert!(settings.request().chain.is_empty());
        settings.then.push(PassSettings::refiner("refiner".into(), 20.0, 7.0));
        let request = settings.request();
        assert_eq!((request.denoising_end, request.chain.len()), (Some(0.8), 1));
        assert_eq!(
            request.chain[0],
            Stage { task: Task::Fill, ..Stage::ensemble("refiner".into(), 0.8) }
        );
        settings.diffuses = false;
        let request = settings.request();
        assert_eq!((request.denoising_end, request.chain.len()), (None, 0));
    }

    #[test]
    fn what_is_read_through_a_prior_takes_no_additions() {
        let mut settings = Settings { clip_skip: 2.0, long_prompts: true, ..Settings::default() };
        settings.prior.steps = 7.0;
        assert_eq!(settings.request().prior, PriorUse::default());
        settings.prior.is_read_through = true;
        let request = settings.request();
        assert_eq!((request.clip_skip, request.long_prompts), (None, false));
        assert_eq!(request.prior, PriorUse { num_inference_steps: 7, ..PriorUse::default() });
    }

    #[test]
    fn a_blend_comes_back_from_the_panel_as_it_went_in() {
        let own = Edge { grow: EdgeWidth::Px(3.0), ..Edge::default() };
        for edge in [Edge::AUTO, Edge::default(), own] {
            let blend = Blend { edge, opacity: 0.5, color_match: false, seam: Seam::Feather };
            assert_eq!(BlendSettings::from(blend).blend(), blend);
        }
    }

    #[test]
    fn a_request_says_what_the_panel_says() {
        let mut settings = Settings { seed: 9, ..Settings::default() };
        settings.prompt = "  moss  ".into();
        assert_eq!(settings.request().prompt, "moss");
        assert_eq!(settings.request().seed, None);
        assert_eq!(settings.request().negative_prompt, None);
        settings.seed_choice = SeedChoice::Fixed;
        settings.negative_prompt = "blur".into();
        assert_eq!(settings.request().seed, Some(9));
        assert_eq!(settings.request().negative_prompt.as_deref(), Some("blur"));
    }
}
