//! What the network's output means, and limits on the picture that follows from it.

use candle_core::{Result as TensorResult, Tensor};

use super::config::Reader;
use crate::diffusion::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prediction {
    /// The noise.
    Epsilon,
    /// Salimans and Ho 2022, "Progressive distillation": alpha * noise - sigma * picture.
    Velocity,
    /// The picture itself.
    Sample,
}

impl Prediction {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [
            ("epsilon", Self::Epsilon),
            ("v_prediction", Self::Velocity),
            ("sample", Self::Sample),
        ];
        reader.choice("prediction_type", &choices, Self::Epsilon)
    }

    /// For classes that cannot do `sample`.
    pub fn read_without_sample(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [("epsilon", Self::Epsilon), ("v_prediction", Self::Velocity)];
        reader.choice("prediction_type", &choices, Self::Epsilon)
    }

    /// For classes that cannot do velocities.
    pub fn read_without_velocity(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [("epsilon", Self::Epsilon), ("sample", Self::Sample)];
        reader.choice("prediction_type", &choices, Self::Epsilon)
    }

    /// The clean picture for latents `sample = alpha * picture + sigma * noise`.
    pub fn picture(
        self,
        output: &Tensor,
        sample: &Tensor,
        alpha: f32,
        sigma: f32,
    ) -> TensorResult<Tensor> {
        match self {
            Self::Epsilon => combined(&[(1.0, sample), (-sigma, output)])? / f64::from(alpha),
            Self::Velocity => combined(&[(alpha, sample), (-sigma, output)]),
            Self::Sample => Ok(output.clone()),
        }
    }

    /// The noise in `sample = alpha * picture + sigma * noise`.
    pub fn noise(
        self,
        output: &Tensor,
        sample: &Tensor,
        alpha: f32,
        sigma: f32,
    ) -> TensorResult<Tensor> {
        match self {
            Self::Epsilon => Ok(output.clone()),
            Self::Velocity => combined(&[(alpha, output), (sigma, sample)]),
            Self::Sample => combined(&[(1.0, sample), (-alpha, output)])? / f64::from(sigma),
        }
    }

    /// The clean picture for latents `sample = picture + sigma * noise`, as the schedulers that
    /// work in sigmas scale them.
    pub fn picture_from_sigma(
        self,
        output: &Tensor,
        sample: &Tensor,
        sigma: f32,
    ) -> TensorResult<Tensor> {
        let power = sigma * sigma + 1.0;
        match self {
            Self::Epsilon => combined(&[(1.0, sample), (-sigma, output)]),
            Self::Velocity => combined(&[(-sigma / power.sqrt(), output), (1.0 / power, sample)]),
            Self::Sample => Ok(output.clone()),
        }
    }
}

/// The sum of scaled tensors of one shape.
pub(super) fn combined(terms: &[(f32, &Tensor)]) -> TensorResult<Tensor> {
    let (factor, first) = terms[0];
    terms[1..].iter().try_fold((first * f64::from(factor))?, |sum, (factor, tensor)| {
        sum + (*tensor * f64::from(*factor))?
    })
}

/// Limits on a predicted picture. Made for models of pixels; latents go beyond them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    None,
    /// Everything to within this of zero.
    Clip(f64),
    /// Saharia et al. 2022, "Imagen", section 2.3: to the quantile `ratio` of magnitudes (1 to
    /// `max`), and divided by it.
    Dynamic {
        ratio: f64,
        max: f64,
    },
}

impl Limit {
    /// Reads `clip_sample`, whose default differs, and its range.
    pub fn read_clip(reader: &mut Reader<'_>, default: bool) -> Result<Self> {
        let clip = reader.bool("clip_sample", default)?;
        let range = reader.f64("clip_sample_range", 1.0)?;
        Ok(if clip { Self::Clip(range) } else { Self::None })
    }

    /// Reads `thresholding` and its numbers; where it is off, `otherwise` holds.
    pub fn read_threshold(reader: &mut Reader<'_>, otherwise: Self) -> Result<Self> {
        let thresholding = reader.bool("thresholding", false)?;
        let ratio = reader.f64("dynamic_thresholding_ratio", 0.995)?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(reader.error("dynamic_thresholding_ratio", "from 0 to 1"));
        }
        let max = reader.f64("sample_max_value", 1.0)?;
        Ok(if thresholding { Self::Dynamic { ratio, max } } else { otherwise })
    }

    pub fn apply(self, picture: Tensor) -> TensorResult<Tensor> {
        match self {
            Self::None => Ok(picture),
            Self::Clip(range) => picture.clamp(-range, range),
            Self::Dynamic { ratio, max } => {
                let entries: TensorResult<Vec<_>> = (0..picture.dim(0)?)
                    .map(|i| thresholded(&picture.narrow(0, i, 1)?, ratio, max))
                    .collect();
                Tensor::cat(&entries?, 0)
            }
        }
    }
}

fn thresholded(picture: &Tensor, ratio: f64, max: f64) -> TensorResult<Tensor> {
    let mut magnitudes: Vec<f32> = picture.abs()?.flatten_all()?.to_vec1()?;
    magnitudes.sort_by(f32::total_cmp);
    let limit = f64::from(quantile(&magnitudes, ratio)).max(1.0).min(max);
    picture.clamp(-limit, limit)? / limit
}

/// `torch.quantile`: linear between the two nearest of sorted, not empty `values`.
fn quantile(values: &[f32], ratio: f64) -> f32 {
    let rank = ratio * (values.len() - 1) as f64;
    let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    low + (high - low) * rank.fract() as f32
}
