//! DPM-Solver-2 with ancestral noise (k-diffusion's `sample_dpm_2_ancestral`): each step goes lower
//! than it must, by way of a midpoint, and adds fresh noise to come back.

use candle_core::{DType, Tensor};

use super::{
    Scheduler, StepContext, StepOutput,
    beta_schedule::{TrainSchedule, ZeroSnr},
    config::Reader,
    kdpm2::BETAS,
    midpoint::{Midpoints, scaled},
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::Spread,
};
use crate::diffusion::Result;

pub(super) struct Kdpm2Ancestral {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    spread: Spread,
    track: SigmaTrack,
    midpoints: Midpoints,
    /// Between the two evaluations of a step: the latents that it began with.
    first: Option<Tensor>,
}

impl Kdpm2Ancestral {
    pub const CLASS: &'static str = "KDPM2AncestralDiscreteScheduler";

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

/// The noise that a step from `sigma` to `next` adds.
fn up(sigma: f32, next: f32) -> f32 {
    let (power, next_power) = (sigma * sigma, next * next);
    (next_power * (power - next_power) / power).sqrt()
}

/// How low it goes before.
fn down(sigma: f32, next: f32) -> f32 {
    let up = up(sigma, next);
    (next * next - up * up).sqrt()
}

impl Scheduler for Kdpm2Ancestral {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let timesteps = self.track.spaced(steps, self.table.len())?;
        self.midpoints = Midpoints::lay_out(&timesteps, self.spread, &self.table, down);
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
        context: StepContext<'_>,
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
            Some(first) => {
                let noise =
                    context.noise.randn(sample.shape().clone(), sample.device(), DType::F32)?;
                let fall = step.target - step.sigma;
                let up = up(step.sigma, step.next);
                combined(&[(1.0, &first), (fall, &slope), (up, &noise)])?
            }
        };
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }

    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        self.track.add_noise(original, noise, timestep)
    }
}
