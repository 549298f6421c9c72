//! Halving and doubling of pictures.

use candle_core::{Module, Result, Tensor};

use super::Conv2d;
use crate::networks::{Result as LoadResult, Weights};

/// Halves height and width with a strided convolution.
#[derive(Clone, Debug)]
pub struct Downsample2D {
    conv: Conv2d,
    /// Zeros on each side; none means one column and row at the right and bottom only.
    padding: usize,
}

impl Downsample2D {
    pub fn load(weights: &Weights<'_>, channels: usize, padding: usize) -> LoadResult<Self> {
        let conv = Conv2d::load_strided(&weights.pp("conv"), channels, channels, 3, 2, padding)?;
        Ok(Self { conv, padding })
    }

    /// Channels that come out.
    pub fn outputs(&self) -> usize {
        self.conv.outputs()
    }
}

impl Module for Downsample2D {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.padding > 0 {
            return self.conv.forward(x);
        }
        self.conv.forward(&x.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?)
    }
}

/// Repeats pixels, then convolves.
#[derive(Clone, Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

impl Upsample2D {
    pub fn load(weights: &Weights<'_>, channels: usize) -> LoadResult<Self> {
        Ok(Self { conv: Conv2d::load(&weights.pp("conv"), channels, channels, 3)? })
    }

    /// Channels that come out.
    pub fn outputs(&self) -> usize {
        self.conv.outputs()
    }

    /// To `size` (height, width), or to twice the size.
    pub fn forward(&self, x: &Tensor, size: Option<(usize, usize)>) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let (height, width) = size.unwrap_or((2 * height, 2 * width));
        self.conv.forward(&x.upsample_nearest2d(height, width)?)
    }
}
