//! The bookkeeping of schedulers that work in sigmas (latents = picture + sigma * noise): Euler,
//! Euler ancestral, Heun, LMS, the KDPM2 pair and DPM-Solver SDE.

use candle_core::Tensor;

use super::{
    Track,
    config::Reader,
    prediction::combined,
    spacing::{Spacing, leading, linspace, reversed, trailing},
    step_index::StepIndex,
};
use crate::diffusion::{Error, Result};

/// A schedule as laid out, and where the run stands in it.
pub(super) struct SigmaTrack {
    spacing: Spacing,
    steps_offset: usize,
    timesteps: Vec<f64>,
    /// One more than there are timesteps.
    sigmas: Vec<f32>,
    index: StepIndex,
}

impl SigmaTrack {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            spacing: Spacing::read(reader, Spacing::Linspace)?,
            steps_offset: reader.usize("steps_offset", 0)?,
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            index: StepIndex::default(),
        })
    }

    /// The timesteps that the spacing asks for: f32 values, fractional with linspace.
    pub fn spaced(&self, steps: usize, total: usize) -> Result<Vec<f64>> {
        Ok(self.spaced_in_double(steps, total)?.into_iter().map(single).collect())
    }

    /// The same before they are rounded.
    pub fn spaced_in_double(&self, steps: usize, total: usize) -> Result<Vec<f64>> {
        if steps == 0 || steps > total {
            let text = format!("{steps} steps are asked for; this scheduler takes 1 to {total}");
            return Err(Error::Invalid(text));
        }
        Ok(match self.spacing {
            Spacing::Linspace => reversed(linspace(0.0, (total - 1) as f64, steps)),
            Spacing::Leading => leading(steps, total / steps, self.steps_offset),
            Spacing::Trailing => trailing(total, total, steps),
        })
    }

    /// Begins a new run.
    pub fn lay_out(&mut self, timesteps: &[f64], sigmas: Vec<f32>) {
        self.timesteps = timesteps.iter().copied().map(single).collect();
        self.sigmas = sigmas;
        self.index = StepIndex::default();
    }

    pub fn sigma(&self, index: usize) -> f32 {
        self.sigmas[index.min(self.sigmas.len() - 1)]
    }

    /// The place of the current step.
    pub fn current(&self) -> usize {
        self.index.current()
    }

    pub fn advance(&mut self) {
        self.index.advance();
    }
}

impl Track for SigmaTrack {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn set_begin_index(&mut self, index: usize) {
        self.index.set_begin(index);
    }

    fn init_noise_sigma(&self) -> f64 {
        self.spacing.init_noise_sigma(self.sigmas.iter().copied().fold(0.0, f32::max))
    }

    /// Latents at unit variance, as the network was trained on.
    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        let sigma = self.sigma(self.current());
        Ok((sample / f64::from((sigma * sigma + 1.0).sqrt()))?)
    }

    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        let sigma = self.sigma(self.index.noise_level(&self.timesteps, timestep));
        Ok(combined(&[(1.0, original), (sigma, noise)])?)
    }
}

/// Rounded to f32, in which these schedulers keep their timesteps.
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}
