//! DPM-Solver and DPM-Solver++, multi-step: Lu et al. 2022, "DPM-Solver" and "DPM-Solver++: fast
//! solver for guided sampling of diffusion probabilistic models"; and their stochastic forms.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{BetaSchedule, DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    dpm_coefficients::{Algorithm, Coefficients, SolverType},
    lambda_track::{LambdaTrack, Range},
    past::Past,
    sigmas::{FinalSigma, Spread, interpolated, timesteps_of, with_final},
    spacing::rounded,
};
use crate::diffusion::Result;

/// With fewer steps than this, the last ones fall back to lower orders.
pub(super) const FEW_STEPS: usize = 15;

pub(super) struct DpmSolverMultistep {
    range: Range,
    schedule: BetaSchedule,
    algorithm: Algorithm,
    solver: SolverType,
    lower_order_final: bool,
    euler_at_final: bool,
    spread: Spread,
    final_sigma: FinalSigma,
    track: LambdaTrack,
    past: Past,
    /// Steps so far, `solver_order` at most.
    lower_order_nums: usize,
}

impl DpmSolverMultistep {
    pub const CLASS: &'static str = "DPMSolverMultistepScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Clamped)?;
        refuse_flow(reader)?;
        reader.fixed_variance()?;
        let algorithm = Algorithm::read(reader)?;
        let past = Past::read(reader, algorithm.integrand())?;
        let final_sigma = FinalSigma::read_for(reader, algorithm.predicts_pictures())?;
        if algorithm == Algorithm::SdeNoise && past.order() == 3 {
            return Err(reader.error("solver_order", "1 or 2 with \"sde-dpmsolver\""));
        }
        Ok(Self {
            range: Range::read(reader, &train)?,
            schedule: train.schedule,
            algorithm,
            solver: SolverType::read(reader)?,
            lower_order_final: reader.bool("lower_order_final", true)?,
            euler_at_final: reader.bool("euler_at_final", false)?,
            spread: Spread::read_with_lu(reader)?,
            final_sigma,
            track: LambdaTrack::read(reader)?,
            past,
            lower_order_nums: 0,
        })
    }

    /// The order that this step can have: what came before, and what comes after, limit it.
    fn order_at(&self, index: usize) -> usize {
        let steps = self.track.timesteps().len();
        let few = self.lower_order_final && steps < FEW_STEPS;
        let last = index + 1 == steps
            && (self.euler_at_final || few || self.final_sigma == FinalSigma::Zero);
        let order = self.past.order().min(self.lower_order_nums + 1);
        match () {
            () if last => 1,
            () if few && index + 2 == steps => order.min(2),
            () => order,
        }
    }
}

/// Keys of flow matching models, which these classes share with the diffusion models.
pub(super) fn refuse_flow(reader: &mut Reader<'_>) -> Result<()> {
    reader.only("use_flow_sigmas", false)?;
    reader.only("use_dynamic_shifting", false)?;
    // Without effect while the two are off.
    reader.f64("flow_shift", 1.0)?;
    reader.choice("time_shift_type", &[("exponential", ())], ())
}

impl Scheduler for DpmSolverMultistep {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let table = &self.range.table;
        let mut timesteps = self.track.spaced(steps, self.range.usable_timesteps(), table.len())?;
        let (max, min) = (table[table.len() - 1], table[0]);
        let sigmas = match self.spread.sigmas(f64::from(max), f64::from(min), steps) {
            Some(sigmas) => {
                timesteps = timesteps_of(&sigmas, table);
                let rounds = matches!(self.spread, Spread::Karras | Spread::Lu);
                if rounds && self.schedule != BetaSchedule::SquaredCosine {
                    timesteps = rounded(timesteps);
                }
                sigmas
            }
            None => interpolated(&timesteps, table),
        };
        let last = self.final_sigma.value(f64::from(min));
        self.track.lay_out(timesteps, with_final(&sigmas, last));
        self.past.forget();
        self.lower_order_nums = 0;
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
        let index = self.track.index.current();
        let here = self.track.level(index);
        let order = self.order_at(index);
        let picture = self.past.take_in(model_output, sample, here)?;
        let levels: Vec<_> =
            (0..order).map(|back| self.track.level(index - back.min(index))).collect();
        let next = self.track.level(index + 1);
        let coefficients = Coefficients::new(self.algorithm, self.solver, next, &levels);
        let mut prev_sample = coefficients.apply(sample, &self.past)?;
        if self.algorithm.is_stochastic() {
            let noise = context.fresh_noise(sample)?;
            prev_sample = (prev_sample + (noise * f64::from(coefficients.noise))?)?;
        }
        self.lower_order_nums = (self.lower_order_nums + 1).min(self.past.order());
        self.track.index.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
