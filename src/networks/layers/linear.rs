//! Linear layers.

use candle_core::{Module, Result, Tensor};

use crate::networks::{Result as LoadResult, Weights};

/// y = x W^T + b over the last dimension.
#[derive(Clone, Debug)]
pub struct Linear(candle_nn::Linear);

impl Linear {
    /// `weight` is outputs x inputs, `bias` has one number an output.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> LoadResult<Self> {
        let bias = weights.get(outputs, "bias")?;
        let weight = weights.get((outputs, inputs), "weight")?;
        Ok(Self(candle_nn::Linear::new(weight, Some(bias))))
    }

    /// Without a bias.
    pub fn load_no_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> LoadResult<Self> {
        let weight = weights.get((outputs, inputs), "weight")?;
        Ok(Self(candle_nn::Linear::new(weight, None)))
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}
