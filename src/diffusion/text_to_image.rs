//! `StableDiffusionPipeline` and `StableDiffusionXLPipeline`: a new picture from noise.

use candle_core::Tensor;

use super::{
    Error, Prompt, Result, Sampling,
    pipeline::{Extras, Run},
};

pub struct TextToImage<'a> {
    pub prompt: &'a Prompt,
    /// Of the latents: an eighth of the picture's with the usual autoencoder.
    pub height: usize,
    pub width: usize,
}

/// The final latents, [B, 4, h, w] f32, scaled as the network sees them. `strength` is not used.
///
/// # Errors
/// Bad settings, a network that wants more than latents, or [`Error::Cancelled`].
pub fn text_to_image(
    run: &mut Run<'_>,
    input: &TextToImage<'_>,
    sampling: &Sampling,
) -> Result<Tensor> {
    let channels = run.denoiser.in_channels();
    if channels == 9 {
        let text = "this model was made for inpainting and needs a picture and a mask";
        return Err(Error::Invalid(text.into()));
    }
    let timesteps = run.timesteps(sampling, false)?;
    let shape = [sampling.num_images_per_prompt, channels, input.height, input.width];
    let latents = (run.randn(&shape)? * run.scheduler.init_noise_sigma())?;
    let extras = Extras { alternating_numbers: true, ..Extras::default() };
    run.denoise(latents, &timesteps, input.prompt, sampling, &extras)
}
