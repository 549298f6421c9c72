//! DEIS: Zhang and Chen 2022, "Fast sampling of diffusion models with exponential integrator", in
//! its log-rho form: past noises are extrapolated by a polynomial in the logarithm of sigma.

use candle_core::{Result as TensorResult, Tensor};

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    dpm_solver_multistep::{FEW_STEPS, refuse_flow},
    lambda_track::LambdaTrack,
    past::{Integrand, Past},
    prediction::combined,
    sigmas::{Spread, interpolated, timesteps_of, with_final},
    spacing::rounded,
};
use crate::diffusion::Result;

pub(super) struct DeisMultistep {
    /// Of training, rising.
    table: Vec<f32>,
    lower_order_final: bool,
    spread: Spread,
    track: LambdaTrack,
    past: Past,
}

impl DeisMultistep {
    pub const CLASS: &'static str = "DEISMultistepScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Unknown)?;
        refuse_flow(reader)?;
        // DPM-Solver's and UniPC's words are read as DEIS's own, as the reference reads them.
        let algorithms = [("deis", ()), ("dpmsolver", ()), ("dpmsolver++", ())];
        reader.choice("algorithm_type", &algorithms, ())?;
        let solvers = [("logrho", ()), ("midpoint", ()), ("heun", ()), ("bh1", ()), ("bh2", ())];
        reader.choice("solver_type", &solvers, ())?;
        Ok(Self {
            table: train.sigmas(),
            lower_order_final: reader.bool("lower_order_final", true)?,
            spread: Spread::read(reader)?,
            track: LambdaTrack::read(reader)?,
            past: Past::read(reader, Integrand::NoiseAroundPicture)?,
        })
    }

    /// The order that this step can have: what came before, and what comes after, limit it.
    fn order_at(&self, index: usize) -> usize {
        let steps = self.track.timesteps().len();
        let few = self.lower_order_final && steps < FEW_STEPS;
        let left = if few { steps - index } else { usize::MAX };
        self.past.order().min(self.past.len()).min(left)
    }

    /// From the step at `index` to the next, with `order` noises.
    fn moved(&self, sample: &Tensor, index: usize, order: usize) -> TensorResult<Tensor> {
        let (here, next) = (self.track.level(index), self.track.level(index + 1));
        if order == 1 {
            let growth = (next.lambda - here.lambda).exp() - 1.0;
            let factors = (next.alpha / here.alpha, -(next.sigma * growth));
            return combined(&[(factors.0, sample), (factors.1, &self.past[0])]);
        }
        let rho = |back: usize| {
            let level = self.track.level(index - back.min(index));
            level.sigma / level.alpha
        };
        let rhos: Vec<f32> = (0..order).map(rho).collect();
        let end = next.sigma / next.alpha;
        let weights = (0..order).map(|which| {
            next.alpha * (antiderivative(end, &rhos, which) - antiderivative(rhos[0], &rhos, which))
        });
        let noises = weights.zip(self.past.iter());
        let start = (next.alpha / here.alpha, sample);
        combined(&[start].into_iter().chain(noises).collect::<Vec<_>>())
    }
}

/// At `t`, the antiderivative of the polynomial in ln(t) that is 1 at `rhos[which]` and 0 at the
/// one or two others.
fn antiderivative(t: f32, rhos: &[f32], which: usize) -> f32 {
    let ln = |rho: f32| rho.ln();
    let others: Vec<f32> =
        (1..rhos.len()).map(|step| ln(rhos[(which + step) % rhos.len()])).collect();
    let (t_ln, b) = (ln(t), ln(rhos[which]));
    match others[..] {
        [c, d, ..] => {
            let numerator = c * (d - t_ln + 1.0) - d * t_ln + d + t_ln * t_ln - 2.0 * t_ln + 2.0;
            t * numerator / ((b - c) * (b - d))
        }
        [c] => t * (t_ln - c - 1.0) / (b - c),
        [] => t,
    }
}

impl Scheduler for DeisMultistep {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let total = self.table.len();
        let mut timesteps = self.track.spaced(steps, total, total)?;
        let (max, min) = (f64::from(self.table[total - 1]), f64::from(self.table[0]));
        let (sigmas, last) = match self.spread.sigmas(max, min, steps) {
            Some(sigmas) => {
                timesteps = timesteps_of(&sigmas, &self.table);
                if self.spread == Spread::Karras {
                    timesteps = rounded(timesteps);
                }
                let last = sigmas[sigmas.len() - 1];
                (sigmas, last)
            }
            None => (interpolated(&timesteps, &self.table), min),
        };
        self.track.lay_out(timesteps, with_final(&sigmas, last));
        self.past.forget();
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
        _: StepContext<'_>,
    ) -> Result<StepOutput> {
        let index = self.track.index.current();
        let picture = self.past.take_in(model_output, sample, self.track.level(index))?;
        let prev_sample = self.moved(sample, index, self.order_at(index))?;
        self.track.index.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
