//! `StableDiffusionImg2ImgPipeline` and `StableDiffusionXLImg2ImgPipeline`: a whole picture,
//! changed as far as the strength goes.

use candle_core::Tensor;

use super::{
    Error, Prompt, Result, Sampling,
    latents::{Source, repeated},
    pipeline::{Extras, Run},
};

pub struct ImageToImage<'a> {
    pub prompt: &'a Prompt,
    /// One entry, or as many as pictures are made.
    pub picture: Source<'a>,
    /// Of the autoencoder.
    pub scaling_factor: f64,
}

/// The final latents, [B, 4, h, w] f32, scaled as the network sees them.
///
/// Draws, in this order: the picture's latents, where they are not given; the noise, where the run
/// does not go on from another; then whatever the scheduler draws.
///
/// # Errors
/// Bad settings, a network that wants more than latents, or [`Error::Cancelled`].
pub fn image_to_image(
    run: &mut Run<'_>,
    input: &ImageToImage<'_>,
    sampling: &Sampling,
) -> Result<Tensor> {
    if run.denoiser.in_channels() == 9 {
        let text = "this model was made for inpainting and needs a mask";
        return Err(Error::Invalid(text.into()));
    }
    let timesteps = run.timesteps(sampling, true)?;
    let clean = input.picture.latents(run.noise, input.scaling_factor)?;
    let clean = repeated(&clean, sampling.num_images_per_prompt)?;
    if sampling.below.is_some() {
        return run.denoise(clean, &timesteps, input.prompt, sampling, &Extras::default());
    }
    let noise = run.randn(clean.dims())?;
    let latents = run.scheduler.add_noise(&clean, &noise, timesteps[0])?;
    run.denoise(latents, &timesteps, input.prompt, sampling, &Extras::default())
}
