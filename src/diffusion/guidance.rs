//! Classifier-free guidance (Ho and Salimans 2022): two predictions in one batch, and the step
//! from the one without the prompt past the one with it.

use candle_core::{D, Device, Result, Tensor};

/// At 1 or less there is no guidance, and no second half of the batch.
pub fn is_guided(guidance_scale: f64) -> bool {
    guidance_scale > 1.0
}

/// The batch twice, for the prediction without and with the prompt.
pub fn doubled(tensor: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[tensor, tensor], 0)
}

/// `prediction` [2B, C, h, w], the B without the prompt first; gives [B, C, h, w].
///
/// `rescale` (phi, 0 to 1) brings the standard deviation of each entry back to that of the
/// prompted prediction: Lin et al. 2023, "Common diffusion noise schedules and sample steps are
/// flawed", section 3.4.
pub fn guide(prediction: &Tensor, guidance_scale: f64, rescale: f64) -> Result<Tensor> {
    let halves = prediction.chunk(2, 0)?;
    let (uncond, cond) = (&halves[0], &halves[1]);
    let guided = (uncond + ((cond - uncond)? * guidance_scale)?)?;
    if rescale > 0.0 { rescaled(&guided, cond, rescale) } else { Ok(guided) }
}

/// What a network says that predicts a variance beside the noise, [B, 2C, h, w]: the noise, and the
/// variance as a share of its range.
pub fn with_variance(prediction: &Tensor) -> Result<(Tensor, Tensor)> {
    let halves = prediction.chunk(2, 1)?;
    Ok((halves[0].contiguous()?, halves[1].contiguous()?))
}

fn rescaled(guided: &Tensor, cond: &Tensor, rescale: f64) -> Result<Tensor> {
    let ratio = (deviation(cond)? / deviation(guided)?)?;
    let matched = guided.broadcast_mul(&ratio)?;
    (matched * rescale)? + (guided * (1.0 - rescale))?
}

/// Sample standard deviation of each batch entry, [B, 1, 1, 1].
fn deviation(tensor: &Tensor) -> Result<Tensor> {
    tensor.flatten_from(1)?.var_keepdim(D::Minus1)?.sqrt()?.reshape((tensor.dim(0)?, 1, 1, 1))
}

/// The guidance scale as sines and cosines [batch, dim], for networks distilled with guidance
/// inside (Meng et al. 2023; LCM): they see `scale - 1`, times 1000.
pub fn embedding(scale: f64, dim: usize, batch: usize, device: &Device) -> Result<Tensor> {
    let half = dim / 2;
    let falloff = -(10_000f32.ln()) / (half as f32 - 1.0);
    let angles: Vec<f32> =
        (0..half).map(|i| (scale as f32 - 1.0) * 1000.0 * (i as f32 * falloff).exp()).collect();
    let mut row: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
    row.extend(angles.iter().map(|a| a.cos()));
    row.resize(dim, 0.0);
    Tensor::from_vec(row, (1, dim), device)?.repeat((batch, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{NoiseSource, noise::TorchNoise};

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn noise(seed: u64) -> Tensor {
        let shape = (2, 2, 2, 2).into();
        TorchNoise::new(seed).randn(shape, &Device::Cpu, candle_core::DType::F32).unwrap()
    }

    #[test]
    fn without_rescale_it_is_a_line_through_both_predictions() {
        let (uncond, cond) = (noise(1), noise(2));
        let both = Tensor::cat(&[&uncond, &cond], 0).unwrap();
        let guided = values(&guide(&both, 7.5, 0.0).unwrap());
        for ((g, u), c) in guided.iter().zip(values(&uncond)).zip(values(&cond)) {
            assert!((g - (u + 7.5 * (c - u))).abs() < 1e-5);
        }
    }

    #[test]
    fn rescale_agrees_with_the_reference() {
        let both = Tensor::cat(&[noise(1), noise(2)], 0).unwrap();
        // rescale_noise_cfg of diffusers 0.42.1, scale 7.5, phi 0.7.
        let reference = [
            0.8200681, 4.566344, -2.149121, 0.8312201, -3.299038, 4.94158, -0.606948, 3.71797,
            -0.7852409, 0.2215293, 0.2764872, -0.0464179, 3.242678, -5.984374, -1.142728,
            -2.263937,
        ];
        for (ours, theirs) in values(&guide(&both, 7.5, 0.7).unwrap()).iter().zip(reference) {
            assert!((ours - theirs).abs() < 2e-5, "{ours} {theirs}");
        }
    }

    #[test]
    fn the_embedded_scale_agrees_with_the_reference() {
        // get_guidance_scale_embedding of diffusers 0.42.1, scale 8, width 6.
        let reference = [0.5068854, 0.7738907, 0.6442176, 0.8620135, 0.6333192, 0.7648422];
        let row = embedding(8.0, 6, 2, &Device::Cpu).unwrap();
        for (ours, theirs) in values(&row).iter().zip(reference.iter().cycle()) {
            assert!((ours - theirs).abs() < 1e-3, "{ours} {theirs}");
        }
    }
}
