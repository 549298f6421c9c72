//! The encoder and the decoder.

use candle_core::{Module, Result, Tensor};

use super::{
    config::MovqConfig,
    norm::{Norm, NormConfig},
    resnet::ResnetBlock,
};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, AttentionOptions, Conv2d, Downsample2D, Linear, Upsample2D, attention},
};

/// What the blocks of one half have in common.
#[derive(Clone, Copy)]
struct Half {
    norm: NormConfig,
    activation: Activation,
}

/// Attention of one head over all pixels.
#[derive(Clone, Debug)]
struct Attention {
    norm: Norm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl Attention {
    fn load(weights: &Weights<'_>, channels: usize, norm: NormConfig) -> LoadResult<Self> {
        let project = |name| Linear::load(&weights.pp(name), channels, channels);
        let name = match norm {
            NormConfig::Group { .. } => "group_norm",
            NormConfig::Spatial { .. } => "spatial_norm",
        };
        Ok(Self {
            norm: Norm::load(&weights.pp(name), norm, channels)?,
            to_q: project("to_q")?,
            to_k: project("to_k")?,
            to_v: project("to_v")?,
            to_out: project("to_out.0")?,
        })
    }

    fn forward(&self, x: &Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        let channels = x.dim(1)?;
        let normal = self.norm.forward(x, latents)?;
        let tokens = normal.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let (query, key) = (self.to_q.forward(&tokens)?, self.to_k.forward(&tokens)?);
        let value = self.to_v.forward(&tokens)?;
        // Scores overflow in f16, as those of autoencoders tend to.
        let options = AttentionOptions { upcast: true, ..AttentionOptions::new(1, channels) };
        let out = self.to_out.forward(&attention(&query, &key, &value, options)?)?;
        out.transpose(1, 2)?.contiguous()?.reshape(x.shape())? + x
    }
}

/// Residual blocks, each with attention after it where the level has it.
#[derive(Clone, Debug)]
struct Level(Vec<(ResnetBlock, Option<Attention>)>);

impl Level {
    /// `count` residual blocks named `resnets.0` on, the first from `inputs` channels.
    fn load(
        weights: &Weights<'_>,
        half: Half,
        count: usize,
        (inputs, outputs): (usize, usize),
        has_attention: bool,
    ) -> LoadResult<Self> {
        let load = |i: usize| {
            let inputs = if i == 0 { inputs } else { outputs };
            let resnet = weights.pp(format!("resnets.{i}"));
            let attention = weights.pp(format!("attentions.{i}"));
            let attention = || Attention::load(&attention, outputs, half.norm);
            LoadResult::<_>::Ok((
                ResnetBlock::load(&resnet, half.norm, half.activation, inputs, outputs)?,
                has_attention.then(attention).transpose()?,
            ))
        };
        Ok(Self((0..count).map(load).collect::<LoadResult<_>>()?))
    }

    fn forward(&self, mut x: Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        for (resnet, attention) in &self.0 {
            x = resnet.forward(&x, latents)?;
            if let Some(attention) = attention {
                x = attention.forward(&x, latents)?;
            }
        }
        Ok(x)
    }
}

/// Residual block, attention, residual block.
#[derive(Clone, Debug)]
struct Middle {
    resnets: [ResnetBlock; 2],
    attention: Option<Attention>,
}

impl Middle {
    fn load(
        weights: &Weights<'_>,
        half: Half,
        channels: usize,
        has_attention: bool,
    ) -> LoadResult<Self> {
        let resnet = |i: usize| {
            let weights = weights.pp(format!("resnets.{i}"));
            ResnetBlock::load(&weights, half.norm, half.activation, channels, channels)
        };
        let attention = || Attention::load(&weights.pp("attentions.0"), channels, half.norm);
        Ok(Self {
            resnets: [resnet(0)?, resnet(1)?],
            attention: has_attention.then(attention).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        let x = self.resnets[0].forward(x, latents)?;
        let x = match &self.attention {
            Some(attention) => attention.forward(&x, latents)?,
            None => x,
        };
        self.resnets[1].forward(&x, latents)
    }
}

/// Pictures to latents.
#[derive(Clone, Debug)]
pub struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<(Level, Option<Downsample2D>)>,
    mid_block: Middle,
    conv_norm_out: Norm,
    conv_out: Conv2d,
}

impl Encoder {
    pub fn load(weights: &Weights<'_>, config: &MovqConfig) -> LoadResult<Self> {
        let channels = &config.block_out_channels;
        let (finest, coarsest) = (channels[0], channels[channels.len() - 1]);
        let half = Half { norm: config.encoder_norm(), activation: config.activation };
        let block = |i: usize| {
            let weights = weights.pp(format!("down_blocks.{i}"));
            let widths = (channels[i.saturating_sub(1)], channels[i]);
            let attention = config.down_attention[i];
            let layers = Level::load(&weights, half, config.layers_per_block, widths, attention)?;
            let downsample = || Downsample2D::load(&weights.pp("downsamplers.0"), channels[i], 0);
            let downsampler = (i + 1 < channels.len()).then(downsample).transpose()?;
            LoadResult::<_>::Ok((layers, downsampler))
        };
        let middle = weights.pp("mid_block");
        Ok(Self {
            conv_in: Conv2d::load(&weights.pp("conv_in"), config.in_channels, finest, 3)?,
            down_blocks: (0..channels.len()).map(block).collect::<LoadResult<_>>()?,
            mid_block: Middle::load(&middle, half, coarsest, config.mid_block_add_attention)?,
            conv_norm_out: Norm::load(&weights.pp("conv_norm_out"), half.norm, coarsest)?,
            conv_out: Conv2d::load(&weights.pp("conv_out"), coarsest, config.latent_channels, 3)?,
        })
    }

