//! DPM-Solver-2 as Karras et al. 2022 write it (algorithm 2, midpoint in the logarithm of sigma):
//! k-diffusion's `sample_dpm_2`. Every step but the last evaluates the network twice.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput,
    beta_schedule::{BetaDefaults, BetaSchedule, TrainSchedule, ZeroSnr},
    config::Reader,
    midpoint::{Midpoints, scaled},
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::Spread,
};
use crate::diffusion::Result;

pub(super) const BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.00085, beta_end: 0.012, schedule: BetaSchedule::Linear };

pub(super) struct Kdpm2 {
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

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            table: train.sigmas(),
            prediction: Prediction::read_without_sample(reader)?,
            spread: Spread::read(reader)?,
            track: SigmaTrack::read(reader)?,
            midpoints: Midpoints::default(),
            first: None,
        })
    }
}

impl Scheduler for Kdpm2 {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let timesteps = self.track.spaced(steps, self.table.len())?;
        self.midpoints = Midpoints::lay_out(&timesteps, self.spread, &self.table, |_, next| next);
        self.track.lay_out(&self.midpoints.timesteps, self.midpoints.doubled_sigmas());
        self.first = None;
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        self.track.timesteps()
    }

    fn set_begin_index(&mut self, index: usize) {
        self.track.set_begin_index(index);
    }

    fn init_noise_sigma(&self) -> f64 {
        self.track.init_noise_sigma()
    }

    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        let step = self.midpoints.step(self.track.current() / 2);
        scaled(sample, if self.first.is_none() { step.sigma } else { step.middle })
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        _: f64,
        sample: &Tensor,
        _: StepContext<'_>,
    ) -> Result<StepOutput> {
        let step = self.midpoints.step(self.track.current() / 2);
        let sigma = if self.first.is_none() { step.sigma } else { step.middle };
        let picture = self.prediction.picture_from_sigma(model_output, sample, sigma)?;
        let slope = ((sample - &picture)? / f64::from(sigma))?;
        let prev_sample = match self.first.take() {
            None => {
                self.first = Some(sample.clone());
                combined(&[(1.0, sample), (step.middle - step.sigma, &slope)])?
            }
            Some(first) => combined(&[(1.0, &first), (step.target - step.sigma, &slope)])?,
        };
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }

    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        self.track.add_noise(original, noise, timestep)
    }
}
