//! Linear layers.

use candle_core::{Module, Result, Tensor};

use crate::networks::{Result as LoadResult, Weights, adapters::Slot};

/// y = x W^T + b over the last dimension, and what its slot adds.
#[derive(Clone, Debug)]
pub struct Linear {
    plain: candle_nn::Linear,
    slot: Slot,
}

impl Linear {
    /// `weight` is outputs x inputs, `bias` has one number an output.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> LoadResult<Self> {
        let shape = [outputs, inputs];
        let bias = weights.get(outputs, "bias")?;
        let weight = weights.get(shape.as_slice(), "weight")?;
        Ok(Self { plain: candle_nn::Linear::new(weight, Some(bias)), slot: weights.slot(&shape) })
    }

    /// Without a bias.
    pub fn load_no_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> LoadResult<Self> {
        let shape = [outputs, inputs];
        let weight = weights.get(shape.as_slice(), "weight")?;
        Ok(Self { plain: candle_nn::Linear::new(weight, None), slot: weights.slot(&shape) })
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.slot.add(self.plain.forward(x)?, |branch| {
            let low = candle_nn::Linear::new(branch.down.clone(), None).forward(x)?;
            candle_nn::Linear::new(branch.up.clone(), branch.bias.clone()).forward(&low)
        })
    }
}
