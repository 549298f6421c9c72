//! The attention layers: `Transformer2DModel` and its `BasicTransformerBlock`s.

use candle_core::{Module, Result, Tensor};

use crate::networks::{
    Result as LoadResult, Weights,
    layers::{AttentionOptions, Conv2d, GroupNorm, LayerNorm, Linear, attention, geglu},
};

/// The normalisation before the blocks has its own epsilon, whatever the configuration says.
const NORM_EPS: f64 = 1e-6;

const LAYER_NORM_EPS: f64 = 1e-5;

/// The feed-forward layer is wider than the others by this factor.
const WIDENING: usize = 4;

#[derive(Clone, Copy, Debug)]
pub struct TransformerConfig {
    pub channels: usize,
    pub heads: usize,
    /// Width of the encoded prompt.
    pub context: usize,
    pub depth: usize,
    pub groups: usize,
    pub use_linear_projection: bool,
    pub only_cross_attention: bool,
    pub upcast_attention: bool,
}

impl TransformerConfig {
    /// Channels of all heads; less than `channels` where those do not divide.
    fn inner(&self) -> usize {
        self.channels / self.heads * self.heads
    }
}

/// Attention over the pixels of [B, C, H, W].
#[derive(Clone, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Projection,
    blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

/// To and from the width of the blocks; the two kinds differ in nothing but the order of axes.
#[derive(Clone, Debug)]
enum Projection {
    Conv(Conv2d),
    Linear(Linear),
}

impl Projection {
    fn load(weights: &Weights<'_>, linear: bool, from: usize, to: usize) -> LoadResult<Self> {
        Ok(match linear {
            true => Self::Linear(Linear::load(weights, from, to)?),
            false => Self::Conv(Conv2d::load(weights, from, to, 1)?),
        })
    }
}

impl Transformer2DModel {
    pub fn load(weights: &Weights<'_>, config: TransformerConfig) -> LoadResult<Self> {
        let (channels, inner) = (config.channels, config.inner());
        let linear = config.use_linear_projection;
        let block =
            |i| BasicTransformerBlock::load(&weights.pp(format!("transformer_blocks.{i}")), config);
        Ok(Self {
            norm: GroupNorm::load(&weights.pp("norm"), channels, config.groups, NORM_EPS)?,
            proj_in: Projection::load(&weights.pp("proj_in"), linear, channels, inner)?,
            blocks: (0..config.depth).map(block).collect::<LoadResult<_>>()?,
            proj_out: Projection::load(&weights.pp("proj_out"), linear, inner, channels)?,
        })
    }

    /// `context` is the encoded prompt [B, T, context].
    pub fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (batch, _, height, width) = x.dims4()?;
        let mut hidden = match &self.proj_in {
            Projection::Conv(project) => tokens(&project.forward(&self.norm.forward(x)?)?)?,
            Projection::Linear(project) => project.forward(&tokens(&self.norm.forward(x)?)?)?,
        };
        for block in &self.blocks {
            hidden = block.forward(hidden, context)?;
        }
        let picture = |tokens: &Tensor| {
            tokens.transpose(1, 2)?.contiguous()?.reshape((batch, (), height, width))
        };
        let hidden = match &self.proj_out {
            Projection::Conv(project) => project.forward(&picture(&hidden)?)?,
            Projection::Linear(project) => picture(&project.forward(&hidden)?)?,
        };
        hidden + x
    }
}

/// [B, C, H, W] to [B, H W, C].
fn tokens(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.transpose(1, 2)?.contiguous()
}

#[derive(Clone, Debug)]
struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    feed_in: Linear,
    feed_out: Linear,
    only_cross_attention: bool,
}

impl BasicTransformerBlock {
    fn load(weights: &Weights<'_>, config: TransformerConfig) -> LoadResult<Self> {
        let width = config.inner();
        let norm = |name| LayerNorm::load(&weights.pp(name), width, LAYER_NORM_EPS);
        let first = if config.only_cross_attention { config.context } else { width };
        let inner = width * WIDENING;
        Ok(Self {
            norm1: norm("norm1")?,
            attn1: Attention::load(&weights.pp("attn1"), config, first)?,
            norm2: norm("norm2")?,
            attn2: Attention::load(&weights.pp("attn2"), config, config.context)?,
            norm3: norm("norm3")?,
            feed_in: Linear::load(&weights.pp("ff.net.0.proj"), width, 2 * inner)?,
            feed_out: Linear::load(&weights.pp("ff.net.2"), inner, width)?,
            only_cross_attention: config.only_cross_attention,
        })
    }

    /// Takes `x`, so that it is given up as soon as it is added to.
    fn forward(&self, x: Tensor, context: &Tensor) -> Result<Tensor> {
        let attended = {
            let normal = self.norm1.forward(&x)?;
            let seen = if self.only_cross_attention { context } else { &normal };
            self.attn1.forward(&normal, seen)?
        };
        let x = add(attended, x)?;
        let x = add(self.attn2.forward(&self.norm2.forward(&x)?, context)?, x)?;
        let fed = geglu(&self.feed_in.forward(&self.norm3.forward(&x)?)?)?;
        self.feed_out.forward(&fed)? + x
    }
}

/// The sum; both are gone afterwards.
fn add(a: Tensor, b: Tensor) -> Result<Tensor> {
    a + b
}

#[derive(Clone, Debug)]
struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    options: AttentionOptions,
}

impl Attention {
    /// `seen` is the width of what is attended to.
    fn load(weights: &Weights<'_>, config: TransformerConfig, seen: usize) -> LoadResult<Self> {
        let width = config.inner();
        let project = |name, from| Linear::load_no_bias(&weights.pp(name), from, width);
        let options = AttentionOptions {
            upcast: config.upcast_attention,
            ..AttentionOptions::new(config.heads, width)
        };
        Ok(Self {
            to_q: project("to_q", width)?,
            to_k: project("to_k", seen)?,
            to_v: project("to_v", seen)?,
            to_out: Linear::load(&weights.pp("to_out.0"), width, width)?,
            options,
        })
    }

    fn forward(&self, x: &Tensor, seen: &Tensor) -> Result<Tensor> {
        let query = self.to_q.forward(x)?;
        let (key, value) = (self.to_k.forward(seen)?, self.to_v.forward(seen)?);
        self.to_out.forward(&attention(&query, &key, &value, self.options)?)
    }
}
