//! DPM-Solver-2 as Karras et al. 2022 write it (algorithm 2, midpoint in the logarithm of sigma):
//! k-diffusion's `sample_dpm_2`, and `sample_dpm_2_ancestral`, whose steps go lower than they must
//! and add fresh noise to come back. Every step but the last evaluates the network twice.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{SECOND_ORDER_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    midpoint::{Midpoints, scaled},
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::Spread,
};
use crate::diffusion::Result;

/// How much fresh noise a step from one sigma to the next adds.
type Fresh = fn(f32, f32) -> f32;

pub(super) struct Kdpm2 {
    class: &'static str,
    /// What ancestral steps add; the plain solver draws none.
    fresh: Option<Fresh>,
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    spread: Spread,
    track: SigmaTrack,
    midpoints: Midpoints,
    /// Between the two evaluations of a step: the latents that it began with.
    first: Option<Tensor>,
}

impl Kdpm2 {
    pub const CLASS: &'static str = "KDPM2DiscreteScheduler";
    pub const ANCESTRAL: &'static str = "KDPM2AncestralDiscreteScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        Self::read(reader, Self::CLASS, None)
    }

    pub fn ancestral(reader: &mut Reader<'_>) -> Result<Self> {
        Self::read(reader, Self::ANCESTRAL, Some(ancestral_noise))
    }

    fn read(reader: &mut Reader<'_>, class: &'static str, fresh: Option<Fresh>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &SECOND_ORDER_BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            class,
            fresh,
            table: train.sigmas(),
            prediction: Prediction::read_without_sample(reader)?,
            spread: Spread::read(reader)?,
            track: SigmaTrack::read(reader)?,
            midpoints: Midpoints::default(),
            first: None,
        })
    }

    /// The sigma of the current evaluation: where a step begins, or its midpoint.
    fn sigma(&self) -> f32 {
        let step = self.midpoints.step(self.track.current() / 2);
        if self.first.is_none() { step.sigma } else { step.middle }
    }
}

fn ancestral_noise(sigma: f32, next: f32) -> f32 {
    let (power, next_power) = (sigma * sigma, next * next);
    (next_power * (power - next_power) / power).sqrt()
}

impl Scheduler for Kdpm2 {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let timesteps = self.track.spaced(steps, self.table.len())?;
        // So low that the noise leads back up to the next sigma.
        let target = |sigma: f32, next: f32| match self.fresh {
            None => next,
            Some(fresh) => (next * next - fresh(sigma, next).powi(2)).sqrt(),
        };
        self.midpoints = Midpoints::lay_out(&timesteps, self.spread, &self.table, target);
        self.track.lay_out(&self.midpoints.timesteps, self.midpoints.doubled_sigmas());
        self.first = None;
        Ok(())
    }

    fn track(&self) -> &dyn Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut dyn Track {
        &mut self.track
    }

    /// Half of the evaluations are at midpoints, which are not on the track.
    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        scaled(sample, self.sigma())
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        _: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        let step = self.midpoints.step(self.track.current() / 2);
        let sigma = self.sigma();
        let picture = self.prediction.picture_from_sigma(model_output, sample, sigma)?;
        let slope = ((sample - &picture)? / f64::from(sigma))?;
        let prev_sample = match self.first.take() {
            None => {
                self.first = Some(sample.clone());
                combined(&[(1.0, sample), (step.middle - step.sigma, &slope)])?
            }
            Some(first) => {
                let fallen = combined(&[(1.0, &first), (step.target - step.sigma, &slope)])?;
                match self.fresh {
                    None => fallen,
                    Some(fresh) => {
                        let noise = context.fresh_noise(sample)?;
                        combined(&[(1.0, &fallen), (fresh(step.sigma, step.next), &noise)])?
                    }
                }
            }
        };
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
