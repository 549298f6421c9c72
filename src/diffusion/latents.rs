//! What latents are prepared from: posteriors, masks, and the strength.

use candle_core::{DType, Result as TensorResult, Tensor};

use super::{Error, NoiseSource, Result};

/// What an autoencoder says about a picture: a normal distribution over latents, which the
/// pipelines draw from. Not yet multiplied by the scaling factor.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// [B, C, h, w], f32.
    pub mean: Tensor,
    /// Standard deviation, same shape; none where there is no doubt.
    pub std: Option<Tensor>,
}

/// Beyond this a logarithm of a variance is noise of the network's own.
const LOGVAR_RANGE: (f64, f64) = (-30.0, 20.0);

impl Posterior {
    /// From the encoder's output [B, 2C, h, w]: means, then logarithms of variances.
    pub fn from_moments(moments: &Tensor) -> TensorResult<Self> {
        let halves = moments.to_dtype(DType::F32)?.chunk(2, 1)?;
        let logvar = halves[1].clamp(LOGVAR_RANGE.0, LOGVAR_RANGE.1)?;
        let std = Some((logvar * 0.5)?.exp()?);
        Ok(Self { mean: halves[0].contiguous()?, std })
    }

    /// Of an encoder that gives the latents [B, C, h, w] themselves: nothing is drawn.
    pub fn exactly(latents: &Tensor) -> TensorResult<Self> {
        Ok(Self { mean: latents.to_dtype(DType::F32)?, std: None })
    }

    /// One draw, not yet scaled.
    pub fn sample(&self, noise: &mut dyn NoiseSource) -> TensorResult<Tensor> {
        let Some(std) = &self.std else { return Ok(self.mean.clone()) };
        let draw = noise.randn(self.mean.shape().clone(), self.mean.device(), DType::F32)?;
        &self.mean + (std * draw)?
    }
}

/// Where a picture's latents come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Drawn from what the autoencoder says about it.
    Posterior(&'a Posterior),
    /// Known: what another run left, [B, C, h, w], scaled as the network sees them.
    Latents(&'a Tensor),
}

impl Source<'_> {
    /// Scaled latents; draws only where they are not known.
    pub fn latents(
        &self,
        noise: &mut dyn NoiseSource,
        scaling_factor: f64,
    ) -> TensorResult<Tensor> {
        match self {
            Self::Posterior(posterior) => posterior.sample(noise)? * scaling_factor,
            Self::Latents(latents) => Ok((*latents).clone()),
        }
    }

    /// Of the latents: channels, height, width.
    pub fn dims(&self) -> TensorResult<(usize, usize, usize)> {
        let tensor = match self {
            Self::Posterior(posterior) => &posterior.mean,
            Self::Latents(latents) => latents,
        };
        let (_, channels, height, width) = tensor.dims4()?;
        Ok((channels, height, width))
    }
}

/// A mask as the pipelines take it: below one half keeps the picture (0), the rest repaints it
/// (1). A soft edge is lost here, by the reference's choice.
pub fn binarised(mask: &Tensor) -> TensorResult<Tensor> {
    mask.ge(0.5)?.to_dtype(DType::F32)
}

/// The picture [B, 3, H, W] in [-1, 1] with middle grey (0) where `mask` [B|1, 1, H, W] repaints.
pub fn masked_picture(picture: &Tensor, mask: &Tensor) -> TensorResult<Tensor> {
    picture.broadcast_mul(&mask.lt(0.5)?.to_dtype(picture.dtype())?)
}

/// The mask [B, 1, H, W] at the size of the latents, by the nearest pixel at floor(i * in / out).
pub fn latent_mask(mask: &Tensor, height: usize, width: usize) -> TensorResult<Tensor> {
    let (_, _, in_height, in_width) = mask.dims4()?;
    let rows = nearest(in_height, height, mask.device())?;
    let columns = nearest(in_width, width, mask.device())?;
    mask.index_select(&rows, 2)?.index_select(&columns, 3)
}

