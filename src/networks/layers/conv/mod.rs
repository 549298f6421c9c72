//! Convolutions.

mod kernel;

use candle_core::{DType, Module, Result, Tensor};

use self::kernel::Convolve;
use crate::networks::{Result as LoadResult, Weights, adapters::Slot};

/// A square two-dimensional convolution with a bias, [B, inputs, H, W] to [B, outputs, H', W'], and
/// what its slot adds.
#[derive(Clone, Debug)]
pub struct Conv2d {
    plain: Plain,
    slot: Slot,
}

/// The convolution alone.
#[derive(Clone, Debug)]
struct Plain {
    /// [outputs, inputs, kernel, kernel].
    weight: Tensor,
    /// [outputs].
    bias: Tensor,
    stride: usize,
    /// Zeros on each side.
    padding: usize,
}

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
        let shape = [outputs, inputs, kernel, kernel];
        let weight = weights.get(shape.as_slice(), "weight")?;
        let bias = weights.get(outputs, "bias")?;
        Ok(Self { plain: Plain { weight, bias, stride, padding }, slot: weights.slot(&shape) })
    }

    /// As [`Self::load_strided`] for a layer that has no bias.
    pub fn load_without_bias(
        weights: &Weights<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> LoadResult<Self> {
        let shape = [outputs, inputs, kernel, kernel];
        let weight = weights.get(shape.as_slice(), "weight")?;
        let bias = Tensor::zeros(outputs, weight.dtype(), weight.device())?;
        Ok(Self { plain: Plain { weight, bias, stride, padding }, slot: weights.slot(&shape) })
    }

    /// Channels that come out.
    pub fn outputs(&self) -> usize {
        self.plain.bias.elem_count()
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.slot.add(self.plain.forward(x)?, |branch| {
            let Plain { stride, padding, .. } = self.plain;
            let low = unbiased(&branch.down, stride, padding)?.forward(x)?;
            match &branch.bias {
                Some(bias) => {
                    let (weight, bias) = (branch.up.clone(), bias.clone());
                    Plain { weight, bias, stride: 1, padding: 0 }.forward(&low)
                }
                None => unbiased(&branch.up, 1, 0)?.forward(&low),
            }
        })
    }
}

fn unbiased(weight: &Tensor, stride: usize, padding: usize) -> Result<Plain> {
    let bias = Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?;
    Ok(Plain { weight: weight.clone(), bias, stride, padding })
}

impl Plain {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() || x.dtype() != DType::F32 {
            return self.by_candle(x);
        }
        let op = Convolve { stride: self.stride, padding: self.padding };
        x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &op)
    }

    fn by_candle(&self, x: &Tensor) -> Result<Tensor> {
        let out = x.conv2d(&self.weight, self.padding, self.stride, 1, 1)?;
        out.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Shape};

    use super::*;

    fn random(shape: impl Into<Shape>) -> Tensor {
        Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn the_kernel_computes_what_candle_does() {
        for (inputs, outputs, kernel, stride, padding, height, width) in [
            (3, 5, 3, 1, 1, 7, 9),
            (4, 130, 3, 1, 1, 33, 40),
            (70, 2, 3, 1, 1, 24, 24),
            (6, 8, 1, 1, 0, 5, 4),
            (6, 8, 1, 2, 0, 5, 4),
            (3, 4, 3, 2, 1, 8, 11),
            (3, 4, 3, 2, 0, 9, 9),
            (2, 3, 5, 1, 2, 6, 3),
            (2, 3, 5, 3, 4, 2, 1),
            (1, 1, 4, 1, 1, 5, 5),
        ] {
            let conv = Plain {
                weight: random((outputs, inputs, kernel, kernel)),
                bias: random(outputs),
                stride,
                padding,
            };
            let x = random((2, inputs, height, width));
            let (got, right) = (conv.forward(&x).unwrap(), conv.by_candle(&x).unwrap());
            assert_eq!(got.dims(), right.dims());
            let difference = (got - right).unwrap().abs().unwrap().max_all().unwrap();
            let difference = difference.to_scalar::<f32>().unwrap();
            // Sums of so many products in another order; the numbers are different each time.
            let bound = 1e-5 + 1e-6 * (inputs * kernel * kernel) as f32;
            assert!(difference < bound, "{inputs} {outputs} {kernel} {stride}: {difference}");
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let conv = Plain { weight: random((2, 3, 3, 3)), bias: random(2), stride: 1, padding: 0 };
        assert!(conv.forward(&random((1, 4, 8, 8))).is_err());
        assert!(conv.forward(&random((1, 3, 2, 8))).is_err());
        assert!(conv.forward(&random((3, 8, 8))).is_err());
    }
}
