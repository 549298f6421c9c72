//! DDPM: Ho et al. 2020, "Denoising diffusion probabilistic models". Formula numbers are the
//! paper's. Slow: it wants hundreds of steps.

use candle_core::{DType, Tensor};

use super::{
    Scheduler, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::Spacing,
};
use crate::diffusion::Result;

/// How much noise a step adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variance {
    /// As little as there may be.
    Small,
    /// As much as there may be.
    Large,
}

pub(super) struct Ddpm {
    track: AlphaTrack,
    prediction: Prediction,
    limit: Limit,
    variance: Variance,
    spacing: Spacing,
    steps_offset: usize,
}

impl Ddpm {
    pub const CLASS: &'static str = "DDPMScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Exact)?;
        let clip = Limit::read_clip(reader, true)?;
        // "fixed_small_log" is the same deviation, computed by way of its logarithm.
        let variances = [
            ("fixed_small", Variance::Small),
            ("fixed_small_log", Variance::Small),
            ("fixed_large", Variance::Large),
        ];
        Ok(Self {
            track: AlphaTrack::up_to_one(train),
            prediction: Prediction::read(reader)?,
            limit: Limit::read_threshold(reader, clip)?,
            variance: reader.choice("variance_type", &variances, Variance::Small)?,
            spacing: Spacing::read(reader, Spacing::Leading)?,
            steps_offset: reader.usize("steps_offset", 0)?,
        })
    }

    /// The timestep that this step leads to; before the first one, -1.
    fn next(&self, timestep: f64) -> i64 {
        let timesteps = self.track.timesteps();
        let here = timesteps.iter().position(|t| *t == timestep);
        here.and_then(|index| timesteps.get(index + 1)).map_or(-1, |t| *t as i64)
    }
}

impl Scheduler for Ddpm {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let timesteps = self.track.spaced(self.spacing, self.steps_offset, steps)?;
        self.track.lay_out(timesteps)
    }

    fn track(&self) -> &dyn Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut dyn Track {
        &mut self.track
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        timestep: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        let alpha = self.track.at(timestep as i64);
        let alpha_prev = self.track.at(self.next(timestep));
        let (rest, rest_prev) = (1.0 - alpha, 1.0 - alpha_prev);
        let kept = alpha / alpha_prev;
        let beta = 1.0 - kept;
        let picture = self.prediction.picture(model_output, sample, alpha.sqrt(), rest.sqrt())?;
        let picture = self.limit.apply(picture)?;
        // Formula 7.
        let (of_picture, of_sample) =
            (alpha_prev.sqrt() * beta / rest, kept.sqrt() * rest_prev / rest);
        let mut prev_sample = combined(&[(of_picture, &picture), (of_sample, sample)])?;
        if timestep > 0.0 {
            let variance = match self.variance {
                Variance::Small => (rest_prev / rest * beta).max(1e-20),
                Variance::Large => beta,
            };
            let noise = context.noise.randn(sample.shape().clone(), sample.device(), DType::F32)?;
            prev_sample = (prev_sample + (noise * f64::from(variance.sqrt()))?)?;
        }
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
