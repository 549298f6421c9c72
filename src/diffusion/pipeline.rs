//! The denoising loop that all pipelines share, and what it asks of networks.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};

use super::{
    Cancelled, Error, NoiseSource, Observer, Result, Scheduler, StepInfo, guidance,
    latents::{repeated, skipped_steps},
    schedulers::StepContext,
};
use crate::networks::AddedConditions;

/// One evaluation of the network.
pub struct DenoiserInput<'a> {
    /// [B, in_channels, h, w], f32; the network casts it to its own format.
    pub sample: &'a Tensor,
    /// In training timesteps; may be fractional.
    pub timestep: f64,
    /// The encoded prompt, [B, tokens, width].
    pub context: &'a Tensor,
    /// The embedded guidance scale [B, guidance_embedding_dim], for networks that take one.
    pub guidance_embedding: Option<&'a Tensor>,
    /// What else the network is told, one row for each entry.
    pub added: &'a AddedConditions,
    /// Which evaluation this is, from 0, of how many; those count that are left out at the end.
    pub index: usize,
    pub total: usize,
    /// Whether the batch is twice the pictures for guidance, those without the prompt first.
    pub doubled: bool,
}

/// The network that predicts noise (or what its scheduler's `prediction_type` says).
pub trait Denoiser {
    /// 4 for plain models, 9 for those made for inpainting.
    fn in_channels(&self) -> usize;

    /// The width of the guidance embedding of models distilled with it (LCM); others have none.
    fn guidance_embedding_dim(&self) -> Option<usize> {
        None
    }

    /// The prediction, [B, 4, h, w]; networks that predict a variance too give it as a second half,
    /// [B, 8, h, w].
    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor>;
}

/// The half of an autoencoder that makes pictures.
pub trait Decoder {
    /// What latents are multiplied by after encoding (0.18215 for Stable Diffusion 1 and 2).
    fn scaling_factor(&self) -> f64;

    /// Unscaled latents [B, C, h, w] to a picture [B, 3, H, W], about [-1, 1].
    fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor>;
}

/// The settings that all pipelines share.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 1 or more.
    pub num_inference_steps: usize,
    /// How much of the schedule runs, 0 to 1; text-to-image always runs all of it.
    pub strength: f64,
    /// Whether all steps run, laid out from where the strength begins, instead of the last of them.
    /// For image-to-image.
    pub steps_within_strength: bool,
    /// 1 or less runs without guidance.
    pub guidance_scale: f64,
    /// Phi, 0 to 1.
    pub guidance_rescale: f64,
    /// DDIM's eta, 0 to 1.
    pub eta: f64,
    /// Pictures in one batch, 1 or more. One generator draws the noise of all in one call.
    pub num_images_per_prompt: usize,
    /// Only timesteps below this one run, whatever the strength: the run goes on where another
    /// left off, and no noise is added. Not for text-to-image.
    pub below: Option<f64>,
    /// The run ends after the last timestep that is not below this one.
    pub down_to: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            num_inference_steps: 50,
            strength: 1.0,
            steps_within_strength: false,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            eta: 0.0,
            num_images_per_prompt: 1,
            below: None,
            down_to: None,
        }
    }
}

/// A text as text encoders give it, one entry.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// [1, tokens, width].
    pub hidden: Tensor,
    /// The text as a whole [1, width], for networks that take it.
    pub pooled: Option<Tensor>,
}

/// What the network is told about a picture besides its latents, one entry; repeated for every
/// picture.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The encoded text, [1, tokens, width].
    pub context: Tensor,
    /// Whatever else the network takes.
    pub added: AddedConditions,
}

impl From<Tensor> for Conditions {
    /// An encoded text and nothing else.
    fn from(context: Tensor) -> Self {
        Self { context, added: AddedConditions::default() }
    }
}

impl Conditions {
    /// The embeddings [B, width] of pictures in place of a text, one for each entry of the batch.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn of_picture(embeds: Tensor) -> Result<Self> {
        let nothing = Tensor::zeros((1, 1, 1), DType::F32, embeds.device())?;
        let added = AddedConditions { image_embeds: Some(embeds), ..AddedConditions::default() };
        Ok(Self { context: nothing, added })
    }
}

/// What is wished for, and what it is guided away from.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub cond: Conditions,
    /// Needed where there is guidance.
    pub uncond: Option<Conditions>,
}

/// Latents to a float picture [B, 3, H, W], before any clamp.
pub fn decode(decoder: &dyn Decoder, latents: &Tensor) -> Result<Tensor> {
    Ok(decoder.decode(&(latents / decoder.scaling_factor())?)?.to_dtype(DType::F32)?)
}

/// The moving parts of a run, borrowed for its length.
pub struct Run<'a> {
    pub denoiser: &'a dyn Denoiser,
    pub scheduler: &'a mut dyn Scheduler,
    pub noise: &'a mut dyn NoiseSource,
    pub observer: &'a mut dyn Observer,
    pub device: &'a Device,
}

