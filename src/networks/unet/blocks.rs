//! The blocks of the two paths and the middle.

use candle_core::{Module, Result, Tensor};

use super::{
    config::{BlockKind, Level, MidBlock, UNetConfig},
    simple_attention::{SimpleAttention, SimpleAttentionConfig},
    transformer::{Transformer2DModel, TransformerConfig},
};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Downsample2D, Resample, ResnetBlock2D, ResnetConfig, Upsample2D},
};

/// What every block is told: the activated time embedding [B, width], and the encoded prompt.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub time: &'a Tensor,
    pub prompt: &'a Tensor,
}

/// The attention layers that a block may have.
#[derive(Clone, Debug)]
enum Attention {
    Transformer(Transformer2DModel),
    Simple(SimpleAttention),
}

impl Attention {
    /// Of a block of this kind; `depth` is a transformer's.
    fn load(
        weights: &Weights<'_>,
        config: &UNetConfig,
        level: &Level,
        kind: BlockKind,
        depth: usize,
    ) -> LoadResult<Option<Self>> {
        Ok(match kind {
            BlockKind::Plain | BlockKind::Resnet => None,
            BlockKind::CrossAttention => {
                let transformer = transformer_config(config, level, depth);
                Some(Self::Transformer(Transformer2DModel::load(weights, transformer)?))
            }
            BlockKind::SimpleCrossAttention => {
                let simple = simple_config(config, level, level.only_cross_attention);
                Some(Self::Simple(SimpleAttention::load(weights, simple)?))
            }
        })
    }

    fn forward(&self, x: &Tensor, prompt: &Tensor) -> Result<Tensor> {
        match self {
            Self::Transformer(transformer) => transformer.forward(x, prompt),
            Self::Simple(attention) => attention.forward(x, prompt),
        }
    }
}

/// A residual block, and attention where the level has it.
#[derive(Clone, Debug)]
struct Layer {
    resnet: ResnetBlock2D,
    attention: Option<Attention>,
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

fn simple_config(
    config: &UNetConfig,
    level: &Level,
    only_cross_attention: bool,
) -> SimpleAttentionConfig {
    SimpleAttentionConfig {
        channels: level.channels,
        head_width: level.heads,
        context: level.context,
        groups: config.norm_num_groups,
        only_cross_attention,
    }
}

/// What leads to the next resolution of a path; `S` does it by a convolution.
#[derive(Clone, Debug)]
enum Sampler<S> {
    Conv(S),
    Resnet(Box<ResnetBlock2D>),
}

impl<S> Sampler<S> {
    fn resnet(
        weights: &Weights<'_>,
        config: &UNetConfig,
        channels: usize,
        resample: Resample,
    ) -> LoadResult<Self> {
        let block = ResnetBlock2D::load(weights, resnet_config(config, 1.0), channels, channels)?;
        Ok(Self::Resnet(Box::new(block.with_resample(resample))))
    }
}

/// A block of the path down, of any [`BlockKind`].
#[derive(Clone, Debug)]
pub struct DownBlock {
    layers: Vec<Layer>,
    downsampler: Option<Sampler<Downsample2D>>,
}

impl DownBlock {
    pub fn load(weights: &Weights<'_>, config: &UNetConfig, index: usize) -> LoadResult<Self> {
        let level = &config.levels[index];
        let before = config.levels[index.saturating_sub(1)].channels;
        let layer = |i: usize| {
            let inputs = if i == 0 { before } else { level.channels };
            load_layer(weights, config, i, inputs, level, (level.down, level.down_depth))
        };
        let downsample = || {
            let weights = weights.pp("downsamplers.0");
            if level.down.resamples_by_resnet() {
                return Sampler::resnet(&weights, config, level.channels, Resample::Halve);
            }
            let padding = config.downsample_padding;
            Downsample2D::load(&weights, level.channels, padding).map(Sampler::Conv)
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
            x = match downsampler {
                Sampler::Conv(conv) => conv.forward(&x)?,
                Sampler::Resnet(resnet) => resnet.forward(&x, Some(context.time))?,
            };
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
    level: &Level,
    (kind, depth): (BlockKind, usize),
) -> LoadResult<Layer> {
    let resnet = weights.pp(format!("resnets.{index}"));
    let attention = weights.pp(format!("attentions.{index}"));
    Ok(Layer {
        resnet: ResnetBlock2D::load(&resnet, resnet_config(config, 1.0), inputs, level.channels)?,
        attention: Attention::load(&attention, config, level, kind, depth)?,
    })
}

/// `UNetMidBlock2DCrossAttn`, `UNetMidBlock2DSimpleCrossAttn` and `UNetMidBlock2D`: one residual
/// block, then pairs of attention and residual block (one pair, or none).
#[derive(Clone, Debug)]
pub struct Middle {
    first: ResnetBlock2D,
    pair: Option<(Attention, ResnetBlock2D)>,
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
        let place = weights.pp("attentions.0");
        let attention = match config.mid_block {
            MidBlock::Plain | MidBlock::None => None,
            MidBlock::CrossAttention => {
                let transformer = TransformerConfig {
                    only_cross_attention: false,
                    ..transformer_config(config, level, level.down_depth)
                };
                Some(Attention::Transformer(Transformer2DModel::load(&place, transformer)?))
            }
            MidBlock::SimpleCrossAttention { only_cross_attention } => {
                let simple = simple_config(config, level, only_cross_attention);
                Some(Attention::Simple(SimpleAttention::load(&place, simple)?))
            }
        };
        let pair = |attention| LoadResult::<_>::Ok((attention, resnet(1)?));
        Ok(Some(Self { first: resnet(0)?, pair: attention.map(pair).transpose()? }))
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

/// A block of the path up, of any [`BlockKind`].
#[derive(Clone, Debug)]
pub struct UpBlock {
    layers: Vec<Layer>,
    upsampler: Option<Sampler<Upsample2D>>,
}

impl UpBlock {
    /// `index` is the level's, from the finest.
    pub fn load(weights: &Weights<'_>, config: &UNetConfig, index: usize) -> LoadResult<Self> {
        let level = &config.levels[index];
        let coarser = config.levels.get(index + 1).unwrap_or(level).channels;
        let finer = config.levels[index.saturating_sub(1)].channels;
        let count = level.layers + 1;
        let layer = |i: usize| {
            let before = if i == 0 { coarser } else { level.channels };
            // The last skip of a level is what the level began with.
            let skip = if i + 1 == count { finer } else { level.channels };
            load_layer(weights, config, i, before + skip, level, (level.up, level.up_depth))
        };
        let upsample = || {
            let weights = weights.pp("upsamplers.0");
            if level.up.resamples_by_resnet() {
                return Sampler::resnet(&weights, config, level.channels, Resample::Double);
            }
            Upsample2D::load(&weights, level.channels).map(Sampler::Conv)
        };
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
            Some(Sampler::Conv(conv)) => {
                let next = skips.last().filter(|_| exact).map(Tensor::dims4).transpose()?;
                conv.forward(&x, next.map(|(_, _, height, width)| (height, width)))
            }
            Some(Sampler::Resnet(resnet)) => resnet.forward(&x, Some(context.time)),
            None => Ok(x),
        }
    }
}
