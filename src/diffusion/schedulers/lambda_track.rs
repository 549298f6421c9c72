//! The bookkeeping of multi-step solvers that work in lambda, the logarithm of the signal-to-noise
//! ratio (latents = alpha * picture + sigma * noise with alpha^2 + sigma^2 = 1): DPM-Solver, UniPC,
//! DEIS.

use candle_core::Tensor;

use super::{
    Track,
    beta_schedule::TrainSchedule,
    config::Reader,
    prediction::combined,
    spacing::{Spacing, leading, linspace, reversed, rounded, trailing},
    step_index::StepIndex,
};
use crate::diffusion::{Error, Result};

/// One noise level, in three ways of saying it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub alpha: f32,
    pub sigma: f32,
    /// ln(alpha / sigma); infinite for a clean picture.
    pub lambda: f32,
}

impl Level {
    /// From sigma over alpha.
    fn new(ratio: f32) -> Self {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        let sigma = ratio * alpha;
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }
}

/// The sigmas of training, and how many of them a run may use.
pub(super) struct Range {
    /// Rising.
    pub table: Vec<f32>,
    /// Timesteps with a lower lambda are left out.
    lambda_min_clipped: f64,
}

impl Range {
    pub fn read(reader: &mut Reader<'_>, train: &TrainSchedule) -> Result<Self> {
        let lambda_min_clipped = reader.f64("lambda_min_clipped", f64::NEG_INFINITY)?;
        Ok(Self { table: train.sigmas(), lambda_min_clipped })
    }

    /// How many training timesteps have a lambda of `lambda_min_clipped` or more.
    pub fn usable_timesteps(&self) -> usize {
        let lambda = |sigma: &&f32| f64::from(-sigma.ln()) >= self.lambda_min_clipped;
        self.table.iter().filter(lambda).count()
    }
}

/// A schedule as laid out, and where the run stands in it.
pub(super) struct LambdaTrack {
    spacing: Spacing,
    steps_offset: usize,
    timesteps: Vec<f64>,
    /// Sigma over alpha, one more than there are timesteps.
    sigmas: Vec<f32>,
    pub index: StepIndex,
}

impl LambdaTrack {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            spacing: Spacing::read(reader, Spacing::Linspace)?,
            steps_offset: reader.usize("steps_offset", 0)?,
            ..Self::evenly_spaced()
        })
    }

    /// For a class whose timesteps are always spaced evenly.
    pub fn evenly_spaced() -> Self {
        Self {
            spacing: Spacing::Linspace,
            steps_offset: 0,
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            index: StepIndex::default(),
        }
    }

    /// Whole timesteps as the spacing asks for, from below `last` (which is `total` unless the
    /// first lambdas are cut off).
    pub fn spaced(&self, steps: usize, last: usize, total: usize) -> Result<Vec<f64>> {
        if steps == 0 || steps >= last {
            let text =
                format!("{steps} steps are asked for; this scheduler takes 1 to {}", last - 1);
            return Err(Error::Invalid(text));
        }
        let mut timesteps = match self.spacing {
            Spacing::Linspace => reversed(rounded(linspace(0.0, (last - 1) as f64, steps + 1))),
            Spacing::Leading => leading(steps + 1, last / (steps + 1), self.steps_offset),
            Spacing::Trailing => return Ok(trailing(last, total, steps)),
        };
        // One too many were laid out, so that the last step does not end at timestep 0.
        timesteps.truncate(steps);
        Ok(timesteps)
    }

    /// Begins a new run. Timesteps are cut to whole numbers.
    pub fn lay_out(&mut self, timesteps: Vec<f64>, sigmas: Vec<f32>) {
        self.timesteps = timesteps.into_iter().map(f64::trunc).collect();
        self.sigmas = sigmas;
        self.index = StepIndex::default();
    }

    pub fn level(&self, index: usize) -> Level {
        Level::new(self.sigmas[index.min(self.sigmas.len() - 1)])
    }
}

impl Track for LambdaTrack {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn set_begin_index(&mut self, index: usize) {
        self.index.set_begin(index);
    }

    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        let level = self.level(self.index.noise_level(&self.timesteps, timestep));
        Ok(combined(&[(level.alpha, original), (level.sigma, noise)])?)
    }
}
