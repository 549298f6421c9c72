//! The encoder and the decoder.

use candle_core::{Module, Result, Tensor};

use super::{
    config::AutoencoderConfig,
    level::{Level, Operation},
};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{
        Activation, AttentionOptions, Conv2d, Downsample2D, GroupNorm, Linear, ResnetBlock2D,
        ResnetConfig, TimeShift, Upsample2D, attention,
    },
};

const EPS: f64 = 1e-6;

fn resnet_config(config: &AutoencoderConfig) -> ResnetConfig {
    ResnetConfig {
        time_channels: None,
        time_shift: TimeShift::Default,
        groups: config.norm_num_groups,
        eps: EPS,
        activation: config.activation,
        output_scale: 1.0,
    }
}

/// `count` residual blocks named `resnets.0` on, the first from `inputs` channels.
fn resnets(
    weights: &Weights<'_>,
    config: &AutoencoderConfig,
    count: usize,
    inputs: usize,
    outputs: usize,
) -> LoadResult<Vec<ResnetBlock2D>> {
    let load = |i| {
        let inputs = if i == 0 { inputs } else { outputs };
        let weights = weights.pp(format!("resnets.{i}"));
        ResnetBlock2D::load(&weights, resnet_config(config), inputs, outputs)
    };
    (0..count).map(load).collect()
}