/// What a pipeline adds to the plain loop.
#[derive(Default)]
pub(super) struct Extras<'a> {
    /// Mask and masked picture [B, 5, h, w], appended to the latents' channels.
    pub channels: Option<Tensor>,
    /// Applied to the latents after each step.
    pub after_step: Option<AfterStep<'a>>,
    /// Numbers without and with the prompt take turns down the batch, instead of all without
    /// first. Nothing else of the batch is in that order, but text-to-image of the reference is so.
    pub alternating_numbers: bool,
}

/// The latents after a step, and the next timestep if there is one, to the latents to go on with.
pub(super) type AfterStep<'a> =
    Box<dyn Fn(&dyn Scheduler, Tensor, Option<f64>) -> Result<Tensor> + 'a>;

impl Run<'_> {
    /// Lays out the schedule; gives the timesteps from the one where this strength begins. The
    /// first is what the picture is noised for, even where the run ends before it.
    pub(super) fn timesteps(&mut self, sampling: &Sampling, partial: bool) -> Result<Vec<f64>> {
        check(sampling)?;
        self.heed(ControlFlow::Continue(()))?;
        let within = partial && sampling.steps_within_strength;
        if within {
            self.scheduler.set_timesteps_within(sampling.num_inference_steps, sampling.strength)?;
        } else {
            self.scheduler.set_timesteps(sampling.num_inference_steps)?;
        }
        let begin = if partial && !within { self.begin(sampling)? } else { 0 };
        if partial {
            self.scheduler.set_begin_index(begin);
        }
        let timesteps = self.scheduler.timesteps().get(begin..).unwrap_or_default().to_vec();
        if timesteps.is_empty() {
            let text = "no timestep is left to run; raise the strength or the steps, or let this \
                        part of the run begin earlier";
            return Err(Error::Invalid(text.into()));
        }
        Ok(timesteps)
    }

    /// Where in the schedule the run begins.
    fn begin(&self, sampling: &Sampling) -> Result<usize> {
        let order = self.scheduler.order();
        let Some(first) = sampling.below else {
            return Ok(skipped_steps(sampling.num_inference_steps, sampling.strength)? * order);
        };
        let timesteps = self.scheduler.timesteps();
        let mut count = timesteps.iter().filter(|timestep| **timestep < first).count();
        // Steps of two evaluations are not cut in two: all but the first timestep come twice.
        if order == 2 && count.is_multiple_of(2) {
            count += 1;
        }
        Ok(timesteps.len().saturating_sub(count))
    }

    /// Runs the network down `timesteps`, as far as this part of the run goes, and gives the last
    /// latents. That can be no step at all: the next part then takes the latents as they are.
    pub(super) fn denoise(
        &mut self,
        mut latents: Tensor,
        timesteps: &[f64],
        prompt: &Prompt,
        sampling: &Sampling,
        extras: &Extras<'_>,
    ) -> Result<Tensor> {
        let conditioning = Conditioning::new(self.denoiser, prompt, sampling, extras, self.device)?;
        self.heed(ControlFlow::Continue(()))?;
        let laid_out = timesteps.len();
        let ends = |last: f64| timesteps.iter().filter(|timestep| **timestep >= last).count();
        let timesteps = &timesteps[..sampling.down_to.map_or(laid_out, ends)];
        for (index, &timestep) in timesteps.iter().enumerate() {
            let input = self.scheduler.scale_model_input(&latents)?;
            let place = (index, laid_out);
            let prediction = conditioning.predict(self.denoiser, &input, timestep, place)?;
            let prediction = prediction.for_scheduler(self.scheduler)?;
            let context = StepContext { eta: sampling.eta, noise: self.noise };
            let output = self.scheduler.step(&prediction, timestep, &latents, context)?;
            latents = match &extras.after_step {
                Some(hook) => {
                    hook(self.scheduler, output.prev_sample, timesteps.get(index + 1).copied())?
                }
                None => output.prev_sample,
            };
            let info = StepInfo {
                index,
                total: timesteps.len(),
                timestep,
                latents: &latents,
                predicted_x0: output.pred_original_sample.as_ref(),
            };
            let flow = self.observer.step(info);
            self.heed(flow)?;
        }
        Ok(latents)
    }

    fn heed(&mut self, flow: ControlFlow<Cancelled>) -> Result<()> {
        match flow {
            ControlFlow::Break(cancelled) => Err(cancelled.into()),
            ControlFlow::Continue(()) => match self.observer.check() {
                ControlFlow::Break(cancelled) => Err(cancelled.into()),
                ControlFlow::Continue(()) => Ok(()),
            },
        }
    }

    /// Fresh noise for `shape`, in f32.
    pub(super) fn randn(&mut self, shape: &[usize]) -> Result<Tensor> {
        Ok(self.noise.randn(shape.into(), self.device, DType::F32)?)
    }
}

/// What the network is told besides the latents, made once before the loop.
struct Conditioning {
    /// For every entry of the batch, those without the prompt first.
    conditions: Conditions,
    /// Already doubled where there is guidance.
    channels: Option<Tensor>,
    guidance_embedding: Option<Tensor>,
    guided: bool,
    guidance_scale: f64,
    guidance_rescale: f64,
}

