//! `KandinskyV22PriorPipeline`: from texts to embeddings of pictures, by diffusion of its own.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};

use super::{
    Cancelled, Error, NoiseSource, Observer, Result, Scheduler, StepInfo, guidance,
    latents::repeated, schedulers::StepContext,
};
use crate::networks::PriorText;

/// The network that predicts a picture's embedding.
pub trait Prior {
    /// Width of the embedding.
    fn embedding_dim(&self) -> usize;

    /// The embeddings [B, width] that are predicted for `noisy` [B, width] at `timestep`.
    fn predict(
        &self,
        noisy: &Tensor,
        timestep: f64,
        text: PriorText<'_>,
    ) -> candle_core::Result<Tensor>;

    /// A sample as it comes out of the last step to the embedding that decoders take.
    fn post_process(&self, sample: &Tensor) -> candle_core::Result<Tensor>;
}

/// A text as the prior's encoder gives it, one entry.
#[derive(Clone, Debug)]
pub struct EncodedText {
    /// As a whole, [1, width].
    pub embeds: Tensor,
    /// The last states, [1, tokens, width].
    pub states: Tensor,
    /// How many of the tokens are the text's, start and end among them; the rest is padding.
    pub length: usize,
}

/// What embeddings are made from.
pub struct PriorInput<'a> {
    pub text: &'a EncodedText,
    /// What to keep away from. None is not the same as an empty text: an empty text is given to the
    /// prior as another prompt.
    pub negative: Option<&'a EncodedText>,
    /// The empty text; what is guided away from where there is no negative one.
    pub empty: &'a EncodedText,
}

/// Settings of the prior alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriorSettings {
    /// 2 or more.
    pub num_inference_steps: usize,
    /// 1 or less runs without guidance.
    pub guidance_scale: f64,
    /// Embeddings to make, 1 or more, each from its own noise.
    pub num_images_per_prompt: usize,
}

/// Embeddings of pictures, [num_images_per_prompt, width] each.
#[derive(Clone, Debug)]
pub struct ImageEmbeds {
    pub cond: Tensor,
    /// Of the negative text; where there is none, decoders take the embedding of an empty picture.
    pub uncond: Option<Tensor>,
}

/// The moving parts of a prior's run, borrowed for its length.
pub struct PriorRun<'a> {
    pub network: &'a dyn Prior,
    pub scheduler: &'a mut dyn Scheduler,
    pub noise: &'a mut dyn NoiseSource,
    pub observer: &'a mut dyn Observer,
    pub device: &'a Device,
}

/// Runs the prior. Draws the noise of all embeddings in one call, then each step's; the decoder
/// goes on with the same source.
///
/// # Errors
/// Bad settings, or [`Error::Cancelled`].
pub fn image_embeds(
    run: &mut PriorRun<'_>,
    input: &PriorInput<'_>,
    settings: PriorSettings,
) -> Result<ImageEmbeds> {
    check(settings)?;
    let count = settings.num_images_per_prompt;
    let batch = Batch::new(input, settings)?;
    run.heed(ControlFlow::Continue(()))?;
    run.scheduler.set_timesteps(settings.num_inference_steps)?;
    let timesteps = run.scheduler.timesteps().to_vec();
    let shape = (batch.entries, run.network.embedding_dim());
    let noise = run.noise.randn(shape.into(), run.device, DType::F32)?;
    let mut sample = (noise * run.scheduler.init_noise_sigma())?;
    for (index, &timestep) in timesteps.iter().enumerate() {
        let prediction = batch.predict(run.network, &sample, timestep)?;
        let context = StepContext { eta: 0.0, noise: run.noise };
        let output = run.scheduler.step(&prediction, timestep, &sample, context)?;
        sample = output.prev_sample;
        let info = StepInfo {
            index,
            total: timesteps.len(),
            timestep,
            latents: &sample,
            predicted_x0: output.pred_original_sample.as_ref(),
        };
        let flow = run.observer.step(info);
        run.heed(flow)?;
    }
    let embeds = run.network.post_process(&sample)?.to_dtype(DType::F32)?;
    let uncond = input.negative.map(|_| embeds.narrow(0, count, count)).transpose()?;
    Ok(ImageEmbeds { cond: embeds.narrow(0, 0, count)?, uncond })
}

impl PriorRun<'_> {
    fn heed(&mut self, flow: ControlFlow<Cancelled>) -> Result<()> {
        let flow = if flow.is_break() { flow } else { self.observer.check() };
        match flow {
            ControlFlow::Break(cancelled) => Err(cancelled.into()),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// The texts of all entries, those guided away from first.
struct Batch {
    /// Embeddings that form; guidance predicts each twice.
    entries: usize,
    embeds: Tensor,
    states: Tensor,
    lengths: Vec<usize>,
    guidance_scale: f64,
}

impl Batch {
    fn new(input: &PriorInput<'_>, settings: PriorSettings) -> Result<Self> {
        let guided = guidance::is_guided(settings.guidance_scale);
        // A negative text is a second prompt, and what both are guided away from.
        let wished: Vec<_> = std::iter::once(input.text).chain(input.negative).collect();
        let away = vec![input.negative.unwrap_or(input.empty); wished.len()];
        let texts = if guided { [away, wished.clone()].concat() } else { wished.clone() };
        let count = settings.num_images_per_prompt;
        let joined = |part: fn(&EncodedText) -> &Tensor| {
            let rows = texts.iter().map(|text| repeated(part(text), count));
            Result::Ok(Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)?)
        };
        Ok(Self {
            entries: wished.len() * count,
            embeds: joined(|text| &text.embeds)?,
            states: joined(|text| &text.states)?,
            lengths: texts.iter().flat_map(|text| vec![text.length; count]).collect(),
            guidance_scale: settings.guidance_scale,
        })
    }

    fn predict(&self, network: &dyn Prior, sample: &Tensor, timestep: f64) -> Result<Tensor> {
        let guided = self.lengths.len() > self.entries;
        let noisy = if guided { guidance::doubled(sample)? } else { sample.clone() };
        let text = PriorText { embeds: &self.embeds, states: &self.states, lengths: &self.lengths };
        let prediction = network.predict(&noisy, timestep, text)?.to_dtype(DType::F32)?;
        match guided {
            true => Ok(guidance::guide(&prediction, self.guidance_scale, 0.0)?),
            false => Ok(prediction),
        }
    }
}

fn check(settings: PriorSettings) -> Result<()> {
    if settings.num_images_per_prompt == 0 {
        return Err(Error::Invalid("the number of pictures is 0, but must be 1 or more".into()));
    }
    if !settings.guidance_scale.is_finite() {
        let text = format!("the prior's guidance scale is {}", settings.guidance_scale);
        return Err(Error::Invalid(text));
    }
    Ok(())
}
