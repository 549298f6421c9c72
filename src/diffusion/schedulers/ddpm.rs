//! DDPM: Ho et al. 2020, "Denoising diffusion probabilistic models". Formula numbers are the
//! paper's. Slow: it wants hundreds of steps.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::Spacing,
};
use crate::diffusion::{Error, Result};

/// How much noise a step adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variance {
    /// As little as there may be.
    Small,
    /// As much as there may be.
    Large,
    /// What the network says.
    Learned,
    /// A share of the way from as little to as much as there may be, which the network says.
    LearnedRange,
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
            ("learned", Variance::Learned),
            ("learned_range", Variance::LearnedRange),
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

    /// The network's prediction, and its variance where that is learned.
    fn parts(&self, output: &Tensor, sample: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        if !self.learns_variance() {
            return Ok((output.clone(), None));
        }
        if output.dim(1)? != 2 * sample.dim(1)? {
            let text = "the scheduler's variance_type wants a variance from the network, which \
                        predicts none; set variance_type to fixed_small";
            return Err(Error::Invalid(text.into()));
        }
        let parts = output.chunk(2, 1)?;
        Ok((parts[0].contiguous()?, Some(parts[1].contiguous()?)))
    }
}

/// Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", formula 15: the
/// standard deviation at a share (-1 to 1) of the way between two variances.
fn deviation(share: &Tensor, small: f32, large: f32) -> candle_core::Result<Tensor> {
    let share = ((share + 1.0)? / 2.0)?;
    let (small, large) = (f64::from(small.ln()), f64::from(large.ln()));
    let log = ((&share * large)? + ((1.0 - &share)? * small)?)?;
    (log * 0.5)?.exp()
}

impl Scheduler for Ddpm {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn learns_variance(&self) -> bool {
        matches!(self.variance, Variance::Learned | Variance::LearnedRange)
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
        let alpha_prev = self.track.at(self.track.after(timestep));
        let (rest, rest_prev) = (1.0 - alpha, 1.0 - alpha_prev);
        let kept = alpha / alpha_prev;
        let beta = 1.0 - kept;
        let (output, learned) = self.parts(model_output, sample)?;
        let picture = self.prediction.picture(&output, sample, alpha.sqrt(), rest.sqrt())?;
        let picture = self.limit.apply(picture)?;
        // Formula 7.
        let (of_picture, of_sample) =
            (alpha_prev.sqrt() * beta / rest, kept.sqrt() * rest_prev / rest);
        let mut prev_sample = combined(&[(of_picture, &picture), (of_sample, sample)])?;
        if timestep > 0.0 {
            let small = (rest_prev / rest * beta).max(1e-20);
            let noise = context.fresh_noise(sample)?;
            let added = match (self.variance, learned) {
                (Variance::Large, _) => (noise * f64::from(beta.sqrt()))?,
                (Variance::Learned, Some(variance)) => (noise * variance.sqrt()?)?,
                (Variance::LearnedRange, Some(share)) => (noise * deviation(&share, small, beta)?)?,
                _ => (noise * f64::from(small.sqrt()))?,
            };
            prev_sample = (prev_sample + added)?;
        }
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
