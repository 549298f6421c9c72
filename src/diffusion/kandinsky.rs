//! `KandinskyV22InpaintPipeline`: repaint what a mask covers. Its other pipelines are the common
//! ones, with embeddings of pictures in place of a prompt.

use candle_core::{DType, Tensor};

use super::{
    Error, Prompt, Result, Sampling,
    inpaint::keep,
    latents::{binarised, latent_mask, repeated},
    pipeline::{Extras, Run},
};

pub struct KandinskyInpaint<'a> {
    pub prompt: &'a Prompt,
    /// Latents of the whole picture, [1, C, h, w].
    pub picture: &'a Tensor,
    /// [1, 1, H, W], 0 keeps and 1 repaints, at the picture's size; binarised at one half.
    pub mask: &'a Tensor,
    /// What is put back around the hole is as noisy as the reference makes it, which hands the
    /// noise on after it was scaled. That is right only for schedulers that do not scale it.
    pub scaled_noise: bool,
}

/// The final latents, [B, C, h, w] f32.
///
/// Draws the noise, then whatever the scheduler draws. The reference knows no strength; below 1 the
/// run sets out from the noised picture.
///
/// # Errors
/// Bad settings, an unknown number of channels, or [`Error::Cancelled`].
pub fn kandinsky_inpaint(
    run: &mut Run<'_>,
    input: &KandinskyInpaint<'_>,
    sampling: &Sampling,
) -> Result<Tensor> {
    let batch = sampling.num_images_per_prompt;
    let timesteps = run.timesteps(sampling, true)?;
    let clean = repeated(&input.picture.to_dtype(DType::F32)?, batch)?;
    let (_, channels, height, width) = clean.dims4()?;
    let mask = widened(&latent_mask(&binarised(input.mask)?, height, width)?)?;
    let kept = (1.0 - &mask)?;
    let extra_channels = match run.denoiser.in_channels() {
        // The picture around the hole, and where that is.
        takes if takes == 2 * channels + 1 => {
            let around = clean.broadcast_mul(&kept)?;
            Some(Tensor::cat(&[&around, &repeated(&kept, batch)?], 1)?)
        }
        takes if takes == channels => None,
        takes => {
            let text = format!(
                "the network takes {takes} channels; inpainting needs {channels} or {}",
                2 * channels + 1
            );
            return Err(Error::Invalid(text));
        }
    };
    let drawn = run.randn(&[batch, channels, height, width])?;
    let scaled = (&drawn * run.scheduler.init_noise_sigma())?;
    let noise = if input.scaled_noise { scaled.clone() } else { drawn };
    let latents = match sampling.strength < 1.0 {
        true => run.scheduler.add_noise(&clean, &noise, timesteps[0])?,
        false => scaled,
    };
    let after_step = Some(keep(clean, noise, mask)?);
    let extras = Extras { channels: extra_channels, after_step, ..Extras::default() };
    run.denoise(latents, &timesteps, input.prompt, sampling, &extras)
}

/// A mask [1, 1, h, w] of 0 and 1 with what it repaints (1) grown by the neighbours at the left, the
/// right, above, below, and along the falling diagonal: the reference's `prepare_mask`.
fn widened(mask: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = mask.dims4()?;
    let old: Vec<f32> = mask.flatten_all()?.to_vec1()?;
    let mut grown = old.clone();
    for (at, _) in old.iter().enumerate().filter(|(_, value)| **value != 0.0) {
        let (x, y) = (at % width, at / width);
        let (before, above) = (x > 0, y > 0);
        let (after, below) = (x + 1 < width, y + 1 < height);
        let neighbours = [
            (above, at.wrapping_sub(width)),
            (before, at.wrapping_sub(1)),
            (above && before, at.wrapping_sub(width + 1)),
            (below, at + width),
            (after, at + 1),
            (below && after, at + width + 1),
        ];
        for (_, neighbour) in neighbours.into_iter().filter(|(exists, _)| *exists) {
            grown[neighbour] = 1.0;
        }
    }
    Ok(Tensor::from_vec(grown, mask.shape(), mask.device())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_hole_grows_along_one_diagonal_only() {
        let mask = |rows: [[f32; 4]; 4]| {
            Tensor::new(&rows, &Device::Cpu).unwrap().reshape((1, 1, 4, 4)).unwrap()
        };
        let hole = mask([
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0],
        ]);
        let grown = mask([
            [0.0, 0.0, 1.0, 1.0],
            [1.0, 1.0, 0.0, 1.0],
            [1.0, 1.0, 1.0, 0.0],
            [0.0, 1.0, 1.0, 0.0],
        ]);
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&widened(&hole).unwrap()), values(&grown));
    }
}