    /// [B, 3, H, W] to [B, C, h, w].
    pub fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(picture)?;
        for (level, downsampler) in &self.down_blocks {
            x = level.forward(x, None)?;
            if let Some(downsampler) = downsampler {
                x = downsampler.forward(&x)?;
            }
        }
        let x = self.mid_block.forward(&x, None)?;
        self.conv_out.forward(&self.conv_norm_out.forward_then(Activation::Silu, &x, None)?)
    }
}

/// Latents to pictures.
#[derive(Clone, Debug)]
pub struct Decoder {
    conv_in: Conv2d,
    mid_block: Middle,
    /// From the coarsest.
    up_blocks: Vec<(Level, Option<Upsample2D>)>,
    conv_norm_out: Norm,
    conv_out: Conv2d,
}

impl Decoder {
    pub fn load(weights: &Weights<'_>, config: &MovqConfig) -> LoadResult<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (coarsest, finest) = (channels[0], channels[channels.len() - 1]);
        let half = Half { norm: config.decoder_norm(), activation: config.activation };
        let block = |i: usize| {
            let weights = weights.pp(format!("up_blocks.{i}"));
            let widths = (channels[i.saturating_sub(1)], channels[i]);
            let (count, attention) = (config.layers_per_block + 1, config.up_attention[i]);
            let layers = Level::load(&weights, half, count, widths, attention)?;
            let upsample = || Upsample2D::load(&weights.pp("upsamplers.0"), channels[i]);
            let upsampler = (i + 1 < channels.len()).then(upsample).transpose()?;
            LoadResult::<_>::Ok((layers, upsampler))
        };
        let middle = weights.pp("mid_block");
        Ok(Self {
            conv_in: Conv2d::load(&weights.pp("conv_in"), config.latent_channels, coarsest, 3)?,
            mid_block: Middle::load(&middle, half, coarsest, config.mid_block_add_attention)?,
            up_blocks: (0..channels.len()).map(block).collect::<LoadResult<_>>()?,
            conv_norm_out: Norm::load(&weights.pp("conv_norm_out"), half.norm, finest)?,
            conv_out: Conv2d::load(&weights.pp("conv_out"), finest, config.out_channels, 3)?,
        })
    }

    /// [B, C, h, w] to [B, 3, H, W]. `latents` [B, C, h, w] are `x` before the first convolution
    /// of all: what spatial normalisations go by.
    pub fn forward(&self, x: &Tensor, latents: &Tensor) -> Result<Tensor> {
        let latents = Some(latents);
        let mut x = self.mid_block.forward(&self.conv_in.forward(x)?, latents)?;
        for (level, upsampler) in &self.up_blocks {
            x = level.forward(x, latents)?;
            if let Some(upsampler) = upsampler {
                x = upsampler.forward(&x, None)?;
            }
        }
        self.conv_out.forward(&self.conv_norm_out.forward_then(Activation::Silu, &x, latents)?)
    }
}
