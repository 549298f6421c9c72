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