/// Attention of one head over all pixels.
#[derive(Clone, Debug)]
struct Attention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl Attention {
    fn load(weights: &Weights<'_>, channels: usize, groups: usize) -> LoadResult<Self> {
        let project = |name| Linear::load(&weights.pp(name), channels, channels);
        Ok(Self {
            group_norm: GroupNorm::load(&weights.pp("group_norm"), channels, groups, EPS)?,
            to_q: project("to_q")?,
            to_k: project("to_k")?,
            to_v: project("to_v")?,
            to_out: project("to_out.0")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let channels = x.dim(1)?;
        let normal = self.group_norm.forward(x)?;
        let tokens = normal.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let (query, key) = (self.to_q.forward(&tokens)?, self.to_k.forward(&tokens)?);
        let value = self.to_v.forward(&tokens)?;
        // Scores overflow in f16, as the whole autoencoder tends to.
        let options = AttentionOptions { upcast: true, ..AttentionOptions::new(1, channels) };
        let out = self.to_out.forward(&attention(&query, &key, &value, options)?)?;
        out.transpose(1, 2)?.contiguous()?.reshape(x.shape())? + x
    }
}

/// Residual block, attention, residual block.
#[derive(Clone, Debug)]
struct Middle {
    resnets: Vec<ResnetBlock2D>,
    attention: Option<Attention>,
}

impl Middle {
    fn load(
        weights: &Weights<'_>,
        config: &AutoencoderConfig,
        channels: usize,
    ) -> LoadResult<Self> {
        let groups = config.norm_num_groups;
        let attention = || Attention::load(&weights.pp("attentions.0"), channels, groups);
        Ok(Self {
            resnets: resnets(weights, config, 2, channels, channels)?,
            attention: config.mid_block_add_attention.then(attention).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.resnets[0].forward(x, None)?;
        let x = match &self.attention {
            Some(attention) => attention.forward(&x)?,
            None => x,
        };
        self.resnets[1].forward(&x, None)
    }
}

/// Pictures to moments.
#[derive(Clone, Debug)]
pub struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<(Vec<ResnetBlock2D>, Option<Downsample2D>)>,
    mid_block: Middle,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    pub fn load(weights: &Weights<'_>, config: &AutoencoderConfig) -> LoadResult<Self> {
        let channels = &config.block_out_channels;
        let (finest, coarsest) = (channels[0], channels[channels.len() - 1]);
        let block = |i: usize| {
            let weights = weights.pp(format!("down_blocks.{i}"));
            let inputs = channels[i.saturating_sub(1)];
            let layers = resnets(&weights, config, config.layers_per_block, inputs, channels[i])?;
            let downsample = || Downsample2D::load(&weights.pp("downsamplers.0"), channels[i], 0);
            let downsampler = (i + 1 < channels.len()).then(downsample).transpose()?;
            LoadResult::<_>::Ok((layers, downsampler))
        };
        let groups = config.norm_num_groups;
        Ok(Self {
            conv_in: Conv2d::load(&weights.pp("conv_in"), config.in_channels, finest, 3)?,
            down_blocks: (0..channels.len()).map(block).collect::<LoadResult<_>>()?,
            mid_block: Middle::load(&weights.pp("mid_block"), config, coarsest)?,
            conv_norm_out: GroupNorm::load(&weights.pp("conv_norm_out"), coarsest, groups, EPS)?,
            conv_out: Conv2d::load(
                &weights.pp("conv_out"),
                coarsest,
                2 * config.latent_channels,
                3,
            )?,
        })
    }

    /// [B, 3, H, W] to [B, 2 C, h, w]; `room` as in [`Level::run`].
    pub fn forward(&self, x: &Tensor, room: Option<usize>) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, (resnets, downsampler)) in self.down_blocks.iter().enumerate() {
            let mut level = Level::default();
            if i == 0 {
                level = level.then(Operation::Convolve(&self.conv_in));
            }
            level = level.then_resnets(resnets);
            if let Some(downsampler) = downsampler {
                level = level.then(Operation::Shrink(downsampler));
            }
            x = level.run(x, room)?;
        }
        let x = self.mid_block.forward(&x)?;
        self.conv_out.forward(&self.conv_norm_out.forward_then(Activation::Silu, &x)?)
    }
}

/// Latents to pictures.
#[derive(Clone, Debug)]
pub struct Decoder {
    conv_in: Conv2d,
    mid_block: Middle,
    /// From the coarsest.
    up_blocks: Vec<(Vec<ResnetBlock2D>, Option<Upsample2D>)>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub fn load(weights: &Weights<'_>, config: &AutoencoderConfig) -> LoadResult<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (coarsest, finest) = (channels[0], channels[channels.len() - 1]);
        let block = |i: usize| {
            let weights = weights.pp(format!("up_blocks.{i}"));
            let inputs = channels[i.saturating_sub(1)];
            let count = config.layers_per_block + 1;
            let layers = resnets(&weights, config, count, inputs, channels[i])?;
            let upsample = || Upsample2D::load(&weights.pp("upsamplers.0"), channels[i]);
            let upsampler = (i + 1 < channels.len()).then(upsample).transpose()?;
            LoadResult::<_>::Ok((layers, upsampler))
        };
        let groups = config.norm_num_groups;
        Ok(Self {
            conv_in: Conv2d::load(&weights.pp("conv_in"), config.latent_channels, coarsest, 3)?,
            mid_block: Middle::load(&weights.pp("mid_block"), config, coarsest)?,
            up_blocks: (0..channels.len()).map(block).collect::<LoadResult<_>>()?,
            conv_norm_out: GroupNorm::load(&weights.pp("conv_norm_out"), finest, groups, EPS)?,
            conv_out: Conv2d::load(&weights.pp("conv_out"), finest, config.out_channels, 3)?,
        })
    }

    /// [B, C, h, w] to [B, 3, H, W]; `room` as in [`Level::run`].
    pub fn forward(&self, x: &Tensor, room: Option<usize>) -> Result<Tensor> {
        let mut x = self.mid_block.forward(&self.conv_in.forward(x)?)?;
        let mut enlarge = None;
        for (i, (resnets, upsampler)) in self.up_blocks.iter().enumerate() {
            let mut level = Level::default();
            if let Some(upsampler) = enlarge {
                level = level.then(Operation::Enlarge(upsampler));
            }
            level = level.then_resnets(resnets);
            if i + 1 == self.up_blocks.len() {
                let norm = Operation::Normalise(&self.conv_norm_out, Activation::Silu);
                level = level.then(norm).then(Operation::Convolve(&self.conv_out));
            }
            x = level.run(x, room)?;
            enlarge = upsampler.as_ref();
        }
        Ok(x)
    }
}
