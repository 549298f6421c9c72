//! `ControlNetModel`: a copy of a U-Net's down path and middle that sees a picture besides the
//! latents, and says what to add to the states of the U-Net itself.

mod config;
mod embedding;

use candle_core::{DType, Module, Result, Tensor, bail};

pub use self::config::{ChannelOrder, ControlNetConfig};
use self::embedding::PictureEmbedding;
use super::{
    Result as LoadResult, Weights,
    layers::Conv2d,
    unet::{Conditioning, Context, DownBlock, Middle, Residuals, TimeEmbedding},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct ControlNetModel {
    conv_in: Conv2d,
    picture: PictureEmbedding,
    time_embedding: TimeEmbedding,
    down_blocks: Vec<DownBlock>,
    middle: Option<Middle>,
    /// One for each state of the down path: 1x1, and zero when training began.
    zero_down: Vec<Conv2d>,
    zero_middle: Conv2d,
    dtype: DType,
    config: ControlNetConfig,
}

/// What steers one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    /// The control picture as [`ControlNetModel::embed`] gave it, one entry or one for each of the
    /// sample's.
    pub picture: &'a Tensor,
    /// What the residuals are multiplied by.
    pub scale: f64,
    /// Weakens the finer residuals, so that the network steers without a prompt too.
    pub guess_mode: bool,
}

impl ControlNetModel {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: ControlNetConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let unet = &config.unet;
        let finest = unet.levels[0].channels;
        let coarsest = unet.levels[unet.levels.len() - 1].channels;
        let down = |i| DownBlock::load(&weights.pp(format!("down_blocks.{i}")), unet, i);
        let zero = |(i, channels): (usize, usize)| {
            let weights = weights.pp(format!("controlnet_down_blocks.{i}"));
            Conv2d::load(&weights, channels, channels, 1)
        };
        Ok(Self {
            conv_in: Conv2d::load(&weights.pp("conv_in"), unet.in_channels, finest, 3)?,
            picture: PictureEmbedding::load(
                &weights.pp("controlnet_cond_embedding"),
                &config,
                finest,
            )?,
            time_embedding: TimeEmbedding::load(
                weights,
                &unet.time,
                unet.addition.as_ref(),
                finest,
                unet.activation,
            )?,
            down_blocks: (0..unet.levels.len()).map(down).collect::<LoadResult<_>>()?,
            middle: Middle::load(&weights.pp("mid_block"), unet)?,
            zero_down: config
                .unet
                .skip_channels()
                .into_iter()
                .enumerate()
                .map(zero)
                .collect::<LoadResult<_>>()?,
            zero_middle: Conv2d::load(&weights.pp("controlnet_mid_block"), coarsest, coarsest, 1)?,
            dtype: weights.dtype(),
            config,
        })
    }

    pub fn config(&self) -> &ControlNetConfig {
        &self.config
    }

    /// A control picture [B, channels, H, W], red first, at the size of the latents; the same for
    /// all steps. Pictures are in [0, 1]; what is to be repainted is -1 for inpainting.
    ///
    /// # Errors
    /// If the number of channels is not the configuration's, or the size no multiple of
    /// [`ControlNetConfig::downsampling`].
    pub fn embed(&self, picture: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = picture.dims4()?;
        let (right, factor) = (self.config.conditioning_channels, self.config.downsampling());
        if channels != right {
            bail!("the ControlNet takes pictures of {right} channels, but this one has {channels}");
        }
        if height % factor != 0 || width % factor != 0 {
            bail!(
                "the control picture is {width}x{height}, but both must be multiples of {factor}"
            );
        }
        let picture = match self.config.channel_order {
            ChannelOrder::Rgb => picture.clone(),
            ChannelOrder::Bgr => picture.flip(&[1])?,
        };
        self.picture.forward(&picture.to_dtype(self.dtype)?)
    }

    /// What to add to the U-Net's states for `sample` [B, in_channels, h, w] at `timestep`.
    ///
    /// # Errors
    /// If a shape does not fit the configuration or the control picture.
    pub fn forward(
        &self,
        sample: &Tensor,
        timestep: f64,
        conditioning: Conditioning<'_>,
        control: Control<'_>,
    ) -> Result<Residuals> {
        let prompt = &conditioning.encoder_hidden_states.to_dtype(self.dtype)?;
        let (batch, device) = (sample.dim(0)?, sample.device());
        let time =
            self.time_embedding.forward(timestep, batch, device, None, conditioning.added)?;
        let context = Context { time: &time, prompt };
        let x = self.conv_in.forward(&sample.to_dtype(self.dtype)?)?;
        let mut x = x.broadcast_add(control.picture)?;
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, context, &mut skips)?;
        }
        if let Some(middle) = &self.middle {
            x = middle.forward(&x, context)?;
        }
        let scales = self.scales(control);
        let scaled = |zero: &Conv2d, x: &Tensor, scale: f64| {
            let residual = (zero.forward(x)? * scale)?;
            match self.config.global_pool_conditions {
                true => residual.mean_keepdim((2, 3)),
                false => Ok(residual),
            }
        };
        let states = self.zero_down.iter().zip(&skips).zip(&scales);
        Ok(Residuals {
            down: states
                .map(|((zero, x), &scale)| scaled(zero, x, scale))
                .collect::<Result<_>>()?,
            mid: scaled(&self.zero_middle, &x, scales[skips.len()])?,
        })
    }

    /// For each state of the down path, and the middle: `scale`, in guess mode weakened to a tenth
    /// for the finest.
    fn scales(&self, control: Control<'_>) -> Vec<f64> {
        let last = self.zero_down.len();
        let weakened = control.guess_mode && !self.config.global_pool_conditions;
        let of = |i: usize| match weakened {
            true => 10f64.powf(i as f64 / last as f64 - 1.0),
            false => 1.0,
        };
        (0..=last).map(|i| of(i) * control.scale).collect()
    }
}
