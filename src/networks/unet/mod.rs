//! `UNet2DConditionModel`: the network that predicts the noise in latents.

mod blocks;
mod config;
mod transformer;

use candle_core::{DType, Module, Result, Tensor, bail};

use self::blocks::{Context, DownBlock, Middle, UpBlock};
pub use self::config::{Level, MidBlock, TimeConfig, UNetConfig};
use super::{
    Result as LoadResult, Weights,
    layers::{Conv2d, GroupNorm, TimestepEmbedding, TimestepEmbeddingConfig, sinusoidal},
};

/// What the prediction depends on besides the sample and the timestep.
#[derive(Clone, Copy, Debug)]
pub struct Conditioning<'a> {
    /// The encoded prompt [B, T, width].
    pub encoder_hidden_states: &'a Tensor,
    /// The embedded guidance scale [B, width], for models distilled with it.
    pub timestep_cond: Option<&'a Tensor>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<Middle>,
    /// From the coarsest.
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    dtype: DType,
    config: UNetConfig,
}

impl UNet2DConditionModel {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: UNetConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let levels = config.levels.len();
        let finest = config.levels[0].channels;
        let down = |i| DownBlock::load(&weights.pp(format!("down_blocks.{i}")), &config, i);
        let up = |i| UpBlock::load(&weights.pp(format!("up_blocks.{i}")), &config, levels - 1 - i);
        let time = TimestepEmbeddingConfig {
            inputs: finest,
            outputs: config.time.width,
            activation: config.activation,
            post_activation: config.time.post_activation,
            condition: config.time.condition,
        };
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            conv_in: Conv2d::load(
                &weights.pp("conv_in"),
                config.in_channels,
                finest,
                config.conv_in_kernel,
            )?,
            time_embedding: TimestepEmbedding::load(&weights.pp("time_embedding"), time)?,
            down_blocks: (0..levels).map(down).collect::<LoadResult<_>>()?,
            mid_block: Middle::load(&weights.pp("mid_block"), &config)?,
            up_blocks: (0..levels).map(up).collect::<LoadResult<_>>()?,
            conv_norm_out: GroupNorm::load(&weights.pp("conv_norm_out"), finest, groups, eps)?,
            conv_out: Conv2d::load(
                &weights.pp("conv_out"),
                finest,
                config.out_channels,
                config.conv_out_kernel,
            )?,
            dtype: weights.dtype(),
            config,
        })
    }

    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// What the network computes in. Inputs are cast to it; the prediction comes in it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The prediction [B, out_channels, H, W] for `sample` [B, in_channels, H, W] at `timestep`
    /// (in training timesteps, may be fractional). Any height and width will do.
    ///
    /// # Errors
    /// If a shape does not fit the configuration.
    pub fn forward(
        &self,
        sample: &Tensor,
        timestep: f64,
        conditioning: Conditioning<'_>,
    ) -> Result<Tensor> {
        let prompt = &conditioning.encoder_hidden_states.to_dtype(self.dtype)?;
        self.check(sample, prompt)?;
        let time = &self.time(timestep, sample, conditioning.timestep_cond)?;
        let context = Context { time, prompt };
        let sample = sample.to_dtype(self.dtype)?;
        let sample =
            if self.config.center_input_sample { sample.affine(2.0, -1.0)? } else { sample };
        let exact = self.needs_exact_sizes(&sample)?;
        let mut x = self.conv_in.forward(&sample)?;
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, context, &mut skips)?;
        }
        if let Some(middle) = &self.mid_block {
            x = middle.forward(&x, context)?;
        }
        for block in &self.up_blocks {
            x = block.forward(x, context, &mut skips, exact)?;
        }
        self.conv_out.forward(&self.conv_norm_out.forward_then(self.config.activation, &x)?)
    }

    /// The time embedding, activated for the residual blocks: [B, width].
    fn time(&self, timestep: f64, sample: &Tensor, condition: Option<&Tensor>) -> Result<Tensor> {
        let time = &self.config.time;
        let width = self.config.levels[0].channels;
        // In f32 whatever the dtype: the sine of 999 in f16 is noise.
        let waves =
            sinusoidal(timestep, width, time.flip_sin_to_cos, time.freq_shift, sample.device())?
                .to_dtype(self.dtype)?
                .repeat((sample.dim(0)?, 1))?;
        let condition = condition.map(|condition| condition.to_dtype(self.dtype)).transpose()?;
        let embedding = self.time_embedding.forward(&waves, condition.as_ref())?;
        let embedding = match time.embedding_activation {
            Some(activation) => activation.forward(&embedding)?,
            None => embedding,
        };
        self.config.activation.forward(&embedding)
    }

    /// Whether a size is no multiple of the whole downsampling, so that doubling would not lead
    /// back to it.
    fn needs_exact_sizes(&self, sample: &Tensor) -> Result<bool> {
        let (_, _, height, width) = sample.dims4()?;
        let factor = 1 << (self.config.levels.len() - 1);
        Ok(height % factor != 0 || width % factor != 0)
    }

    fn check(&self, sample: &Tensor, prompt: &Tensor) -> Result<()> {
        let (batch, channels, height, width) = sample.dims4()?;
        if channels != self.config.in_channels {
            let right = self.config.in_channels;
            bail!("the U-Net takes {right} channels, but the sample has {channels}");
        }
        if height == 0 || width == 0 {
            bail!("the sample is empty: {width}x{height}");
        }
        let right = self.config.levels[0].context;
        match *prompt.dims() {
            [entries, _, context] if entries == batch && context == right => Ok(()),
            ref dims => bail!("the U-Net takes a prompt [{batch}, tokens, {right}], got {dims:?}"),
        }
    }
}
