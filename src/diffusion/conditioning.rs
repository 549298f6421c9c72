//! What the network is told besides the latents, and what it answers.

use candle_core::{DType, Device, Tensor};

use super::{
    Denoiser, DenoiserInput, Error, Result, Sampling, Scheduler, guidance, latents::repeated,
    pipeline::Extras,
};
use crate::networks::AddedConditions;

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

    fn repeated(&self, batch: usize) -> Result<Self> {
        let copies = |tensor: &Tensor| repeated(tensor, batch);
        Ok(Self { context: copies(&self.context)?, added: self.added.try_map(copies)? })
    }
}

/// What is wished for, and what it is guided away from.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub cond: Conditions,
    /// Needed where there is guidance.
    pub uncond: Option<Conditions>,
}

/// What the network is told besides the latents, made once before the loop.
pub(super) struct Conditioning {
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
    pub fn new(
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
    pub fn predict(
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
pub(super) struct Prediction {
    /// [B, C, h, w]; or what `prediction_type` says.
    noise: Tensor,
    /// Of the same shape, as a share of its range.
    variance: Option<Tensor>,
}

impl Prediction {
    /// Variances are for schedulers that ask for them.
    pub fn for_scheduler(self, scheduler: &dyn Scheduler) -> Result<Tensor> {
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
