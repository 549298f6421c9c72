//! Convolutions.

use candle_core::{Module, Result, Tensor};
use candle_nn::Conv2dConfig;

use crate::networks::{Result as LoadResult, Weights};

/// A square two-dimensional convolution with a bias, [B, inputs, H, W] to [B, outputs, H', W'].
#[derive(Clone, Debug)]
pub struct Conv2d(candle_nn::Conv2d);

impl Conv2d {
    /// Stride 1, padded so that an odd `kernel` keeps the size.
    pub fn load(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> LoadResult<Self> {
        let padding = kernel.saturating_sub(1) / 2;
        Self::load_strided(weights, inputs, outputs, kernel, 1, padding)
    }

    /// With `padding` zeros on each side.
    pub fn load_strided(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> LoadResult<Self> {
        let weight = weights.get((outputs, inputs, kernel, kernel), "weight")?;
        let bias = weights.get(outputs, "bias")?;
        let config = Conv2dConfig { padding, stride, ..Default::default() };
        Ok(Self(candle_nn::Conv2d::new(weight, Some(bias), config)))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}
