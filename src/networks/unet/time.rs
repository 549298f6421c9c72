//! The time embedding: the timestep, the guidance scale where the network takes one, and added
//! conditions, as one vector for all residual blocks.

use candle_core::{Device, Module, Result, Tensor};

use super::{
    added::{AddedConditions, AddedEmbedding},
    config::{AdditionConfig, TimeConfig},
};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, Sinusoids, TimestepEmbedding, TimestepEmbeddingConfig},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    sinusoids: Sinusoids,
    layers: TimestepEmbedding,
    added: Option<AddedEmbedding>,
    embedding_activation: Option<Activation>,
    /// Of the residual blocks.
    activation: Activation,
}

impl TimeEmbedding {
    /// From the place of the network itself. `inputs` is the width of the finest level,
    /// `activation` the residual blocks'.
    pub fn load(
        weights: &Weights<'_>,
        config: &TimeConfig,
        addition: Option<&AdditionConfig>,
        inputs: usize,
        activation: Activation,
    ) -> LoadResult<Self> {
        let layers = TimestepEmbeddingConfig {
            inputs,
            outputs: config.width,
            activation,
            post_activation: config.post_activation,
            condition: config.condition,
        };
        let sinusoids = Sinusoids {
            width: inputs,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
        };
        let added = |config| AddedEmbedding::load(weights, config, sinusoids, layers.outputs);
        Ok(Self {
            added: addition.map(added).transpose()?,
            layers: TimestepEmbedding::load(&weights.pp("time_embedding"), layers)?,
            sinusoids,
            embedding_activation: config.embedding_activation,
            activation,
        })
    }

    /// [batch, width], activated for the residual blocks. `condition` is the embedded guidance
    /// scale [batch, width of it].
    ///
    /// # Errors
    /// If the network needs an added condition that is missing, or shapes do not fit.
    pub fn forward(
        &self,
        timestep: f64,
        batch: usize,
        device: &Device,
        condition: Option<&Tensor>,
        added: Option<&AddedConditions>,
    ) -> Result<Tensor> {
        let dtype = self.layers.dtype();
        // In f32 whatever the dtype: the sine of 999 in f16 is noise.
        let waves = self.sinusoids.of(timestep, device)?.to_dtype(dtype)?.repeat((batch, 1))?;
        let condition = condition.map(|condition| condition.to_dtype(dtype)).transpose()?;
        let mut embedding = self.layers.forward(&waves, condition.as_ref())?;
        if let Some(layers) = &self.added {
            embedding = (embedding + layers.forward(added, dtype)?)?;
        }
        if let Some(activation) = self.embedding_activation {
            embedding = activation.forward(&embedding)?;
        }
        self.activation.forward(&embedding)
    }
}
