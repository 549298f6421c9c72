//! A model's folder, as [`inspect`](super::inspect) found it.

use std::path::{Path, PathBuf};

use super::{CatalogError, Conventions, Family, FewSteps, SingleFile, stored};

/// A model in `diffusers` layout that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFolder {
    pub path: PathBuf,
    /// The single file that the folder describes, where it does.
    pub file: Option<PathBuf>,
    /// Whether it comes without an autoencoder, so that one must be named.
    pub lacks_autoencoder: bool,
    /// For a person.
    pub name: String,
    pub family: Family,
    /// 4 for plain models, 9 for those made for inpainting.
    pub in_channels: usize,
    /// The part that makes latents of pictures: `vae` or `movq`.
    pub autoencoder_part: &'static str,
    /// Width of the pictures' embeddings that it is told in place of a prompt, where it is
    /// ([`Family::Kandinsky22`]).
    pub image_embeds: Option<usize>,
    /// The side, in pixels, that the model paints best at.
    pub native_size: u32,
    /// The side, in pixels, that the reference samples at when no size is named.
    pub reference_size: u32,
    /// Pixels a side that one latent stands for: 8 for the usual autoencoder.
    pub latent_pixels: u32,
    /// What sampled sides must be multiples of, in pixels.
    pub side_unit: u32,
    /// Whether the network is told about sizes ([`Family::StableDiffusionXl`] and its refiner).
    pub takes_sizes: bool,
    /// Whether it is told aesthetic scores instead of a target size.
    pub wants_aesthetic_scores: bool,
    /// Whether zeros stand for the negative prompt where none is given.
    pub zero_negative: bool,
    /// What the network predicts: `epsilon`, `v_prediction` or `sample`.
    pub prediction_type: String,
    /// Whether its own pipelines are those of latent consistency models.
    pub latent_consistency: bool,
    /// How it was distilled, where it was.
    pub few_steps: Option<FewSteps>,
    pub recommended: Recommended,
    /// What is special to the reference's pipelines for it.
    pub conventions: &'static Conventions,
}

/// Settings that a model asks for in its `overpaint.json`, or that follow from how it was
/// distilled; absent ones are the program's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Recommended {
    pub steps: Option<usize>,
    pub guidance_scale: Option<f64>,
    /// The sampling side in pixels.
    pub size: Option<u32>,
    /// Noise of each step, for schedulers that heed it.
    pub eta: Option<f64>,
    /// In place of the model's own, which for a single file is only a guess.
    #[serde(skip)]
    pub scheduler: Option<&'static str>,
}

impl Recommended {
    /// These, and where they are silent, `others`.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            steps: self.steps.or(others.steps),
            guidance_scale: self.guidance_scale.or(others.guidance_scale),
            size: self.size.or(others.size),
            eta: self.eta.or(others.eta),
            scheduler: self.scheduler.or(others.scheduler),
        }
    }
}

impl ModelFolder {
    /// One line: what it is, and what it is for.
    pub fn about(&self) -> String {
        let family = self.family.name();
        let purpose = match self.family {
            Family::StableDiffusionXlRefiner => "finishes pictures",
            _ if self.is_inpainting() => "made for inpainting",
            _ => "general",
        };
        let for_few = self.few_steps.is_some() || self.recommended.scheduler.is_some();
        let steps = match self.recommended.steps {
            Some(steps) if for_few => format!(", for {steps} steps or so"),
            _ => String::new(),
        };
        format!("{family}, {purpose}, {} px{steps}", self.native_size)
    }

    /// The commands that it serves, and `refine` where that is what it was made for.
    pub fn abilities(&self) -> Vec<&'static str> {
        match self.family {
            _ if self.is_inpainting() => vec!["fill"],
            Family::StableDiffusionXlRefiner => vec!["fill", "transform", "refine"],
            _ => vec!["fill", "generate", "transform"],
        }
    }

    /// The number format that the U-Net's weights are stored in, such as `f16`, where it can be
    /// told.
    pub fn dtype(&self) -> Option<String> {
        match &self.file {
            Some(file) => SingleFile::open(file).ok()?.dtype(),
            None => stored::dtype(&self.path.join("unet")),
        }
    }

    /// # Errors
    /// When it comes without its autoencoder; the text says what to do.
    pub fn autoencoder(&self) -> Result<(), CatalogError> {
        let path = self.file.clone().filter(|_| self.lacks_autoencoder);
        let Some(path) = path else { return Ok(()) };
        let place = path.with_extension("").join("vae");
        let reason = format!(
            "this checkpoint comes without its autoencoder (VAE); name one with --vae, or put one \
             in diffusers layout (config.json and its safetensors) at {}",
            place.display()
        );
        Err(CatalogError::Broken { path, reason })
    }

    /// Whether it takes the mask as an input and so needs one.
    pub fn is_inpainting(&self) -> bool {
        self.in_channels == 9
    }
}

/// A hub snapshot's folder is named by a commit; its repository says more.
pub(super) fn folder_name(path: &Path) -> String {
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    let repository = path.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent);
    repository
        .and_then(|p| Some(name(p)?.strip_prefix("models--")?.replace("--", "/")))
        .or_else(|| name(path))
        .unwrap_or_else(|| path.display().to_string())
}
