//! Everything that one generation needs, in one serialisable value. The window and the command
//! line build the same [`Request`]; nothing else reaches the inference thread.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{MicroConditions, PriorUse, PromptSyntax, Stage, control::ControlNet};
use crate::{
    document::{MaskTiles, PictureTiles},
    geometry::Extent,
    pixels::{Mask, Picture, blend::Blend},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Repaint the masked part of a picture.
    #[default]
    Fill,
    /// A new picture from the prompt.
    Generate,
    /// A whole picture, changed by `strength`.
    Transform,
}

/// Where a picture or mask comes from. Only paths are written when a request is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource<T> {
    File(PathBuf),
    /// Already in memory; skipped when serialised (a request file names files).
    #[serde(skip)]
    Memory(Arc<T>),
    /// Made when the job runs, on the inference thread: a snapshot of shared tiles is flattened
    /// there and not in the window. Skipped when serialised.
    #[serde(skip)]
    Deferred(Deferred<T>),
}

impl<T> ImageSource<T> {
    /// A source that is made when the job runs, on the inference thread.
    pub fn deferred(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::Deferred(Deferred(Arc::new(make)))
    }
}

impl From<PictureTiles> for ImageSource<Picture> {
    /// A document's picture at one moment, flattened when the job runs.
    fn from(tiles: PictureTiles) -> Self {
        Self::deferred(move || tiles.to_picture())
    }
}

impl From<MaskTiles> for ImageSource<Mask> {
    /// A document's mask at one moment, flattened when the job runs.
    fn from(tiles: MaskTiles) -> Self {
        Self::deferred(move || tiles.to_mask())
    }
}

/// A picture or mask still to be made. Clones share the maker and are equal to each other.
pub struct Deferred<T>(Arc<dyn Fn() -> T + Send + Sync>);

impl<T> Deferred<T> {
    /// Makes it; each call makes it anew.
    pub fn make(&self) -> T {
        (self.0)()
    }
}

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Deferred<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> std::fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deferred")
    }
}

/// What to keep besides the pictures, for comparison with other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The decoder's output before clamping.
    pub decoded: bool,
    /// The latents after each step.
    pub latents: bool,
}

/// What the hole holds before sampling starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FillMode {
    /// The picture as it is (matters below strength 1).
    #[default]
    Original,
    /// Exemplar fill from the rest of the picture.
    ContentAware,
}

/// Where the tensors live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The first accelerator this build can use, otherwise the processor.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

/// The number format the networks run in. `None` in a request means the device's usual one
/// (f32 on the processor, f16 on an accelerator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

/// Which random generator the noise comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// `torch.Generator("cpu")`: MT19937 (diffusers, ComfyUI).
    #[default]
    Torch,
    /// Philox4x32-10, as `torch` draws on CUDA (AUTOMATIC1111's default).
    Philox,
}

/// Vectors for a word of one's own, and the word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingUse {
    /// A safetensors file, or the name of one in the folders of `catalog::EMBEDDINGS`.
    pub path: PathBuf,
    /// The word that stands for it in prompts; `None`: the one in the file, or the file's name.
    #[serde(default)]
    pub token: Option<String>,
}

/// How the picture that forms is shown between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreviewMethod {
    Off,
    /// A linear map from latents to colours: nearly free, soft.
    #[default]
    Linear,
    /// A tiny autoencoder (TAESD) where this machine has one for the model's latents; otherwise as
    /// [`Self::Linear`].
    Tiny,
    /// The whole autoencoder: exact, and as costly as the final decode.
    Full,
}

/// A LoRA, and how strongly it acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraUse {
    /// A safetensors file, or the name of one in the folders of `catalog::LORAS`.
    pub path: PathBuf,
    /// Times what the file itself says; 1 is as it was trained, 0 is without, -100 to 100.
    #[serde(default = "full_scale")]
    pub scale: f64,
}

fn full_scale() -> f64 {
    1.0
}

