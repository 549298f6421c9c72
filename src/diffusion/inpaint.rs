//! `StableDiffusionInpaintPipeline` and `StableDiffusionXLInpaintPipeline`: repaint what a mask covers, with models made for it (9
//! channels: latents, mask, masked picture) and with any other (4 channels: what the mask keeps is
//! put back after each step).

use candle_core::Tensor;

use super::{
    Error, Posterior, Prompt, Result, Sampling, Scheduler,
    latents::{Source, binarised, latent_mask, repeated},
    pipeline::{Extras, Run},
};

pub struct Inpaint<'a> {
    pub prompt: &'a Prompt,
    /// The whole picture. Not needed by a 9-channel model at strength 1.
    pub picture: Option<Source<'a>>,
    /// Of the picture with grey in the hole ([`masked_picture`](super::latents::masked_picture)).
    /// Not needed where the picture's latents are known and the model takes 4 channels.
    pub masked_picture: Option<&'a Posterior>,
    /// [1, 1, H, W], 0 keeps and 1 repaints, at the picture's size; binarised at one half.
    pub mask: &'a Tensor,
    /// Of the autoencoder.
    pub scaling_factor: f64,
}

/// The final latents, [B, 4, h, w] f32, scaled as the network sees them.
///
/// Draws, in this order: the picture's latents (only with 4 channels or a strength below 1, and
/// where they are not known), the noise, the masked picture's latents (even where they go unused),
/// then whatever the scheduler draws. Another order would be another picture.
///
/// # Errors
/// Bad settings, missing inputs, an unknown number of channels, or [`Error::Cancelled`].
pub fn inpaint(run: &mut Run<'_>, input: &Inpaint<'_>, sampling: &Sampling) -> Result<Tensor> {
    let channels = run.denoiser.in_channels();
    let batch = sampling.num_images_per_prompt;
    let timesteps = run.timesteps(sampling, true)?;
    let start = Start::draw(run, input, sampling, timesteps[0])?;
    let masked = input.masked_picture.map(|masked| masked.sample(run.noise)).transpose()?;
    let (_, _, height, width) = start.latents.dims4()?;
    let mask = repeated(&latent_mask(&binarised(input.mask)?, height, width)?, batch)?;
    let extras = match channels {
        9 => {
            let masked = (masked.ok_or_else(missing_picture)? * input.scaling_factor)?;
            let channels = Tensor::cat(&[&mask, &repeated(&masked, batch)?], 1)?;
            Extras { channels: Some(channels), ..Extras::default() }
        }
        4 => {
            let Start { noise, clean, .. } = &start;
            let clean = clean.clone().ok_or_else(missing_picture)?;
            let after_step = Some(keep(clean, noise.clone(), mask)?);
            Extras { after_step, ..Extras::default() }
        }
        other => {
            let text = format!("the network takes {other} channels; inpainting needs 4 or 9");
            return Err(Error::Invalid(text));
        }
    };
    run.denoise(start.latents, &timesteps, input.prompt, sampling, &extras)
}

fn missing_picture() -> Error {
    Error::Invalid("the encoded picture is missing".into())
}

/// Where the loop sets out from.
struct Start {
    latents: Tensor,
    noise: Tensor,
    /// The picture's own latents, where they are needed.
    clean: Option<Tensor>,
}

impl Start {
    fn draw(
        run: &mut Run<'_>,
        input: &Inpaint<'_>,
        sampling: &Sampling,
        timestep: f64,
    ) -> Result<Self> {
        let goes_on = sampling.below.is_some();
        let pure_noise = sampling.strength == 1.0 && !goes_on;
        let batch = sampling.num_images_per_prompt;
        let clean = if run.denoiser.in_channels() == 4 || !pure_noise {
            let picture = input.picture.ok_or_else(missing_picture)?;
            Some(repeated(&picture.latents(run.noise, input.scaling_factor)?, batch)?)
        } else {
            None
        };
        let either = input.picture.or(input.masked_picture.map(Source::Posterior));
        let (channels, height, width) = either.ok_or_else(missing_picture)?.dims()?;
        // Drawn even where the run goes on from another, which has its noise already.
        let noise = run.randn(&[batch, channels, height, width])?;
        let latents = match &clean {
            Some(clean) if goes_on => clean.clone(),
            Some(clean) if !pure_noise => run.scheduler.add_noise(clean, &noise, timestep)?,
            _ => (&noise * run.scheduler.init_noise_sigma())?,
        };
        Ok(Self { latents, noise, clean })
    }
}

/// Puts the kept part of the picture back after a step, at the noise level of the next one, with
/// the same noise each time; clean after the last step.
pub(super) fn keep<'a>(
    clean: Tensor,
    noise: Tensor,
    mask: Tensor,
) -> Result<super::pipeline::AfterStep<'a>> {
    let kept = (1.0 - &mask)?;
    Ok(Box::new(move |scheduler: &dyn Scheduler, latents: Tensor, next: Option<f64>| {
        let proper = match next {
            Some(timestep) => scheduler.add_noise(&clean, &noise, timestep)?,
            None => clean.clone(),
        };
        Ok((proper.broadcast_mul(&kept)? + latents.broadcast_mul(&mask)?)?)
    }))
}
