//! What some networks are told besides prompt and timestep, and how it joins the time embedding.

use candle_core::{Result, Tensor, bail};

use super::config::AdditionConfig;
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, Sinusoids, TimestepEmbedding, TimestepEmbeddingConfig},
};

/// `added_cond_kwargs` of the reference, one row for each entry of the batch. A network takes what
/// its configuration asks for and passes over the rest.
#[derive(Clone, Debug, Default)]
pub struct AddedConditions {
    /// The text as a whole, pooled and projected, [B, width].
    pub text_embeds: Option<Tensor>,
    /// Sizes and crops in pixels, or aesthetic scores, [B, number], f32.
    pub time_ids: Option<Tensor>,
}

impl AddedConditions {
    /// Rows of `self`, then rows of `other`; what one of them lacks is left out.
    ///
    /// # Errors
    /// If the widths differ.
    pub fn followed_by(&self, other: &Self) -> Result<Self> {
        let join = |a: &Option<Tensor>, b: &Option<Tensor>| match (a, b) {
            (Some(a), Some(b)) => Tensor::cat(&[a, b], 0).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            text_embeds: join(&self.text_embeds, &other.text_embeds)?,
            time_ids: join(&self.time_ids, &other.time_ids)?,
        })
    }

    /// Each tensor by itself through `change`.
    ///
    /// # Errors
    /// What `change` fails with.
    pub fn try_map<E>(
        &self,
        change: impl Fn(&Tensor) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        Ok(Self {
            text_embeds: self.text_embeds.as_ref().map(&change).transpose()?,
            time_ids: self.time_ids.as_ref().map(&change).transpose()?,
        })
    }
}

/// The part of a network that embeds them: [B, time embedding's width].
#[derive(Clone, Debug)]
pub enum AddedEmbedding {
    /// `text_time`: the text beside sinusoids of the numbers, through two layers.
    TextTime { sinusoids: Sinusoids, layers: TimestepEmbedding },
}

impl AddedEmbedding {
    /// From the place of the network itself; `width` is the time embedding's.
    pub fn load(
        weights: &Weights<'_>,
        config: &AdditionConfig,
        sinusoids: Sinusoids,
        width: usize,
    ) -> LoadResult<Self> {
        match *config {
            AdditionConfig::TextTime { time_width, inputs } => {
                let config = TimestepEmbeddingConfig {
                    inputs,
                    outputs: width,
                    activation: Activation::Silu,
                    post_activation: None,
                    condition: None,
                };
                let layers = TimestepEmbedding::load(&weights.pp("add_embedding"), config)?;
                let sinusoids = Sinusoids { width: time_width, ..sinusoids };
                Ok(Self::TextTime { sinusoids, layers })
            }
        }
    }

    /// # Errors
    /// If a condition that the network asks for is missing or has another width.
    pub fn forward(&self, added: Option<&AddedConditions>) -> Result<Tensor> {
        match self {
            Self::TextTime { sinusoids, layers } => {
                let given =
                    added.and_then(|a| Some((a.text_embeds.as_ref()?, a.time_ids.as_ref()?)));
                let Some((text, ids)) = given else {
                    bail!("this network needs the pooled text and the picture's sizes");
                };
                let dtype = layers.dtype();
                let times = sinusoids.of_tensor(&ids.flatten_all()?)?;
                let times = times.reshape((ids.dim(0)?, ()))?.to_dtype(dtype)?;
                let both = Tensor::cat(&[&text.to_dtype(dtype)?, &times], 1)?;
                let (width, right) = (both.dim(1)?, layers.inputs());
                if width != right {
                    let (text, ids) = (text.dims(), ids.dims());
                    bail!(
                        "pooled text {text:?} and numbers {ids:?} make {width} inputs, but the \
                         network takes {right}"
                    );
                }
                layers.forward(&both, None)
            }
        }
    }
}
