//! `PriorTransformer`: from a text to the embedding of a picture that it might describe
//! (Ramesh et al. 2022, "Hierarchical text-conditional image generation with CLIP latents").

mod block;
mod config;

use candle_core::{DType, Device, Module, Result, Tensor, bail};

pub use self::config::PriorConfig;
use self::{
    block::{Block, LAYER_NORM_EPS},
    config::EXTRAS,
};
use super::{
    Result as LoadResult, Weights,
    layers::{LayerNorm, Linear, Sinusoids},
};

/// The text that a prediction goes by, one row for each entry of a batch.
#[derive(Clone, Copy, Debug)]
pub struct PriorText<'a> {
    /// The text as a whole, [B, text_width].
    pub embeds: &'a Tensor,
    /// The encoder's last states, [B, tokens, embedding_dim].
    pub states: &'a Tensor,
    /// How many of the tokens are the text's, start and end among them; the rest is padding.
    pub lengths: &'a [usize],
}

/// See the module.
#[derive(Clone, Debug)]
pub struct PriorTransformer {
    time_in: Linear,
    time_out: Linear,
    proj_in: Linear,
    text_norm: Option<LayerNorm>,
    text_proj: Linear,
    states_proj: Linear,
    /// [tokens + 4, inner].
    positions: Tensor,
    /// [1, inner].
    answer: Tensor,
    norm_in: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    proj_out: Linear,
    mean: Tensor,
    deviation: Tensor,
    device: Device,
    dtype: DType,
    config: PriorConfig,
}

