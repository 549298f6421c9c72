//! Schedules with a midpoint in each step: for the two DPM-Solver-2 samplers, and in part for the
//! stochastic one, which computes its midpoints in other precisions.

use candle_core::Tensor;

use super::sigmas::{Spread, interpolated, timesteps_of, with_final};
use crate::diffusion::Result;

/// One step: from `sigma` by way of `middle` to `target`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MidStep {
    pub sigma: f32,
    pub middle: f32,
    /// Where the slope of the midpoint leads; `next`, or lower where noise is added afterwards.
    pub target: f32,
    /// The sigma of the next step.
    pub next: f32,
}

/// A schedule as laid out.
#[derive(Default)]
pub(super) struct Midpoints {
    steps: Vec<MidStep>,
    /// The first, then midpoint and end of each step but the last.
    pub timesteps: Vec<f64>,
}

impl Midpoints {
    /// `target` gives where a step from one sigma to the next leads. The last step, to sigma 0, has
    /// no midpoint: its first half goes all the way.
    pub fn lay_out(
        timesteps: &[f64],
        spread: Spread,
        table: &[f32],
        target: impl Fn(f32, f32) -> f32,
    ) -> Self {
        let mut timesteps = timesteps.to_vec();
        let mut sigmas = interpolated(&timesteps, table);
        let (max, min) = (sigmas[0], sigmas[sigmas.len() - 1]);
        if let Some(spaced) = spread.sigmas(max, min, sigmas.len()) {
            timesteps = timesteps_of(&spaced, table);
            if spread == Spread::Karras {
                timesteps.iter_mut().for_each(|t| *t = t.round_ties_even());
            }
            sigmas = spaced;
        }
        let sigmas = with_final(&sigmas, 0.0);
        let step = |pair: &[f32]| {
            let (sigma, next) = (pair[0], pair[1]);
            let target = if next > 0.0 { target(sigma, next) } else { 0.0 };
            let middle = if target > 0.0 { between(sigma, target) } else { 0.0 };
            MidStep { sigma, middle, target, next }
        };
        let steps: Vec<MidStep> = sigmas.windows(2).map(step).collect();
        let middles: Vec<f64> = steps.iter().map(|step| f64::from(step.middle)).collect();
        let middles = timesteps_of(&middles, table);
        Self { steps, timesteps: with_middles(&timesteps, &middles) }
    }

    /// The step at `index`; beyond the end, the last.
    pub fn step(&self, index: usize) -> MidStep {
        self.steps.get(index).or(self.steps.last()).copied().unwrap_or_default()
    }

    /// The sigma of every evaluation, as the schedule's bookkeeping wants them.
    pub fn doubled_sigmas(&self) -> Vec<f32> {
        let first = self.steps.first().map(|step| step.sigma);
        doubled(first.into_iter().chain(self.steps.iter().map(|step| step.next)))
    }
}

/// The timesteps of all evaluations: the first, then midpoint and end of each step but the last.
pub(super) fn with_middles(timesteps: &[f64], middles: &[f64]) -> Vec<f64> {
    let (first, ends) = timesteps.split_at(timesteps.len().min(1));
    let later = middles.iter().zip(ends).flat_map(|(middle, end)| [*middle, *end]);
    first.iter().copied().chain(later).collect()
}

/// The first sigma, then each following one twice: of the midpoint before it, and its own.
pub(super) fn doubled(mut sigmas: impl Iterator<Item = f32>) -> Vec<f32> {
    let first = sigmas.next();
    first.into_iter().chain(sigmas.flat_map(|sigma| [sigma; 2])).collect()
}

/// Halfway in the logarithm.
fn between(a: f32, b: f32) -> f32 {
    let (a, b) = (a.ln(), b.ln());
    (a - (a - b) * 0.5).exp()
}

/// Latents at unit variance, as the network was trained on.
pub(super) fn scaled(sample: &Tensor, sigma: f32) -> Result<Tensor> {
    Ok((sample / f64::from((sigma * sigma + 1.0).sqrt()))?)
}
