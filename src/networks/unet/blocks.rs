//! The blocks of the two paths and the middle.

use candle_core::{Result, Tensor};

use super::{
    config::{Level, MidBlock, UNetConfig},
    transformer::{Transformer2DModel, TransformerConfig},
};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Downsample2D, ResnetBlock2D, ResnetConfig, Upsample2D},
};

/// What every block is told: the activated time embedding [B, width], and the encoded prompt.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub time: &'a Tensor,
    pub prompt: &'a Tensor,
}

/// A residual block, and attention where the level has it.
#[derive(Clone, Debug)]
struct Layer {
    resnet: ResnetBlock2D,
    attention: Option<Transformer2DModel>,
}

impl Layer {
    fn forward(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor> {
        let x = self.resnet.forward(x, Some(context.time))?;
        match &self.attention {
            Some(attention) => attention.forward(&x, context.prompt),
            None => Ok(x),
        }
    }
}

fn resnet_config(config: &UNetConfig, output_scale: f64) -> ResnetConfig {
    ResnetConfig {
        time_channels: Some(config.time.width),
        time_shift: config.time_shift,
        groups: config.norm_num_groups,
        eps: config.norm_eps,
        activation: config.activation,
        output_scale,
    }
}

fn transformer_config(config: &UNetConfig, level: &Level, depth: usize) -> TransformerConfig {
    TransformerConfig {
        channels: level.channels,
        heads: level.heads,
        context: level.context,
        depth,
        groups: config.norm_num_groups,
        use_linear_projection: config.use_linear_projection,
        only_cross_attention: level.only_cross_attention,
        upcast_attention: config.upcast_attention,
    }
}

/// `DownBlock2D` and `CrossAttnDownBlock2D`.
#[derive(Clone, Debug)]
pub struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Downsample2D>,
}

impl DownBlock {
    pub fn load(weights: &Weights<'_>, config: &UNetConfig, index: usize) -> LoadResult<Self> {
        let level = &config.levels[index];
        let before = config.levels[index.saturating_sub(1)].channels;
        let transformer = transformer_config(config, level, level.down_depth);
        let layer = |i: usize| {
            let inputs = if i == 0 { before } else { level.channels };
            load_layer(
                weights,
                config,
                i,
                inputs,
                level.down_attention.then_some(transformer),
                level,
            )
        };
        let downsample = || {
            let weights = weights.pp("downsamplers.0");
            Downsample2D::load(&weights, level.channels, config.downsample_padding)
        };
        let is_last = index + 1 == config.levels.len();
        Ok(Self {
            layers: (0..level.layers).map(layer).collect::<LoadResult<_>>()?,
            downsampler: (!is_last).then(downsample).transpose()?,
        })
    }

    /// Gives the last state; every state goes to `skips`.
    pub fn forward(
        &self,
        mut x: Tensor,
        context: Context<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            x = layer.forward(&x, context)?;
            skips.push(x.clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = candle_core::Module::forward(downsampler, &x)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

fn load_layer(
    weights: &Weights<'_>,
    config: &UNetConfig,
    index: usize,
    inputs: usize,
    transformer: Option<TransformerConfig>,
    level: &Level,
) -> LoadResult<Layer> {
    let resnet = weights.pp(format!("resnets.{index}"));
    let attention = weights.pp(format!("attentions.{index}"));
    let load = |transformer| Transformer2DModel::load(&attention, transformer);
    Ok(Layer {
        resnet: ResnetBlock2D::load(&resnet, resnet_config(config, 1.0), inputs, level.channels)?,
        attention: transformer.map(load).transpose()?,
    })
}

/// `UNetMidBlock2DCrossAttn` and `UNetMidBlock2D`: one residual block, then pairs of attention and
/// residual block (one pair, or none).
#[derive(Clone, Debug)]
pub struct Middle {
    first: ResnetBlock2D,
    pair: Option<(Transformer2DModel, ResnetBlock2D)>,
}

impl Middle {
    pub fn load(weights: &Weights<'_>, config: &UNetConfig) -> LoadResult<Option<Self>> {
        let Some(level) = config.levels.last().filter(|_| config.mid_block != MidBlock::None)
        else {
            return Ok(None);
        };
        let settings = resnet_config(config, config.mid_block_scale_factor);
        let resnet = |i| {
            let weights = weights.pp(format!("resnets.{i}"));
            ResnetBlock2D::load(&weights, settings, level.channels, level.channels)
        };
        let pair = || {
            let transformer = TransformerConfig {
                only_cross_attention: false,
                ..transformer_config(config, level, level.down_depth)
            };
            let attention = Transformer2DModel::load(&weights.pp("attentions.0"), transformer)?;
            LoadResult::<_>::Ok((attention, resnet(1)?))
        };
        let has_pair = config.mid_block == MidBlock::CrossAttention;
        Ok(Some(Self { first: resnet(0)?, pair: has_pair.then(pair).transpose()? }))
    }

    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor> {
        let x = self.first.forward(x, Some(context.time))?;
        match &self.pair {
            Some((attention, resnet)) => {
                resnet.forward(&attention.forward(&x, context.prompt)?, Some(context.time))
            }
            None => Ok(x),
        }
    }
}

/// `UpBlock2D` and `CrossAttnUpBlock2D`.
#[derive(Clone, Debug)]
pub struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Upsample2D>,
}

impl UpBlock {
    /// `index` is the level's, from the finest.
    pub fn load(weights: &Weights<'_>, config: &UNetConfig, index: usize) -> LoadResult<Self> {
        let level = &config.levels[index];
        let coarser = config.levels.get(index + 1).unwrap_or(level).channels;
        let finer = config.levels[index.saturating_sub(1)].channels;
        let transformer = transformer_config(config, level, level.up_depth);
        let count = level.layers + 1;
        let layer = |i: usize| {
            let before = if i == 0 { coarser } else { level.channels };
            // The last skip of a level is what the level began with.
            let skip = if i + 1 == count { finer } else { level.channels };
            let transformer = level.up_attention.then_some(transformer);
            load_layer(weights, config, i, before + skip, transformer, level)
        };
        let upsample = || Upsample2D::load(&weights.pp("upsamplers.0"), level.channels);
        Ok(Self {
            layers: (0..count).map(layer).collect::<LoadResult<_>>()?,
            upsampler: (index > 0).then(upsample).transpose()?,
        })
    }

    /// Takes its skips from the end of `skips`. `exact` makes the upsampled state as large as the
    /// next skip, which is one less than twice the size where that was odd.
    pub fn forward(
        &self,
        mut x: Tensor,
        context: Context<'_>,
        skips: &mut Vec<Tensor>,
        exact: bool,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            let skip = skips.pop().ok_or_else(|| candle_core::Error::Msg("no skip left".into()))?;
            x = layer.forward(&Tensor::cat(&[&x, &skip], 1)?, context)?;
        }
        match &self.upsampler {
            Some(upsampler) => {
                let next = skips.last().filter(|_| exact).map(Tensor::dims4).transpose()?;
                upsampler.forward(&x, next.map(|(_, _, height, width)| (height, width)))
            }
            None => Ok(x),
        }
    }
}