impl Conditioning {
    fn new(
        denoiser: &dyn Denoiser,
        prompt: &Prompt,
        sampling: &Sampling,
        extras: &Extras<'_>,
        device: &Device,
    ) -> Result<Self> {
        let batch = sampling.num_images_per_prompt;
        let embedded = denoiser.guidance_embedding_dim();
        let guided = guidance::is_guided(sampling.guidance_scale) && embedded.is_none();
        let guidance_embedding = embedded
            .map(|dim| guidance::embedding(sampling.guidance_scale, dim, batch, device))
            .transpose()?;
        let channels = match &extras.channels {
            Some(channels) if guided => Some(guidance::doubled(channels)?),
            channels => channels.clone(),
        };
        Ok(Self {
            conditions: conditions(prompt, batch, guided, extras.alternating_numbers)?,
            channels,
            guidance_embedding,
            guided,
            guidance_scale: sampling.guidance_scale,
            guidance_rescale: sampling.guidance_rescale,
        })
    }

    /// The prediction for `input` [B, 4, h, w], guided; `place` is index and total.
    fn predict(
        &self,
        denoiser: &dyn Denoiser,
        input: &Tensor,
        timestep: f64,
        (index, total): (usize, usize),
    ) -> Result<Prediction> {
        let latent_channels = input.dim(1)?;
        let mut sample = if self.guided { guidance::doubled(input)? } else { input.clone() };
        if let Some(channels) = &self.channels {
            sample = Tensor::cat(&[&sample, channels], 1)?;
        }
        let input = DenoiserInput {
            sample: &sample,
            timestep,
            context: &self.conditions.context,
            guidance_embedding: self.guidance_embedding.as_ref(),
            added: &self.conditions.added,
            index,
            total,
            doubled: self.guided,
        };
        let output = denoiser.predict(input)?.to_dtype(DType::F32)?;
        let (noise, variance) = match output.dim(1)? == 2 * latent_channels {
            true => guidance::with_variance(&output).map(|(noise, share)| (noise, Some(share)))?,
            false => (output, None),
        };
        if !self.guided {
            return Ok(Prediction { noise, variance });
        }
        let noise = guidance::guide(&noise, self.guidance_scale, self.guidance_rescale)?;
        // Guidance goes past the prompt's prediction; the variance stays what the prompt says.
        let prompted = |share: Tensor| share.chunk(2, 0).map(|halves| halves[1].clone());
        Ok(Prediction { noise, variance: variance.map(prompted).transpose()? })
    }
}

/// What the network says about one noise level.
struct Prediction {
    /// [B, C, h, w]; or what `prediction_type` says.
    noise: Tensor,
    /// Of the same shape, as a share of its range.
    variance: Option<Tensor>,
}

impl Prediction {
    /// Variances are for schedulers that ask for them.
    fn for_scheduler(self, scheduler: &dyn Scheduler) -> Result<Tensor> {
        match self.variance.filter(|_| scheduler.learns_variance()) {
            Some(variance) => Ok(Tensor::cat(&[&self.noise, &variance], 1)?),
            None => Ok(self.noise),
        }
    }
}

/// What is told for every batch entry, those without the prompt first.
fn conditions(
    prompt: &Prompt,
    batch: usize,
    guided: bool,
    alternating_numbers: bool,
) -> Result<Conditions> {
    let cond = prompt.cond.repeated(batch)?;
    match (&prompt.uncond, guided) {
        (_, false) => Ok(cond),
        (Some(uncond), true) => {
            let both = uncond.added.followed_by(&prompt.cond.added)?;
            let uncond = uncond.repeated(batch)?;
            let mut added = uncond.added.followed_by(&cond.added)?;
            if let (true, Some(pair)) = (alternating_numbers, both.time_ids) {
                added.time_ids = Some(repeated(&pair, 2 * batch)?);
            }
            Ok(Conditions { context: Tensor::cat(&[&uncond.context, &cond.context], 0)?, added })
        }
        (None, true) => Err(Error::Invalid("guidance needs an encoded negative prompt".into())),
    }
}

impl Conditions {
    fn repeated(&self, batch: usize) -> Result<Self> {
        let copies = |tensor: &Tensor| repeated(tensor, batch);
        Ok(Self { context: copies(&self.context)?, added: self.added.try_map(copies)? })
    }
}

fn check(sampling: &Sampling) -> Result<()> {
    let bad = |text: String| Err(Error::Invalid(text));
    if sampling.num_inference_steps == 0 {
        return bad("the number of steps is 0, but must be 1 or more".into());
    }
    if sampling.num_images_per_prompt == 0 {
        return bad("the number of pictures is 0, but must be 1 or more".into());
    }
    if !sampling.guidance_scale.is_finite() {
        return bad(format!("the guidance scale is {}", sampling.guidance_scale));
    }
    for (what, value) in [("eta", sampling.eta), ("guidance rescale", sampling.guidance_rescale)] {
        if !(0.0..=1.0).contains(&value) {
            return bad(format!("{what} is {value}, but must be from 0 to 1"));
        }
    }
    Ok(())
}
