//! UniPC: Zhao et al. 2023, "UniPC: a unified predictor-corrector framework for fast sampling of
//! diffusion models". Each evaluation of the network also corrects the step before.

use candle_core::{Result as TensorResult, Tensor};

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    dpm_solver_multistep::refuse_flow,
    lambda_track::{LambdaTrack, Level},
    past::{Converted, Integrand, Past},
    prediction::combined,
    sigmas::{FinalSigma, Spread, interpolated, timesteps_of, with_final},
    spacing::rounded,
    unipc_coefficients::{Coefficients, SolverType, corrector_weights, predictor_weights},
};
use crate::diffusion::Result;

pub(super) struct UniPcMultistep {
    /// Of training, rising.
    table: Vec<f32>,
    solver: SolverType,
    lower_order_final: bool,
    /// Steps after which there is no correction.
    disable_corrector: Vec<f64>,
    /// Integrates the picture; the noise otherwise.
    predict_x0: bool,
    spread: Spread,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    final_sigma: FinalSigma,
    track: LambdaTrack,
    past: Past,
    /// Steps so far, `solver_order` at most.
    lower_order_nums: usize,
    last_step: Option<LastStep>,
}

/// What the corrector needs of the step before.
struct LastStep {
    sample: Tensor,
    order: usize,
}

impl UniPcMultistep {
    pub const CLASS: &'static str = "UniPCMultistepScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Clamped)?;
        refuse_flow(reader)?;
        reader.absent("shift_terminal")?;
        reader.absent("solver_p")?;
        let predict_x0 = reader.bool("predict_x0", true)?;
        let past = match predict_x0 {
            true => Past::read(reader, Integrand::Picture)?,
            false => Past::read(reader, Integrand::Noise)?.unlimited(),
        };
        Ok(Self {
            table: train.sigmas(),
            solver: SolverType::read(reader)?,
            lower_order_final: reader.bool("lower_order_final", true)?,
            disable_corrector: reader.optional_numbers("disable_corrector")?.unwrap_or_default(),
            predict_x0,
            spread: Spread::read(reader)?,
            sigma_min: reader.optional_f64("sigma_min")?,
            sigma_max: reader.optional_f64("sigma_max")?,
            final_sigma: FinalSigma::read(reader)?,
            track: LambdaTrack::read(reader)?,
            past,
            lower_order_nums: 0,
            last_step: None,
        })
    }

    /// The predictor of `order`, from the step at `index` to the next.
    fn predict(&self, sample: &Tensor, index: usize, order: usize) -> TensorResult<Tensor> {
        let next = self.track.level(index + 1);
        let coefficients = self.coefficients(next, index, order);
        let weights = predictor_weights(&coefficients);
        self.moved(sample, &coefficients, &weights, None)
    }

    /// The step before `index` once more, now that its end is known.
    fn correct(&self, last: &LastStep, index: usize, found: &Tensor) -> TensorResult<Tensor> {
        let coefficients = self.coefficients(self.track.level(index), index - 1, last.order);
        let weights = corrector_weights(&coefficients);
        self.moved(&last.sample, &coefficients, &weights, Some(found))
    }

    fn coefficients(&self, next: Level, index: usize, order: usize) -> Coefficients {
        let back = |i: usize| self.track.level(index - i.min(index));
        let levels: Vec<_> = (0..order).map(back).collect();
        Coefficients::new(self.solver, self.predict_x0, next, &levels)
    }

    /// One update: past differences by the first of `weights`, `found` by the last.
    fn moved(
        &self,
        sample: &Tensor,
        coefficients: &Coefficients,
        weights: &[f32],
        found: Option<&Tensor>,
    ) -> TensorResult<Tensor> {
        let newest = &self.past[0];
        let mut out = combined(&[(coefficients.sample, sample), (coefficients.newest, newest)])?;
        let past = self.past.iter().skip(1).zip(&coefficients.ratios);
        for ((older, ratio), weight) in past.zip(weights) {
            let difference = (older - newest)?;
            out = (out + (difference * f64::from(coefficients.step * weight / ratio))?)?;
        }
        if let (Some(found), Some(weight)) = (found, weights.last()) {
            let difference = (found - newest)?;
            out = (out + (difference * f64::from(coefficients.step * weight))?)?;
        }
        Ok(out)
    }
}

impl Scheduler for UniPcMultistep {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let total = self.table.len();
        let mut timesteps = self.track.spaced(steps, total, total)?;
        let table_min = f64::from(self.table[0]);
        let max = self.sigma_max.unwrap_or(f64::from(self.table[total - 1]));
        let min = self.sigma_min.unwrap_or(table_min);
        let (sigmas, last) = match self.spread.sigmas(max, min, steps) {
            Some(sigmas) => {
                timesteps = timesteps_of(&sigmas, &self.table);
                if self.spread == Spread::Karras {
                    timesteps = rounded(timesteps);
                }
                let last = sigmas[sigmas.len() - 1];
                (sigmas, last)
            }
            None => (interpolated(&timesteps, &self.table), table_min),
        };
        self.track.lay_out(timesteps, with_final(&sigmas, self.final_sigma.value(last)));
        self.past.forget();
        self.lower_order_nums = 0;
        self.last_step = None;
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
        let Converted { integrand, picture } =
            self.past.converted(model_output, sample, self.track.level(index))?;
        let sample = match &self.last_step {
            Some(last) if index > 0 && !self.disable_corrector.contains(&(index as f64 - 1.0)) => {
                self.correct(last, index, &integrand)?
            }
            _ => sample.clone(),
        };
        self.past.remember(integrand);
        let left = self.track.timesteps().len() - index;
        let allowed = if self.lower_order_final { left } else { usize::MAX };
        let order = self.past.order().min(allowed).min(self.lower_order_nums + 1);
        let prev_sample = self.predict(&sample, index, order)?;
        self.last_step = Some(LastStep { sample, order });
        self.lower_order_nums = (self.lower_order_nums + 1).min(self.past.order());
        self.track.index.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
