//! One pass: its inputs encoded, the right pipeline run, watched.

use candle_core::{Device, Tensor};

use super::{
    EngineError, Monitor, NoiseKind, Request, Task,
    conditions::prompt,
    control::ControlPicture,
    models::{Model, scheduler, timestep_at},
    pass::steps_within_strength,
    plan::Plan,
    tensors::picture_tensor,
    watcher::Watcher,
};
use crate::{
    catalog::ModelFolder,
    diffusion::{
        self, ImageToImage, Inpaint, KandinskyInpaint, NoiseSource, Posterior, Prompt, Run,
        Sampling, Source, TextToImage, image_to_image, inpaint, kandinsky_inpaint,
        latents::masked_picture,
        noise::{PhiloxNoise, TorchNoise},
        text_to_image,
    },
    geometry::Extent,
};

/// What a pass starts from.
pub struct Inputs {
    /// [B, 3, H, W] in [-1, 1], f32.
    pub picture: Option<Tensor>,
    /// What the pass before left, in place of a picture.
    pub latents: Option<Tensor>,
    /// [1, 1, H, W] in [0, 1], for fill.
    pub mask: Option<Tensor>,
    /// What the ControlNets see, [1, 3, H, W] in [0, 1] and -1 where something is absent.
    pub controls: Vec<Tensor>,
}

impl Inputs {
    /// Those of the first pass.
    pub fn planned(plan: &Plan, device: &Device) -> Result<Self, EngineError> {
        let picture = plan.picture.as_ref().map(|picture| picture_tensor(picture, device));
        let mask = plan.mask(0, device)?;
        let control = |control: &ControlPicture| control.tensor(device);
        let controls = plan.controls.iter().map(control).collect::<Result<_, _>>();
        Ok(Self {
            picture: picture.transpose().map_err(EngineError::failed)?,
            latents: None,
            mask,
            controls: controls.map_err(EngineError::failed)?,
        })
    }
}

/// What the networks are told: all that can be kept for the next run.
pub struct Encoded {
    prompt: Prompt,
    /// Of the picture, where it is needed.
    picture: Option<Posterior>,
    latents: Option<Tensor>,
    mask: Option<Tensor>,
    /// Of the picture without what the mask covers.
    masked_picture: Option<Posterior>,
    /// What the ControlNets see.
    controls: Vec<Tensor>,
}

impl Encoded {
    /// Encodes prompt and pictures, or takes them from what the model kept. `size` is the sampling
    /// size.
    pub fn new(
        model: &mut Model,
        request: &Request,
        size: Extent,
        inputs: Inputs,
        noise: &mut dyn NoiseSource,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let prompt = prompt(model, request, size, noise, monitor)?;
        let is_kandinsky = model.folder().image_embeds.is_some();
        let Inputs { picture, latents, mask, controls } = inputs;
        let masked_picture = match (&picture, &mask) {
            // Kandinsky's masks lie over latents.
            (Some(picture), Some(mask)) if !is_kandinsky => {
                let masked = masked_picture(picture, mask).map_err(EngineError::failed)?;
                Some(model.posterior(&masked, monitor)?)
            }
            _ => None,
        };
        let pure_noise = request.strength() == 1.0 && request.denoising_start.is_none();
        let unseen = !is_kandinsky && mask.is_some() && model.in_channels() == 9 && pure_noise;
        let picture = match picture {
            Some(picture) if !unseen => Some(model.posterior(&picture, monitor)?),
            _ => None,
        };
        Ok(Self { prompt, picture, latents, mask, masked_picture, controls })
    }

    fn source(&self) -> Option<Source<'_>> {
        let latents = self.latents.as_ref().map(Source::Latents);
        latents.or(self.picture.as_ref().map(Source::Posterior))
    }
}

/// Runs the pipeline: the last latents, [B, C, h, w].
pub fn sample(
    model: &Model,
    request: &Request,
    size: Extent,
    encoded: &Encoded,
    noise: &mut dyn NoiseSource,
    watcher: &mut Watcher<'_>,
) -> Result<Tensor, EngineError> {
    let mut scheduler = model.scheduler(request)?;
    let sampling = sampling(model.folder(), request)?;
    let controlled = model.controlled(request, &encoded.controls)?;
    let mut run = Run {
        denoiser: match &controlled {
            Some(controlled) => controlled,
            None => model.denoiser(),
        },
        scheduler: scheduler.as_mut(),
        noise,
        observer: &mut *watcher,
        device: model.device(),
    };
    let latents = latents(&mut run, model, request, size, encoded, &sampling);
    latents.map_err(|error| watcher.ended_by(error))
}

fn latents(
    run: &mut Run<'_>,
    model: &Model,
    request: &Request,
    size: Extent,
    encoded: &Encoded,
    sampling: &Sampling,
) -> crate::diffusion::Result<Tensor> {
    let scaling_factor = model.decoder().scaling_factor();
    let prompt = &encoded.prompt;
    let picture = encoded.source();
    let missing = || crate::diffusion::Error::Invalid("the encoded picture is missing".into());
    match request.task {
        Task::Fill if model.folder().image_embeds.is_some() => {
            let mask = encoded.mask.as_ref().ok_or_else(missing)?;
            let picture = &picture.ok_or_else(missing)?.latents(run.noise, scaling_factor)?;
            let scaled_noise = request.exact;
            kandinsky_inpaint(
                run,
                &KandinskyInpaint { prompt, picture, mask, scaled_noise },
                sampling,
            )
        }
        Task::Fill => {
            let mask = encoded.mask.as_ref().ok_or_else(missing)?;
            let masked_picture = encoded.masked_picture.as_ref();
            let input = Inpaint { prompt, picture, masked_picture, mask, scaling_factor };
            inpaint(run, &input, sampling)
        }
        Task::Transform => {
            let picture = picture.ok_or_else(missing)?;
            image_to_image(run, &ImageToImage { prompt, picture, scaling_factor }, sampling)
        }
        Task::Generate => {
            let unit = model.latent_pixels();
            let height = (size.height / unit) as usize;
            let width = (size.width / unit) as usize;
            text_to_image(run, &TextToImage { prompt, height, width }, sampling)
        }
    }
}

/// How often a pass will evaluate its network.
///
/// # Errors
/// If its scheduler cannot be made, or no step is left to run.
pub fn evaluations(folder: &ModelFolder, request: &Request) -> Result<usize, EngineError> {
    let mut scheduler = scheduler(folder, request)?;
    let is_partial = request.task != Task::Generate;
    Ok(diffusion::evaluations(scheduler.as_mut(), &sampling(folder, request)?, is_partial)?)
}

fn sampling(folder: &ModelFolder, request: &Request) -> Result<Sampling, EngineError> {
    let timestep =
        |part: Option<f64>| part.map(|part| timestep_at(folder, request, part)).transpose();
    Ok(Sampling {
        num_inference_steps: request.num_inference_steps,
        strength: request.strength(),
        steps_within_strength: steps_within_strength(folder, request),
        guidance_scale: request.guidance_scale,
        guidance_rescale: request.guidance_rescale,
        eta: request.eta,
        num_images_per_prompt: request.num_images_per_prompt,
        below: timestep(request.denoising_start)?,
        down_to: timestep(request.denoising_end)?,
    })
}

/// The generator of a run.
pub fn noise_source(kind: NoiseKind, seed: u64) -> Box<dyn NoiseSource> {
    match kind {
        NoiseKind::Torch => Box::new(TorchNoise::new(seed)),
        NoiseKind::Philox => Box::new(PhiloxNoise::new(seed)),
    }
}
