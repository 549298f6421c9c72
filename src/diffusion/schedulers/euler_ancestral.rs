//! Euler with ancestral noise: each step goes lower than it must and adds fresh noise to come back
//! (k-diffusion's `sample_euler_ancestral`).

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::{interpolated, with_final},
};
use crate::diffusion::Result;

pub(super) struct EulerAncestral {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    track: SigmaTrack,
}

impl EulerAncestral {
    pub const CLASS: &'static str = "EulerAncestralDiscreteScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Clamped)?;
        Ok(Self {
            table: train.sigmas(),
            prediction: Prediction::read_without_sample(reader)?,
            track: SigmaTrack::read(reader)?,
        })
    }
}

impl Scheduler for EulerAncestral {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let timesteps = self.track.spaced(steps, self.table.len())?;
        let sigmas = with_final(&interpolated(&timesteps, &self.table), 0.0);
        self.track.lay_out(&timesteps, sigmas);
        Ok(())
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
        _: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        let index = self.track.current();
        let (sigma, next) = (self.track.sigma(index), self.track.sigma(index + 1));
        let picture = self.prediction.picture_from_sigma(model_output, sample, sigma)?;
        let (power, next_power) = (sigma * sigma, next * next);
        let up = (next_power * (power - next_power) / power).sqrt();
        let down = (next_power - up * up).sqrt();
        let slope = ((sample - &picture)? / f64::from(sigma))?;
        // Drawn even for the last step, where it is multiplied by zero.
        let noise = context.fresh_noise(sample)?;
        let prev_sample = combined(&[(1.0, sample), (down - sigma, &slope), (up, &noise)])?;
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