/// One generation. Defaults are the reference's unless the field says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    pub task: Task,
    /// A catalogue id, a diffusers-layout folder, or `content-aware`.
    pub model: String,
    /// Another autoencoder than the model's: the folder of an `AutoencoderKL` or `AutoencoderTiny`,
    /// a model that has one, or a tiny autoencoder's `.safetensors`.
    pub vae: Option<String>,
    pub image: Option<ImageSource<Picture>>,
    pub mask: Option<ImageSource<Mask>>,
    pub prompt: String,
    pub negative_prompt: Option<String>,
    /// For the second text encoder, where there are two. `None` or empty: the first prompt.
    pub prompt_2: Option<String>,
    /// For the second text encoder. `None` or empty: the first negative prompt.
    pub negative_prompt_2: Option<String>,
    /// How prompts are written. `None`: AUTOMATIC1111's way, in exact mode plain.
    pub prompt_syntax: Option<PromptSyntax>,
    /// Whether all of a long prompt is read, in rows of 75 tokens; otherwise its rest is cut.
    pub long_prompts: bool,
    /// Words of one's own in prompts (textual inversion).
    pub embeddings: Vec<EmbeddingUse>,
    /// What Stable Diffusion XL is told about sizes and quality.
    pub micro_conditions: MicroConditions,
    /// What Kandinsky reads the prompt through.
    pub prior: PriorUse,
    /// 64-bit seed of the noise; `None` draws one, and the outcome says which.
    pub seed: Option<u64>,
    /// Denoising steps, 1 or more.
    pub num_inference_steps: usize,
    /// Classifier-free guidance; 1 or less runs without guidance.
    pub guidance_scale: f64,
    /// How much of the noise schedule runs, 0 to 1. `None`: 1 for fill, 0.8 for transform; in
    /// exact mode what the reference's pipeline has by default (Stable Diffusion XL: 0.9999, 0.3).
    pub strength: Option<f64>,
    /// How much of the schedule is done already, above 0 and below 1: the run goes on from there,
    /// whatever the strength, and adds no noise. Not for a new picture.
    pub denoising_start: Option<f64>,
    /// How much of the schedule is done when the run ends, above 0 and below 1; the rest is left
    /// to a refiner.
    pub denoising_end: Option<f64>,
    /// Passes over the result, one after the other.
    pub chain: Vec<Stage>,
    /// A scheduler's name; `None` takes the model's own.
    pub scheduler: Option<String>,
    /// Overrides of scheduler_config.json, key by key.
    pub scheduler_options: BTreeMap<String, serde_json::Value>,
    /// Sampling width in pixels, a multiple of 8. `None`: as the reference chooses.
    pub width: Option<u32>,
    /// Sampling height in pixels, a multiple of 8. `None`: as the reference chooses.
    pub height: Option<u32>,
    /// The size that a new picture is brought to. Without `width` and `height` it is sampled near
    /// the model's own area in these proportions. `None`: as it was sampled, as in exact mode.
    pub canvas: Option<Extent>,
    pub num_images_per_prompt: usize,
    /// DDIM's eta or TCD's gamma, 0 to 1.
    pub eta: f64,
    /// Layers of the text encoder to leave out at its end.
    pub clip_skip: Option<usize>,
    /// Guidance rescale (phi), 0 to 1.
    pub guidance_rescale: f64,
    /// Additions to the model's layers, all at once.
    pub lora: Vec<LoraUse>,
    /// Gaussian blur of the mask before use, radius in picture pixels.
    pub mask_blur: f32,
    /// Sample only the mask's surroundings, with this margin in pixels. `None`: all of the picture
    /// in exact mode, otherwise as much as the model needs to see.
    pub padding_mask_crop: Option<u32>,
    /// Paste the unmasked part of the original over the result. Without it, all of what was sampled
    /// replaces the picture there.
    pub overlay: bool,
    /// How what was made is blended into the picture. Not in exact mode.
    pub blend: Blend,
    pub fill_mode: FillMode,
    /// Networks that steer the picture by others; several work together.
    pub controlnets: Vec<ControlNet>,
    /// Lets ControlNets steer only what the prompt asks for, the finer states less: they work
    /// without a prompt then.
    pub guess_mode: bool,
    pub device: Device,
    pub dtype: Option<Dtype>,
    /// The memory that the run may take, in GiB; `None` is without limit. What does not fit is read
    /// again when it is needed, or done in parts; the picture stays the same.
    pub memory_budget: Option<f64>,
    pub noise: NoiseKind,
    pub preview: PreviewMethod,
    /// A preview every so many steps, 1 or more.
    pub preview_interval: usize,
    /// Exactly what the reference pipeline does for these arguments, and nothing else: a fill
    /// samples the whole picture resized to `width` x `height` (or the crop that
    /// `padding_mask_crop` asks for), binarises the blurred mask, and gives that picture back at
    /// that size; `overlay` is the reference's `apply_overlay`.
    ///
    /// Otherwise a fill samples the mask's surroundings at a size that suits the model, repaints
    /// every latent that the mask touches, and puts the result back through the mask with its soft
    /// edge: bytes outside the mask stay as they are.
    pub exact: bool,
    /// Not part of the picture's settings, so not serialised.
    #[serde(skip)]
    pub record: Record,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            task: Task::Fill,
            model: String::new(),
            vae: None,
            image: None,
            mask: None,
            prompt: String::new(),
            negative_prompt: None,
            prompt_2: None,
            negative_prompt_2: None,
            prompt_syntax: None,
            long_prompts: false,
            embeddings: Vec::new(),
            micro_conditions: MicroConditions::default(),
            prior: PriorUse::default(),
            seed: None,
            num_inference_steps: 20,
            guidance_scale: 7.0,
            strength: None,
            denoising_start: None,
            denoising_end: None,
            chain: Vec::new(),
            scheduler: None,
            scheduler_options: BTreeMap::new(),
            width: None,
            height: None,
            canvas: None,
            num_images_per_prompt: 1,
            eta: 0.0,
            clip_skip: None,
            guidance_rescale: 0.0,
            lora: Vec::new(),
            mask_blur: 0.0,
            padding_mask_crop: None,
            overlay: true,
            blend: Blend::default(),
            fill_mode: FillMode::Original,
            controlnets: Vec::new(),
            guess_mode: false,
            device: Device::Auto,
            dtype: None,
            memory_budget: None,
            noise: NoiseKind::Torch,
            preview: PreviewMethod::Linear,
            preview_interval: 1,
            exact: false,
            record: Record::default(),
        }
    }
}

impl Request {
    /// The strength that applies when none was named: 1 for fill, 0.8 for transform.
    pub fn strength(&self) -> f64 {
        self.strength.unwrap_or(if self.task == Task::Transform { 0.8 } else { 1.0 })
    }

    /// How prompts are read: as named, otherwise AUTOMATIC1111's way, in exact mode plain.
    pub fn syntax(&self) -> PromptSyntax {
        let default = if self.exact { PromptSyntax::Plain } else { PromptSyntax::A1111 };
        self.prompt_syntax.unwrap_or(default)
    }

    /// The sampling size, where it was named.
    pub fn size(&self) -> Option<Extent> {
        Some(Extent::new(self.width?, self.height?))
    }
}
