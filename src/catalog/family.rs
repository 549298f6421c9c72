//! The lines of models, and what is special to the reference's pipelines of each.

/// The lines of models that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The width of its prompts is 768, as in Stable Diffusion 1.
    StableDiffusion1,
    /// Stable Diffusion 2's width, 1024.
    StableDiffusion2,
    /// Takes the pooled text and the picture's sizes besides the prompt.
    StableDiffusionXl,
    /// The same with aesthetic scores: makes nothing new, but finishes what another began.
    StableDiffusionXlRefiner,
    /// A decoder of Kandinsky 2.2: is told the embedding of a picture, which a prior makes from the
    /// prompt.
    Kandinsky22,
    /// The same architecture in another size, such as the starter model.
    Custom,
}

impl Family {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::StableDiffusion1 => "Stable Diffusion 1",
            Self::StableDiffusion2 => "Stable Diffusion 2",
            Self::StableDiffusionXl => "Stable Diffusion XL",
            Self::StableDiffusionXlRefiner => "Stable Diffusion XL refiner",
            Self::Kandinsky22 => "Kandinsky 2.2",
            Self::Custom => "a small latent diffusion model",
        }
    }
}

/// What the reference's pipelines of one kind do that others do otherwise, and what they and their
/// networks lack.
#[derive(Debug, PartialEq)]
pub struct Conventions {
    /// Whether they correct the schedulers' files of old.
    pub corrects_schedulers: bool,
    /// Whether they scale what goes into the network as the scheduler asks.
    pub scales_input: bool,
    /// Whether they hand every step a generator, which not all classes of schedulers take.
    pub hands_generator: bool,
    /// Whether the network predicts a variance beside the noise, which they hand on wherever the
    /// scheduler's file says that it is learned.
    pub hands_variance: bool,
    /// Their strengths where none is named, if that is not 1.
    pub fill_strength: Option<f64>,
    pub transform_strength: Option<f64>,
    pub lacks: &'static [Setting],
}

/// What not every kind of model, or every pipeline of the reference, has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    Lora,
    Embedding,
    ControlNet,
    LongPrompts,
    ClipSkip,
    FillStrength,
    Eta,
    GuidanceRescale,
    MaskCrop,
    /// A part of the schedule.
    Part,
}

impl Conventions {
    /// Stable Diffusion's.
    pub const USUAL: Self = Self {
        corrects_schedulers: true,
        scales_input: true,
        hands_generator: false,
        hands_variance: false,
        fill_strength: None,
        transform_strength: None,
        lacks: &[],
    };

    /// Those of networks that are told about sizes: Stable Diffusion XL's. Its strength is not quite
    /// 1, so that the picture shines through.
    pub const SIZED: Self = Self {
        corrects_schedulers: false,
        fill_strength: Some(0.9999),
        transform_strength: Some(0.3),
        ..Self::USUAL
    };

    /// Those of networks that are told embeddings of pictures: Kandinsky's.
    pub const IMAGE_EMBEDS: Self = Self {
        corrects_schedulers: false,
        scales_input: false,
        hands_generator: true,
        hands_variance: true,
        fill_strength: None,
        transform_strength: Some(0.3),
        lacks: &[
            Setting::Lora,
            Setting::Embedding,
            Setting::ControlNet,
            Setting::LongPrompts,
            Setting::ClipSkip,
            Setting::FillStrength,
            Setting::Eta,
            Setting::GuidanceRescale,
            Setting::MaskCrop,
            Setting::Part,
        ],
    };
}
