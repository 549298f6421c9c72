//! What the encoder says about a picture.

use candle_core::{DType, Result, Tensor};

/// Beyond this a logarithm of a variance is an accident.
const LOGVAR_RANGE: (f64, f64) = (-30.0, 20.0);

/// A normal distribution over latents, not yet scaled.
#[derive(Clone, Debug)]
pub struct DiagonalGaussian {
    /// [B, C, h, w], f32.
    pub mean: Tensor,
    /// Logarithm of the variance, same shape, clamped to [-30, 20].
    pub logvar: Tensor,
}

impl DiagonalGaussian {
    /// From the encoder's output [B, 2 C, h, w]: means, then logarithms of variances.
    pub fn from_moments(moments: &Tensor) -> Result<Self> {
        let halves = moments.to_dtype(DType::F32)?.chunk(2, 1)?;
        let logvar = halves[1].clamp(LOGVAR_RANGE.0, LOGVAR_RANGE.1)?;
        Ok(Self { mean: halves[0].contiguous()?, logvar })
    }

    /// Standard deviation.
    pub fn std(&self) -> Result<Tensor> {
        (&self.logvar * 0.5)?.exp()
    }

    /// One draw, from standard normal `noise` of the same shape.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        &self.mean + (self.std()? * noise)?
    }

    /// The likeliest latents.
    pub fn mode(&self) -> &Tensor {
        &self.mean
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn variances_are_clamped_and_draws_scaled() {
        let moments =
            Tensor::new(&[[[[1f32]], [[2.0]], [[-50.0]], [[0.0]]]], &Device::Cpu).unwrap();
        let posterior = DiagonalGaussian::from_moments(&moments).unwrap();
        let logvar = posterior.logvar.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(logvar, [-30.0, 0.0]);
        let noise = Tensor::full(3f32, (1, 2, 1, 1), &Device::Cpu).unwrap();
        let draw = posterior.sample(&noise).unwrap().flatten_all().unwrap();
        let draw = draw.to_vec1::<f32>().unwrap();
        assert!((draw[0] - 1.0).abs() < 1e-5 && (draw[1] - 5.0).abs() < 1e-5, "{draw:?}");
        assert_eq!(posterior.mode().dims(), [1, 2, 1, 1]);
    }
}
