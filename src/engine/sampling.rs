//! From a plan to decoded pictures: the right pipeline, watched.

use candle_core::Tensor;

use super::{
    EngineError, Monitor, NoiseKind, Request, Task,
    models::{Model, Text},
    plan::Plan,
    tensors::{mask_tensor, picture_tensor},
    watcher::Watcher,
};
use crate::diffusion::{
    Conditions, ImageToImage, Inpaint, NoiseSource, Posterior, Prompt, Run, Sampling, TextToImage,
    decode,
    guidance::is_guided,
    image_to_image, inpaint,
    latents::masked_picture,
    noise::{PhiloxNoise, TorchNoise},
    text_to_image,
};

/// What the networks are told: all that can be kept for the next run.
pub struct Encoded {
    prompt: Prompt,
    /// Of the picture, where it is needed.
    picture: Option<Posterior>,
    /// The mask, and the posterior of the picture without what it covers.
    hole: Option<(Tensor, Posterior)>,
}

impl Encoded {
    /// Encodes prompt and pictures, or takes them from what the model kept.
    pub fn new(
        model: &mut Model,
        request: &Request,
        plan: &Plan,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let prompt = prompt(model, request, monitor)?;
        let tensor = |picture| picture_tensor(picture, model.device()).map_err(EngineError::failed);
        let picture = plan.picture.as_ref().map(tensor).transpose()?;
        let mask = plan.mask.as_ref().map(|mask| mask_tensor(mask, model.device())).transpose();
        let hole = match (&picture, mask.map_err(EngineError::failed)?) {
            (Some(picture), Some(mask)) => {
                let masked = masked_picture(picture, &mask).map_err(EngineError::failed)?;
                Some((mask, model.posterior(&masked, monitor)?))
            }
            _ => None,
        };
        let skip_picture = hole.is_some() && model.in_channels() == 9 && request.strength() == 1.0;
        let picture = match picture {
            Some(picture) if !skip_picture => Some(model.posterior(&picture, monitor)?),
            _ => None,
        };
        Ok(Self { prompt, picture, hole })
    }
}

fn prompt(
    model: &mut Model,
    request: &Request,
    monitor: &mut dyn Monitor,
) -> Result<Prompt, EngineError> {
    let mut read = |text: &str, clip_skip| {
        let text = Text { text: text.to_owned(), second: text.to_owned(), clip_skip };
        model.text(&text, monitor).map(|embedding| Conditions::from(embedding.hidden))
    };
    let cond = read(&request.prompt, request.clip_skip)?;
    let uncond = if is_guided(request.guidance_scale) {
        // The reference skips no layers for the negative prompt.
        Some(read(request.negative_prompt.as_deref().unwrap_or_default(), None)?)
    } else {
        None
    };
    Ok(Prompt { cond, uncond })
}

/// Runs the pipeline and the decoder: [B, 3, H, W], before any clamp.
pub fn sample(
    model: &Model,
    request: &Request,
    seed: u64,
    plan: &Plan,
    encoded: &Encoded,
    watcher: &mut Watcher<'_>,
) -> Result<Tensor, EngineError> {
    let mut scheduler = model.scheduler(request)?;
    let mut noise = noise_source(request.noise, seed);
    let mut run = Run {
        denoiser: model.denoiser(),
        scheduler: scheduler.as_mut(),
        noise: noise.as_mut(),
        observer: &mut *watcher,
        device: model.device(),
    };
    let latents = latents(&mut run, model, request, plan, encoded);
    let latents = latents.map_err(|error| watcher.ended_by(error))?;
    watcher.decoding()?;
    decode(model.decoder(), &latents).map_err(EngineError::from)
}

fn latents(
    run: &mut Run<'_>,
    model: &Model,
    request: &Request,
    plan: &Plan,
    encoded: &Encoded,
) -> crate::diffusion::Result<Tensor> {
    let sampling = sampling(request);
    let scaling_factor = model.decoder().scaling_factor();
    let prompt = &encoded.prompt;
    let picture = encoded.picture.as_ref();
    let missing = || crate::diffusion::Error::Invalid("the encoded picture is missing".into());
    match request.task {
        Task::Fill => {
            let (mask, masked_picture) = encoded.hole.as_ref().ok_or_else(missing)?;
            let input = Inpaint { prompt, picture, masked_picture, mask, scaling_factor };
            inpaint(run, &input, &sampling)
        }
        Task::Transform => {
            let picture = picture.ok_or_else(missing)?;
            image_to_image(run, &ImageToImage { prompt, picture, scaling_factor }, &sampling)
        }
        Task::Generate => {
            let unit = model.latent_pixels();
            let height = (plan.size.height / unit) as usize;
            let width = (plan.size.width / unit) as usize;
            text_to_image(run, &TextToImage { prompt, height, width }, &sampling)
        }
    }
}

fn sampling(request: &Request) -> Sampling {
    Sampling {
        num_inference_steps: request.num_inference_steps,
        strength: request.strength(),
        guidance_scale: request.guidance_scale,
        guidance_rescale: request.guidance_rescale,
        eta: request.eta,
        num_images_per_prompt: request.num_images_per_prompt,
    }
}

fn noise_source(kind: NoiseKind, seed: u64) -> Box<dyn NoiseSource> {
    match kind {
        NoiseKind::Torch => Box::new(TorchNoise::new(seed)),
        NoiseKind::Philox => Box::new(PhiloxNoise::new(seed)),
    }
}
