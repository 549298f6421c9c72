//! One layer of the text or the picture encoder.

use candle_core::{Module, Result, Tensor};

use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, AttentionOptions, LayerNorm, Linear, attention, attention_to},
};

/// What all layers of an encoder have in common.
#[derive(Clone, Copy, Debug)]
pub struct LayerConfig {
    pub width: usize,
    /// Between the two layers of the feed-forward part.
    pub inner: usize,
    pub heads: usize,
    pub activation: Activation,
    pub eps: f64,
    /// Whether no place sees those after it.
    pub causal: bool,
}

#[derive(Clone, Debug)]
pub struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: Attention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
}

impl EncoderLayer {
    pub fn load(weights: &Weights<'_>, config: LayerConfig) -> LoadResult<Self> {
        let LayerConfig { width, inner, .. } = config;
        let norm = |name| LayerNorm::load(&weights.pp(name), width, config.eps);
        Ok(Self {
            layer_norm1: norm("layer_norm1")?,
            self_attn: Attention::load(&weights.pp("self_attn"), config)?,
            layer_norm2: norm("layer_norm2")?,
            fc1: Linear::load(&weights.pp("mlp.fc1"), width, inner)?,
            fc2: Linear::load(&weights.pp("mlp.fc2"), inner, width)?,
            activation: config.activation,
        })
    }

    /// [B, T, width] to the same; attention goes to the places that `seen` says, or to all.
    pub fn forward(&self, x: &Tensor, seen: Option<&[bool]>) -> Result<Tensor> {
        let x = (x + self.self_attn.forward(&self.layer_norm1.forward(x)?, seen)?)?;
        let hidden = self.fc1.forward(&self.layer_norm2.forward(&x)?)?;
        &x + self.fc2.forward(&self.activation.forward(&hidden)?)?
    }
}

#[derive(Clone, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    options: AttentionOptions,
}

impl Attention {
    fn load(weights: &Weights<'_>, config: LayerConfig) -> LoadResult<Self> {
        let width = config.width;
        let project = |name| Linear::load(&weights.pp(name), width, width);
        let plain = AttentionOptions::new(config.heads, width);
        Ok(Self {
            q_proj: project("q_proj")?,
            k_proj: project("k_proj")?,
            v_proj: project("v_proj")?,
            out_proj: project("out_proj")?,
            options: AttentionOptions { causal: config.causal, ..plain },
        })
    }

    fn forward(&self, x: &Tensor, seen: Option<&[bool]>) -> Result<Tensor> {
        let (query, key) = (self.q_proj.forward(x)?, self.k_proj.forward(x)?);
        let value = self.v_proj.forward(x)?;
        let attended = match seen {
            Some(seen) => attention_to(&query, &key, &value, self.options, seen)?,
            None => attention(&query, &key, &value, self.options)?,
        };
        self.out_proj.forward(&attended)
    }
}
