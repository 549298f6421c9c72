//! `UNet2DConditionModel`: the network that predicts the noise in latents.

mod added;
mod blocks;
mod config;
pub mod memory;
mod original;
mod residuals;
mod simple_attention;
mod time;
mod transformer;
pub mod work;

use candle_core::{DType, Module, Result, Tensor, bail};

pub use self::{
    added::AddedConditions,
    config::{AdditionConfig, BlockKind, Level, MidBlock, TimeConfig, UNetConfig},
    residuals::Residuals,
};
use self::{added::ImagePrompt, blocks::UpBlock};
/// What a ControlNet shares with a U-Net.
pub(super) use self::{
    blocks::{Context, DownBlock, Middle},
    time::TimeEmbedding,
};
use super::{
    Result as LoadResult, Weights,
    adapters::Slots,
    layers::{Conv2d, GroupNorm},
};

/// What the prediction depends on besides the sample and the timestep.
#[derive(Clone, Copy, Debug)]
pub struct Conditioning<'a> {
    /// The encoded prompt [B, T, width]; not looked at by networks with an
    /// [`image_prompt`](UNetConfig::image_prompt).
    pub encoder_hidden_states: &'a Tensor,
    /// The embedded guidance scale [B, width], for models distilled with it.
    pub timestep_cond: Option<&'a Tensor>,
    /// What else the network asks for.
    pub added: Option<&'a AddedConditions>,
    /// What a ControlNet adds to the states between the paths.
    pub residuals: Option<&'a Residuals>,
}

impl<'a> Conditioning<'a> {
    /// The encoded prompt [B, T, width], and nothing else.
    pub fn new(encoder_hidden_states: &'a Tensor) -> Self {
        Self { encoder_hidden_states, timestep_cond: None, added: None, residuals: None }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_embedding: TimeEmbedding,
    image_prompt: Option<ImagePrompt>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<Middle>,
    /// From the coarsest.
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    dtype: DType,
    slots: Slots,
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
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        let image_prompt = |width| {
            ImagePrompt::load(&weights.pp("encoder_hid_proj"), width, config.levels[0].context)
        };
        Ok(Self {
            conv_in: Conv2d::load(
                &weights.pp("conv_in"),
                config.in_channels,
                finest,
                config.conv_in_kernel,
            )?,
            time_embedding: TimeEmbedding::load(
                weights,
                &config.time,
                config.addition.as_ref(),
                finest,
                config.activation,
            )?,
            image_prompt: config.image_prompt.map(image_prompt).transpose()?,
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
            slots: weights.slots().also_named(|path| original::name(&config, path)),
            config,
        })
    }

    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Where it can be adapted.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the network computes in. Inputs are cast to it; the prediction comes in it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The prediction [B, out_channels, H, W] for `sample` [B, in_channels, H, W] at `timestep`
    /// (in training timesteps, may be fractional). Any height and width will do, unless residual
    /// blocks lead from one resolution to the next: then they must be multiples of the
    /// [whole downsampling](UNetConfig::downsampling).
    ///
    /// # Errors
    /// If a shape does not fit the configuration.
    pub fn forward(
        &self,
        sample: &Tensor,
        timestep: f64,
        conditioning: Conditioning<'_>,
    ) -> Result<Tensor> {
        let Conditioning { timestep_cond, added, residuals, .. } = conditioning;
        let prompt = &match &self.image_prompt {
            Some(image) => image.forward(added, self.dtype)?,
            None => conditioning.encoder_hidden_states.to_dtype(self.dtype)?,
        };
        self.check(sample, prompt)?;
        let (batch, device) = (sample.dim(0)?, sample.device());
        let time = self.time_embedding.forward(timestep, batch, device, timestep_cond, added)?;
        let context = Context { time: &time, prompt };
        let sample = sample.to_dtype(self.dtype)?;
        let sample =
            if self.config.center_input_sample { sample.affine(2.0, -1.0)? } else { sample };
        let exact = self.needs_exact_sizes(&sample)?;
        let mut x = self.conv_in.forward(&sample)?;
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, context, &mut skips)?;
        }
        if let Some(residuals) = residuals {
            residuals.add_to_skips(&mut skips)?;
        }
        if let Some(middle) = &self.mid_block {
            x = middle.forward(&x, context)?;
        }
        if let Some(residuals) = residuals {
            x = residuals.add_to_middle(&x)?;
        }
        for block in &self.up_blocks {
            x = block.forward(x, context, &mut skips, exact)?;
        }
        self.conv_out.forward(&self.conv_norm_out.forward_then(self.config.activation, &x)?)
    }

    /// Whether a size is no multiple of the whole downsampling, so that doubling would not lead
    /// back to it.
    fn needs_exact_sizes(&self, sample: &Tensor) -> Result<bool> {
        let (_, _, height, width) = sample.dims4()?;
        let factor = self.config.downsampling();
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
        if self.config.needs_whole_sizes() && self.needs_exact_sizes(sample)? {
            let factor = self.config.downsampling();
            bail!("the U-Net takes multiples of {factor}, but the sample is {width}x{height}");
        }
        let right = self.config.levels[0].context;
        match *prompt.dims() {
            [entries, _, context] if entries == batch && context == right => Ok(()),
            ref dims => bail!("the U-Net takes a prompt [{batch}, tokens, {right}], got {dims:?}"),
        }
    }
}
