//! The blocks of the two paths and the middle.

use candle_core::{Module, Result, Tensor};

use super::{
    config::{BlockKind, Level, MidBlock, UNetConfig},
    simple_attention::{SimpleAttention, SimpleAttentionConfig},
    transformer::{Transformer2DModel, TransformerConfig},
};
use crate::networks::{
    Held, Result as LoadResult, Weights,
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

/// What such a layer is made from.
#[derive(Clone, Copy)]
enum AttentionConfig {
    Transformer(TransformerConfig),
    Simple(SimpleAttentionConfig),
}

impl AttentionConfig {
    /// Of a block of this kind; `depth` is a transformer's.
    fn new(config: &UNetConfig, level: &Level, kind: BlockKind, depth: usize) -> Option<Self> {
        match kind {
            BlockKind::Plain | BlockKind::Resnet => None,
            BlockKind::CrossAttention => {
                Some(Self::Transformer(transformer_config(config, level, depth)))
            }
            BlockKind::SimpleCrossAttention => {
                Some(Self::Simple(simple_config(config, level, level.only_cross_attention)))
            }
        }
    }

    fn load(self, weights: &Weights<'_>) -> LoadResult<Attention> {
        Ok(match self {
            Self::Transformer(transformer) => {
                Attention::Transformer(Transformer2DModel::load(weights, transformer)?)
            }
            Self::Simple(simple) => Attention::Simple(SimpleAttention::load(weights, simple)?),
        })
    }
}

impl Attention {
    fn forward(&self, x: &Tensor, prompt: &Tensor) -> Result<Tensor> {
        match self {
            Self::Transformer(transformer) => transformer.forward(x, prompt),
            Self::Simple(attention) => attention.forward(x, prompt),
        }
    }
}

/// A residual block, and attention where the level has it.
#[derive(Debug)]
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

impl<S: 'static> Sampler<S> {
    /// By `conv`, or by a residual block where there is a `resnet`.
    fn load(
        weights: &Weights<'_>,
        channels: usize,
        resnet: Option<(ResnetConfig, Resample)>,
        conv: impl Fn(&Weights<'_>) -> LoadResult<S> + 'static,
    ) -> LoadResult<Held<Self>> {
        Held::load(weights, move |weights| {
            let Some((config, resample)) = resnet else { return conv(weights).map(Self::Conv) };
            let block = ResnetBlock2D::load(weights, config, channels, channels)?;
            Ok(Self::Resnet(Box::new(block.with_resample(resample))))
        })
    }
}

/// The configuration of a residual block that resamples, where this kind of block does it so.
fn resampling(
    config: &UNetConfig,
    kind: BlockKind,
    resample: Resample,
) -> Option<(ResnetConfig, Resample)> {
    kind.resamples_by_resnet().then(|| (resnet_config(config, 1.0), resample))
}

/// A block of the path down, of any [`BlockKind`].
#[derive(Clone, Debug)]
pub struct DownBlock {
    layers: Vec<Held<Layer>>,
    downsampler: Option<Held<Sampler<Downsample2D>>>,
}

impl DownBlock {
    pub fn load(weights: &Weights<'_>, config: &UNetConfig, index: usize) -> LoadResult<Self> {
        let level = &config.levels[index];
        let before = config.levels[index.saturating_sub(1)].channels;
        let layer = |i: usize| {
            let inputs = if i == 0 { before } else { level.channels };
            load_layer(weights, config, i, inputs, level, (level.down, level.down_depths[i]))
        };
        let downsample = || {
            let (channels, padding) = (level.channels, config.downsample_padding);
            let resnet = resampling(config, level.down, Resample::Halve);
            Sampler::load(&weights.pp("downsamplers.0"), channels, resnet, move |weights| {
                Downsample2D::load(weights, channels, padding)
            })
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
            x = layer.part()?.forward(&x, context)?;
            skips.push(x.clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = match &*downsampler.part()? {
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
) -> LoadResult<Held<Layer>> {
    let (settings, outputs) = (resnet_config(config, 1.0), level.channels);
    let attention = AttentionConfig::new(config, level, kind, depth);
    Held::load(weights, move |weights| {
        let place = weights.pp(format!("attentions.{index}"));
        let load = |config: AttentionConfig| config.load(&place);
        let resnet = weights.pp(format!("resnets.{index}"));
        Ok(Layer {
            resnet: ResnetBlock2D::load(&resnet, settings, inputs, outputs)?,
            attention: attention.map(load).transpose()?,
        })
    })
}

/// `UNetMidBlock2DCrossAttn`, `UNetMidBlock2DSimpleCrossAttn` and `UNetMidBlock2D`: one residual
/// block, then pairs of attention and residual block (one pair, or none).
#[derive(Clone, Debug)]
pub struct Middle {
    first: Held<ResnetBlock2D>,
    pair: Option<(Held<Attention>, Held<ResnetBlock2D>)>,
}

impl Middle {
    pub fn load(weights: &Weights<'_>, config: &UNetConfig) -> LoadResult<Option<Self>> {
        let Some(level) = config.levels.last().filter(|_| config.mid_block != MidBlock::None)
        else {
            return Ok(None);
        };
        let settings = resnet_config(config, config.mid_block_scale_factor);
        let channels = level.channels;
        let resnet = |i| {
            Held::load(&weights.pp(format!("resnets.{i}")), move |weights| {
                ResnetBlock2D::load(weights, settings, channels, channels)
            })
        };
        let attention = match config.mid_block {
            MidBlock::Plain | MidBlock::None => None,
            MidBlock::CrossAttention => {
                let transformer = TransformerConfig {
                    only_cross_attention: false,
                    ..transformer_config(config, level, level.down_depths[0])
                };
                Some(AttentionConfig::Transformer(transformer))
            }
            MidBlock::SimpleCrossAttention { only_cross_attention } => {
                let simple = simple_config(config, level, only_cross_attention);
                Some(AttentionConfig::Simple(simple))
            }
        };
        let pair = |attention: AttentionConfig| {
            let attention =
                Held::load(&weights.pp("attentions.0"), move |weights| attention.load(weights))?;
            LoadResult::<_>::Ok((attention, resnet(1)?))
        };
        Ok(Some(Self { first: resnet(0)?, pair: attention.map(pair).transpose()? }))
    }

    pub fn forward(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor> {
        let x = self.first.part()?.forward(x, Some(context.time))?;
        match &self.pair {
            Some((attention, resnet)) => {
                let x = attention.part()?.forward(&x, context.prompt)?;
                resnet.part()?.forward(&x, Some(context.time))
            }
            None => Ok(x),
        }
    }
}

/// A block of the path up, of any [`BlockKind`].
#[derive(Clone, Debug)]
pub struct UpBlock {
    layers: Vec<Held<Layer>>,
    upsampler: Option<Held<Sampler<Upsample2D>>>,
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
            load_layer(weights, config, i, before + skip, level, (level.up, level.up_depths[i]))
        };
        let upsample = || {
            let channels = level.channels;
            let resnet = resampling(config, level.up, Resample::Double);
            Sampler::load(&weights.pp("upsamplers.0"), channels, resnet, move |weights| {
                Upsample2D::load(weights, channels)
            })
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
            let joined = Tensor::cat(&[&x, &skip], 1)?;
            drop((x, skip));
            x = layer.part()?.forward(&joined, context)?;
        }
        let Some(upsampler) = &self.upsampler else { return Ok(x) };
        match &*upsampler.part()? {
            Sampler::Conv(conv) => {
                let next = skips.last().filter(|_| exact).map(Tensor::dims4).transpose()?;
                conv.forward(&x, next.map(|(_, _, height, width)| (height, width)))
            }
            Sampler::Resnet(resnet) => resnet.forward(&x, Some(context.time)),
        }
    }
}