fn nearest(from: usize, to: usize, device: &candle_core::Device) -> TensorResult<Tensor> {
    // In f32, as the reference computes its indices.
    let scale = from as f32 / to as f32;
    let at = |i: usize| ((i as f32 * scale) as usize).min(from.saturating_sub(1)) as u32;
    Tensor::from_iter((0..to).map(at), device)
}

/// `batch` copies of a tensor with one entry, or as many as make up `batch`.
pub fn repeated(tensor: &Tensor, batch: usize) -> Result<Tensor> {
    let have = tensor.dim(0)?;
    if have == batch {
        return Ok(tensor.clone());
    }
    if !batch.is_multiple_of(have) {
        let text = format!("{have} pictures cannot be repeated to make a batch of {batch}");
        return Err(Error::Invalid(text));
    }
    let copies = vec![tensor; batch / have];
    Ok(Tensor::cat(&copies, 0)?)
}

/// How many of `steps` are left out at the beginning for a strength from 0 to 1: the product is
/// truncated, so that 50 steps at 0.58 run 28.
///
/// # Errors
/// If the strength is out of range, or leaves no step at all.
pub fn skipped_steps(steps: usize, strength: f64) -> Result<usize> {
    if !(0.0..=1.0).contains(&strength) {
        return Err(Error::Invalid(format!("strength is {strength}, but must be from 0 to 1")));
    }
    let run = ((steps as f64 * strength) as usize).min(steps);
    if run == 0 {
        let text = format!(
            "a strength of {strength} leaves none of {steps} steps to run; raise the strength or the steps"
        );
        return Err(Error::Invalid(text));
    }
    Ok(steps - run)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::diffusion::noise::TorchNoise;

    #[test]
    fn strength_is_truncated_as_floating_point_has_it() {
        assert_eq!(skipped_steps(50, 0.58).unwrap(), 50 - 28);
        assert_eq!(skipped_steps(50, 1.0).unwrap(), 0);
        assert_eq!(skipped_steps(10, 0.99).unwrap(), 1);
        assert!(skipped_steps(10, 0.09).unwrap_err().to_string().contains("leaves none"));
        assert!(skipped_steps(10, 1.01).is_err());
        assert!(skipped_steps(10, f64::NAN).is_err());
    }

    #[test]
    fn masks_take_the_nearest_pixel_and_one_half_repaints() {
        let mask =
            Tensor::arange(0f32, 10.0, &Device::Cpu).unwrap().reshape((1, 1, 1, 10)).unwrap();
        let small = |width| {
            let mask = latent_mask(&mask, 1, width).unwrap();
            mask.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(small(4), [0.0, 2.0, 5.0, 7.0]);
        assert_eq!(small(3), [0.0, 3.0, 6.0]);
        let greys = Tensor::new(&[0f32, 127.0 / 255.0, 0.5, 128.0 / 255.0, 1.0], &Device::Cpu);
        let sharp: Vec<f32> = binarised(&greys.unwrap()).unwrap().to_vec1().unwrap();
        assert_eq!(sharp, [0.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn posteriors_clamp_and_draw() {
        // Means 0 to 3, logarithms of variances from tiny to huge.
        let moments: Vec<f32> = vec![0.0, 1.0, 2.0, 3.0, -100.0, 0.0, 2.0, 100.0];
        let moments = Tensor::from_vec(moments, (1, 2, 2, 2), &Device::Cpu).unwrap();
        let posterior = Posterior::from_moments(&moments).unwrap();
        let draw = posterior.sample(&mut TorchNoise::new(0)).unwrap();
        let draw: Vec<f32> = draw.flatten_all().unwrap().to_vec1().unwrap();
        let noise = TorchNoise::new(0).fill(4);
        for (i, logvar) in [-30f32, 0.0, 2.0, 20.0].into_iter().enumerate() {
            let expected = i as f32 + (0.5 * logvar).exp() * noise[i];
            assert!((draw[i] - expected).abs() <= 1e-5 * expected.abs().max(1.0));
        }
    }

    #[test]
    fn a_batch_is_made_of_whole_copies() {
        let two = Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(repeated(&two, 4).unwrap().dims(), [4, 1]);
        assert!(repeated(&two, 3).is_err());
    }
}
