//! The attention of `SimpleCrossAttn` blocks: one layer, in which pixels look at the prompt and at
//! each other at once (`AttnAddedKVProcessor`).

use candle_core::{Module, Result, Tensor};

use crate::networks::{
    Result as LoadResult, Weights,
    layers::{AttentionOptions, GroupNorm, Linear, attention},
};

const NORM_EPS: f64 = 1e-5;

#[derive(Clone, Copy, Debug)]
pub struct SimpleAttentionConfig {
    pub channels: usize,
    /// Channels of a head; they divide the whole.
    pub head_width: usize,
    /// Width of the encoded prompt.
    pub context: usize,
    pub groups: usize,
    pub only_cross_attention: bool,
}

/// Attention over the pixels of [B, C, H, W].
#[derive(Clone, Debug)]
pub struct SimpleAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    /// Keys and values of the pixels, where they look at each other.
    own: Option<(Linear, Linear)>,
    /// Keys and values of the prompt.
    added: (Linear, Linear),
    to_out: Linear,
    options: AttentionOptions,
}

impl SimpleAttention {
    pub fn load(weights: &Weights<'_>, config: SimpleAttentionConfig) -> LoadResult<Self> {
        let SimpleAttentionConfig { channels, context, groups, .. } = config;
        let project = |name, from| Linear::load(&weights.pp(name), from, channels);
        let own = || LoadResult::<_>::Ok((project("to_k", channels)?, project("to_v", channels)?));
        let heads = channels / config.head_width;
        Ok(Self {
            group_norm: GroupNorm::load(&weights.pp("group_norm"), channels, groups, NORM_EPS)?,
            to_q: project("to_q", channels)?,
            own: (!config.only_cross_attention).then(own).transpose()?,
            added: (project("add_k_proj", context)?, project("add_v_proj", context)?),
            to_out: project("to_out.0", channels)?,
            // Scores are computed in f32 in the reference as well.
            options: AttentionOptions { upcast: true, ..AttentionOptions::new(heads, channels) },
        })
    }

    /// `context` is the encoded prompt [B, T, context].
    pub fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let normal = self.group_norm.forward(x)?;
        let tokens = normal.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
        let (mut key, mut value) = (self.added.0.forward(context)?, self.added.1.forward(context)?);
        if let Some((to_k, to_v)) = &self.own {
            key = Tensor::cat(&[&key, &to_k.forward(&tokens)?], 1)?;
            value = Tensor::cat(&[&value, &to_v.forward(&tokens)?], 1)?;
        }
        let query = self.to_q.forward(&tokens)?;
        let out = self.to_out.forward(&attention(&query, &key, &value, self.options)?)?;
        out.transpose(1, 2)?.contiguous()?.reshape(x.shape())? + x
    }
}
