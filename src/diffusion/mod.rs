//! Sampling: schedulers, noise, guidance, latent preview and the denoising loop.
//!
//! The promise of this room: for the same seed, model, picture, mask and settings, the same
//! picture as the Hugging Face `diffusers` pipelines give with a `torch.Generator("cpu")`. It knows
//! the networks only through [`Denoiser`] and [`Decoder`], so that its tests can script them.

mod conditioning;
mod error;
pub mod guidance;
pub mod image_to_image;
pub mod inpaint;
pub mod kandinsky;
pub mod latents;
mod network;
pub mod noise;
pub mod observer;
mod pipeline;
pub mod preview;
pub mod prior;
mod sampling;
pub mod schedulers;
pub mod text_to_image;
mod timesteps;
pub mod weighting;

pub use conditioning::{Conditions, Embedding, Prompt};
pub use error::{Error, Result};
pub use image_to_image::{ImageToImage, image_to_image};
pub use inpaint::{Inpaint, inpaint};
pub use kandinsky::{KandinskyInpaint, kandinsky_inpaint};
pub use latents::{Posterior, Source};
pub use network::{Decoder, Denoiser, DenoiserInput, decode};
pub use noise::NoiseSource;
pub use observer::{Cancelled, Observer, StepInfo};
pub use pipeline::Run;
pub use preview::LinearPreview;
pub use prior::{
    EncodedText, ImageEmbeds, Prior, PriorInput, PriorRun, PriorSettings, image_embeds,
};
pub use sampling::Sampling;
pub use schedulers::{Scheduler, SchedulerConfig};
pub use text_to_image::{TextToImage, text_to_image};
pub use timesteps::evaluations;

#[cfg(test)]
mod tests;