impl PriorTransformer {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: PriorConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let (width, inner) = (config.embedding_dim, config.inner());
        let linear = |name, from, to| Linear::load(&weights.pp(name), from, to);
        let norm = |name, width| LayerNorm::load(&weights.pp(name), width, LAYER_NORM_EPS);
        let block = |i| Block::load(&weights.pp(format!("transformer_blocks.{i}")), &config);
        let places = config.tokens + EXTRAS;
        Ok(Self {
            time_in: linear("time_embedding.linear_1", inner, config.time_width)?,
            time_out: linear("time_embedding.linear_2", config.time_width, inner)?,
            proj_in: linear("proj_in", width, inner)?,
            text_norm: config
                .text_norm
                .then(|| norm("embedding_proj_norm", config.text_width))
                .transpose()?,
            text_proj: linear("embedding_proj", config.text_width, inner)?,
            states_proj: linear("encoder_hidden_states_proj", width, inner)?,
            positions: weights.get((1, places, inner), "positional_embedding")?.squeeze(0)?,
            answer: weights.get((1, 1, inner), "prd_embedding")?.squeeze(0)?,
            norm_in: config.norm_in.then(|| norm("norm_in", inner)).transpose()?,
            blocks: (0..config.layers).map(block).collect::<LoadResult<_>>()?,
            norm_out: norm("norm_out", inner)?,
            proj_out: linear("proj_to_clip_embeddings", inner, width)?,
            mean: weights.get((1, width), "clip_mean")?,
            deviation: weights.get((1, width), "clip_std")?,
            device: weights.device().clone(),
            dtype: weights.dtype(),
            config,
        })
    }

    pub fn config(&self) -> &PriorConfig {
        &self.config
    }

    /// What the network computes in. Inputs are cast to it; the prediction comes in it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The picture's embedding [B, embedding_dim] that is predicted for `noisy`
    /// [B, embedding_dim] at `timestep` (in training timesteps).
    ///
    /// # Errors
    /// If a shape does not fit the configuration, or a length the states.
    pub fn forward(&self, noisy: &Tensor, timestep: f64, text: PriorText<'_>) -> Result<Tensor> {
        self.check(noisy, text)?;
        let sequence = self.sequence(noisy, timestep, text)?;
        let mut x = match &self.norm_in {
            Some(norm) => norm.forward(&sequence)?,
            None => sequence,
        };
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let ends = text.lengths.iter().enumerate();
        let rows = ends
            .map(|(entry, length)| x.get(entry)?.get(length + EXTRAS - 1))
            .collect::<Result<Vec<_>>>()?;
        self.proj_out.forward(&self.norm_out.forward(&Tensor::stack(&rows, 0)?)?)
    }

    /// A sample as it comes out of the last step to the embedding that decoders take.
    pub fn post_process(&self, sample: &Tensor) -> Result<Tensor> {
        let sample = sample.to_dtype(self.dtype)?;
        sample.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean)
    }

    /// [B, tokens + 4, inner]: the text, then what stands after it.
    ///
    /// The reference keeps the padding between the two and hides it. Here it goes to the end, where
    /// nothing sees it because no place sees those after it.
    fn sequence(&self, noisy: &Tensor, timestep: f64, text: PriorText<'_>) -> Result<Tensor> {
        let tokens = self.config.tokens;
        let states = self.states_proj.forward(&text.states.to_dtype(self.dtype)?)?;
        let states = states.broadcast_add(&self.positions.narrow(0, 0, tokens)?)?;
        let extras = self.extras(noisy, timestep, text.embeds)?;
        let entry = |(entry, length): (usize, &usize)| {
            let states = states.get(entry)?;
            let read = states.narrow(0, 0, *length)?;
            let padding = states.narrow(0, *length, tokens - length)?;
            Tensor::cat(&[&read, &extras.get(entry)?, &padding], 0)
        };
        let entries = text.lengths.iter().enumerate().map(entry).collect::<Result<Vec<_>>>()?;
        Tensor::stack(&entries, 0)
    }

    /// What stands after the text, with its places: [B, 4, inner].
    fn extras(&self, noisy: &Tensor, timestep: f64, text: &Tensor) -> Result<Tensor> {
        let batch = noisy.dim(0)?;
        let text = text.to_dtype(self.dtype)?;
        let text = match &self.text_norm {
            Some(norm) => norm.forward(&text)?,
            None => text,
        };
        let copies = |row: &Tensor| row.repeat((batch, 1));
        let rows = [
            self.text_proj.forward(&text)?,
            copies(&self.time(timestep)?)?,
            self.proj_in.forward(&noisy.to_dtype(self.dtype)?)?,
            copies(&self.answer)?,
        ];
        let places = self.positions.narrow(0, self.config.tokens, EXTRAS)?;
        Tensor::stack(&rows, 1)?.broadcast_add(&places)
    }

    /// The time embedding, [1, inner].
    fn time(&self, timestep: f64) -> Result<Tensor> {
        // In f32 whatever the dtype: the sine of 999 in f16 is noise.
        let width = self.config.inner();
        let sinusoids = Sinusoids { width, flip_sin_to_cos: true, freq_shift: 0.0 };
        let waves = sinusoids.of(timestep, &self.device)?;
        let hidden = self.time_in.forward(&waves.to_dtype(self.dtype)?)?;
        self.time_out.forward(&self.config.time_activation.forward(&hidden)?)
    }

    fn check(&self, noisy: &Tensor, text: PriorText<'_>) -> Result<()> {
        let batch = text.lengths.len();
        let PriorConfig { embedding_dim: width, text_width, tokens, .. } = self.config;
        let fits = noisy.dims() == [batch, width]
            && text.embeds.dims() == [batch, text_width]
            && text.states.dims() == [batch, tokens, width];
        if !fits {
            let shapes = (noisy.dims(), text.embeds.dims(), text.states.dims());
            bail!(
                "the prior takes an embedding [{batch}, {width}], a text [{batch}, {text_width}] \
                 and its states [{batch}, {tokens}, {width}], got {shapes:?}"
            );
        }
        match text.lengths.iter().find(|length| **length > tokens) {
            Some(length) => bail!("the text has {length} tokens, but the prior takes {tokens}"),
            None => Ok(()),
        }
    }
}
