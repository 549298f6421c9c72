//! A block of the prior: `BasicTransformerBlock` with attention to the sequence itself alone.

use candle_core::{Module, Result, Tensor};

use super::config::PriorConfig;
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, AttentionOptions, LayerNorm, Linear, attention},
};

pub(super) const LAYER_NORM_EPS: f64 = 1e-5;

/// The feed-forward layer is wider than the others by this factor.
const WIDENING: usize = 4;

#[derive(Clone, Debug)]
pub struct Block {
    norm1: LayerNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    norm3: LayerNorm,
    feed_in: Linear,
    feed_out: Linear,
    options: AttentionOptions,
}

impl Block {
    pub fn load(weights: &Weights<'_>, config: &PriorConfig) -> LoadResult<Self> {
        let width = config.inner();
        let norm = |name| LayerNorm::load(&weights.pp(name), width, LAYER_NORM_EPS);
        let project = |name| Linear::load(&weights.pp(name), width, width);
        let inner = width * WIDENING;
        Ok(Self {
            norm1: norm("norm1")?,
            to_q: project("attn1.to_q")?,
            to_k: project("attn1.to_k")?,
            to_v: project("attn1.to_v")?,
            to_out: project("attn1.to_out.0")?,
            norm3: norm("norm3")?,
            feed_in: Linear::load(&weights.pp("ff.net.0.proj"), width, inner)?,
            feed_out: Linear::load(&weights.pp("ff.net.2"), inner, width)?,
            options: AttentionOptions {
                causal: true,
                ..AttentionOptions::new(config.heads, width)
            },
        })
    }

    /// [B, T, width] to the same; no place sees those after it.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normal = self.norm1.forward(x)?;
        let (query, key) = (self.to_q.forward(&normal)?, self.to_k.forward(&normal)?);
        let value = self.to_v.forward(&normal)?;
        let x = (x + self.to_out.forward(&attention(&query, &key, &value, self.options)?)?)?;
        let hidden = self.feed_in.forward(&self.norm3.forward(&x)?)?;
        &x + self.feed_out.forward(&Activation::Gelu.forward(&hidden)?)?
    }
}
