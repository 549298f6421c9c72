//! `VQModel` as Kandinsky uses it, which is called MoVQ: pictures to latents and back, with a
//! decoder that looks at the latents at every resolution.

mod blocks;
mod config;
mod norm;
mod resnet;

use candle_core::{DType, Module, Result, Tensor, bail};

use self::blocks::{Decoder, Encoder};
pub use self::config::MovqConfig;
use super::{Result as LoadResult, Weights, autoencoder::sliced, layers::Conv2d};

/// See the module.
#[derive(Clone, Debug)]
pub struct Movq {
    encoder: Encoder,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    decoder: Decoder,
    dtype: DType,
    config: MovqConfig,
}

impl Movq {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: MovqConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let latent = config.latent_channels;
        let conv = |name| Conv2d::load(&weights.pp(name), latent, latent, 1);
        Ok(Self {
            encoder: Encoder::load(&weights.pp("encoder"), &config)?,
            quant_conv: conv("quant_conv")?,
            post_quant_conv: conv("post_quant_conv")?,
            decoder: Decoder::load(&weights.pp("decoder"), &config)?,
            dtype: weights.dtype(),
            config,
        })
    }

    pub fn config(&self) -> &MovqConfig {
        &self.config
    }

    /// What the network computes in. Inputs are cast to it.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A picture [B, 3, H, W] in [-1, 1] to latents [B, C, H / 8, W / 8]: real numbers, not entries
    /// of the code book.
    ///
    /// # Errors
    /// If the size is no multiple of [`MovqConfig::downsampling`].
    pub fn encode(&self, picture: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = picture.dims4()?;
        if channels != self.config.in_channels {
            let right = self.config.in_channels;
            bail!("the autoencoder takes {right} channels, but the picture has {channels}");
        }
        let factor = self.config.downsampling();
        if height == 0 || width == 0 || height % factor != 0 || width % factor != 0 {
            bail!("the picture is {width}x{height}, but both must be multiples of {factor}");
        }
        self.quant_conv.forward(&self.encoder.forward(&picture.to_dtype(self.dtype)?)?)
    }

    /// Latents [B, C, h, w] to a picture [B, 3, 8 h, 8 w], about [-1, 1], in the network's dtype.
    /// They are not brought to the code book first (`force_not_quantize` of the reference).
    ///
    /// # Errors
    /// If there are not as many channels as the configuration says.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let channels = latents.dim(1)?;
        if channels != self.config.latent_channels {
            let right = self.config.latent_channels;
            bail!("the autoencoder takes {right} channels, but the latents have {channels}");
        }
        let latents = latents.to_dtype(self.dtype)?;
        self.decoder.forward(&self.post_quant_conv.forward(&latents)?, &latents)
    }

    /// As [`Self::encode`]; where there is a `room` (in bytes) to heed, one picture after the other. A
    /// single one is encoded whole, whatever the room.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_within(&self, picture: &Tensor, room: Option<usize>) -> Result<Tensor> {
        sliced(picture, room, |picture| self.encode(picture))
    }

    /// As [`Self::decode`], with a room as [`Self::encode_within`] has it.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_within(&self, latents: &Tensor, room: Option<usize>) -> Result<Tensor> {
        sliced(latents, room, |latents| self.decode(latents))
    }
}
