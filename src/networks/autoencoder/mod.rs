//! `AutoencoderKL`: pictures to latents and back.

mod blocks;
mod config;
mod level;
pub mod memory;
pub mod work;

use candle_core::{DType, Module, Result, Tensor, bail};

use self::blocks::{Decoder, Encoder};
pub use self::config::AutoencoderConfig;
use super::{Result as LoadResult, Weights, layers::Conv2d};

/// See the module.
#[derive(Clone, Debug)]
pub struct AutoencoderKl {
    encoder: Encoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    decoder: Decoder,
    dtype: DType,
    config: AutoencoderConfig,
}

impl AutoencoderKl {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: AutoencoderConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let latent = config.latent_channels;
        let conv = |name, channels| Conv2d::load(&weights.pp(name), channels, channels, 1);
        let quant = || conv("quant_conv", 2 * latent);
        let post_quant = || conv("post_quant_conv", latent);
        Ok(Self {
            encoder: Encoder::load(&weights.pp("encoder"), &config)?,
            quant_conv: config.use_quant_conv.then(quant).transpose()?,
            post_quant_conv: config.use_post_quant_conv.then(post_quant).transpose()?,
            decoder: Decoder::load(&weights.pp("decoder"), &config)?,
            dtype: weights.dtype(),
            config,
        })
    }

    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// What the network computes in. Inputs are cast to it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A picture [B, 3, H, W] in [-1, 1] to a normal distribution over latents, not yet multiplied
    /// by the scaling factor: [B, 2 C, H / 8, W / 8], means, then logarithms of variances.
    ///
    /// # Errors
    /// If the size is no multiple of [`AutoencoderConfig::downsampling`].
    pub fn encode_moments(&self, picture: &Tensor) -> Result<Tensor> {
        self.encode_moments_within(picture, None)
    }

    /// The same with about `room` bytes for what lies between: large pictures are encoded in bands,
    /// one entry of the batch after the other. The result is the same up to rounding.
    ///
    /// # Errors
    /// As [`Self::encode_moments`].
    pub fn encode_moments_within(&self, picture: &Tensor, room: Option<usize>) -> Result<Tensor> {
        let (_, channels, height, width) = picture.dims4()?;
        if channels != self.config.in_channels {
            let right = self.config.in_channels;
            bail!("the autoencoder takes {right} channels, but the picture has {channels}");
        }
        let factor = self.config.downsampling();
        if height == 0 || width == 0 || height % factor != 0 || width % factor != 0 {
            bail!("the picture is {width}x{height}, but both must be multiples of {factor}");
        }
        sliced(&picture.to_dtype(self.dtype)?, room, |picture| {
            let hidden = self.encoder.forward(picture, room)?;
            match &self.quant_conv {
                Some(conv) => conv.forward(&hidden),
                None => Ok(hidden),
            }
        })
    }

    /// Latents [B, C, h, w], divided by the scaling factor, to a picture [B, 3, 8 h, 8 w], about
    /// [-1, 1], in the network's dtype.
    ///
    /// # Errors
    /// If the number of channels is another.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.decode_within(latents, None)
    }

    /// The same with about `room` bytes for what lies between, as
    /// [`Self::encode_moments_within`] does.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_within(&self, latents: &Tensor, room: Option<usize>) -> Result<Tensor> {
        let channels = latents.dim(1)?;
        if channels != self.config.latent_channels {
            let right = self.config.latent_channels;
            bail!("the autoencoder takes {right} channels, but the latents have {channels}");
        }
        sliced(&latents.to_dtype(self.dtype)?, room, |latents| match &self.post_quant_conv {
            Some(conv) => self.decoder.forward(&conv.forward(latents)?, room),
            None => self.decoder.forward(latents, room),
        })
    }
}

/// One entry of the batch after the other where room is limited.
pub(super) fn sliced(
    batch: &Tensor,
    room: Option<usize>,
    run: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let entries = batch.dim(0)?;
    if room.is_none() || entries == 1 {
        return run(batch);
    }
    let made: Result<Vec<_>> = (0..entries).map(|i| run(&batch.narrow(0, i, 1)?)).collect();
    Tensor::cat(&made?, 0)
}
