//! What some networks are told besides prompt and timestep, and how it joins the time embedding.

use candle_core::{DType, Module, Result, Tensor, bail};

use super::config::AdditionConfig;
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{
        Activation, LayerNorm, Linear, Sinusoids, TimestepEmbedding, TimestepEmbeddingConfig,
    },
};

const LAYER_NORM_EPS: f64 = 1e-5;

/// `added_cond_kwargs` of the reference, one row for each entry of the batch. A network takes what
/// its configuration asks for and passes over the rest.
#[derive(Clone, Debug, Default)]
pub struct AddedConditions {
    /// The text as a whole, pooled and projected, [B, width].
    pub text_embeds: Option<Tensor>,
    /// Sizes and crops in pixels, or aesthetic scores, [B, number], f32.
    pub time_ids: Option<Tensor>,
    /// The embedding of a picture, [B, width].
    pub image_embeds: Option<Tensor>,
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
            image_embeds: join(&self.image_embeds, &other.image_embeds)?,
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
            image_embeds: self.image_embeds.as_ref().map(&change).transpose()?,
        })
    }
}

/// The embedding of a picture.
fn image(added: Option<&AddedConditions>, dtype: DType) -> Result<Tensor> {
    match added.and_then(|added| added.image_embeds.as_ref()) {
        Some(embeds) => embeds.to_dtype(dtype),
        None => bail!("this network needs the embedding of a picture"),
    }
}

/// Tokens that a picture's embedding becomes.
const IMAGE_TOKENS: usize = 32;

/// `ImageProjection`: the embedding of a picture as what stands for a prompt.
#[derive(Clone, Debug)]
pub struct ImagePrompt {
    image_embeds: Linear,
    norm: LayerNorm,
}

impl ImagePrompt {
    /// `width` is the embedding's, `context` that of a prompt.
    pub fn load(weights: &Weights<'_>, width: usize, context: usize) -> LoadResult<Self> {
        let tokens = &weights.pp("image_embeds");
        Ok(Self {
            image_embeds: Linear::load(tokens, width, IMAGE_TOKENS * context)?,
            norm: LayerNorm::load(&weights.pp("norm"), context, LAYER_NORM_EPS)?,
        })
    }

    /// [B, 32, context], in the network's `dtype`.
    ///
    /// # Errors
    /// If there is no embedding, or one of another width.
    pub fn forward(&self, added: Option<&AddedConditions>, dtype: DType) -> Result<Tensor> {
        let tokens = self.image_embeds.forward(&image(added, dtype)?)?;
        let batch = tokens.dim(0)?;
        self.norm.forward(&tokens.reshape((batch, IMAGE_TOKENS, ()))?)
    }
}

/// The part of a network that embeds them: [B, time embedding's width].
#[derive(Clone, Debug)]
pub enum AddedEmbedding {
    /// `text_time`: the text beside sinusoids of the numbers, through two layers.
    TextTime { sinusoids: Sinusoids, layers: TimestepEmbedding },
    /// `image`: the picture's embedding through one layer, normalised.
    Image { layer: Linear, norm: LayerNorm },
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
            AdditionConfig::Image { inputs } => {
                let weights = weights.pp("add_embedding");
                Ok(Self::Image {
                    layer: Linear::load(&weights.pp("image_proj"), inputs, width)?,
                    norm: LayerNorm::load(&weights.pp("image_norm"), width, LAYER_NORM_EPS)?,
                })
            }
        }
    }

    /// In the network's `dtype`.
    ///
    /// # Errors
    /// If a condition that the network asks for is missing or has another width.
    pub fn forward(&self, added: Option<&AddedConditions>, dtype: DType) -> Result<Tensor> {
        match self {
            Self::TextTime { sinusoids, layers } => {
                let given =
                    added.and_then(|a| Some((a.text_embeds.as_ref()?, a.time_ids.as_ref()?)));
                let Some((text, ids)) = given else {
                    bail!("this network needs the pooled text and the picture's sizes");
                };
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
            Self::Image { layer, norm } => norm.forward(&layer.forward(&image(added, dtype)?)?),
        }
    }
}
