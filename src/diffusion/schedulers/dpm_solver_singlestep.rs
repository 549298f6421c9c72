//! DPM-Solver and DPM-Solver++, single-step: Lu et al. 2022 (both papers), and the stochastic form
//! of DPM-Solver++. Steps come in blocks of rising order: each block begins at the latents of its
//! first step, and the later ones of the block start from there again, knowing more.

use candle_core::{Result as TensorResult, Tensor};

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    dpm_coefficients::{Algorithm, SolverType, Terms},
    dpm_solver_multistep::refuse_flow,
    lambda_track::{LambdaTrack, Range},
    past::Past,
    prediction::combined,
    sigmas::{FinalSigma, Spread, interpolated, timesteps_of, with_final},
    spacing::rounded,
};
use crate::diffusion::Result;

pub(super) struct DpmSolverSinglestep {
    range: Range,
    algorithm: Algorithm,
    solver: SolverType,
    lower_order_final: bool,
    spread: Spread,
    final_sigma: FinalSigma,
    track: LambdaTrack,
    /// The order of each step.
    orders: Vec<usize>,
    past: Past,
    /// The latents that the current block began with.
    start: Option<Tensor>,
}

impl DpmSolverSinglestep {
    pub const CLASS: &'static str = "DPMSolverSinglestepScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Unknown)?;
        refuse_flow(reader)?;
        reader.fixed_variance()?;
        let algorithm = Algorithm::read(reader)?;
        if algorithm == Algorithm::SdeNoise {
            let expected = "\"dpmsolver++\", \"sde-dpmsolver++\" or \"dpmsolver\"";
            return Err(reader.error("algorithm_type", expected));
        }
        let final_sigma = FinalSigma::read_for(reader, algorithm.predicts_pictures())?;
        Ok(Self {
            range: Range::read(reader, &train)?,
            algorithm,
            solver: SolverType::read(reader)?,
            lower_order_final: reader.bool("lower_order_final", false)?,
            spread: Spread::read(reader)?,
            final_sigma,
            track: LambdaTrack::evenly_spaced(),
            orders: Vec::new(),
            past: Past::read(reader, algorithm.integrand())?,
            start: None,
        })
    }

    /// Blocks of orders 1, 2, 3 (or 1, 2), the last one cut off where the steps end. A step to
    /// sigma 0 has order 1 whatever `lower_order_final` says.
    fn orders(&self, steps: usize) -> Vec<usize> {
        let block = self.past.order();
        let mut orders: Vec<usize> = (0..steps).map(|step| step % block + 1).collect();
        let fills = steps.is_multiple_of(block);
        let lower = self.final_sigma == FinalSigma::Zero || (self.lower_order_final && fills);
        if let (true, Some(last)) = (lower, orders.last_mut()) {
            *last = 1;
        }
        orders
    }

    /// The order of the step at `index`; a run that begins in the middle knows too little at first.
    fn order_at(&self, index: usize) -> usize {
        let planned = self.orders.get(index).copied().unwrap_or(1);
        planned.min(self.past.len())
    }

    /// The latents after the step at `index`, and how much noise comes on top.
    fn moved(&self, start: &Tensor, index: usize, order: usize) -> TensorResult<(Tensor, f32)> {
        let level = |back: usize| self.track.level(index - back.min(index));
        let (base, next) = (level(order - 1), self.track.level(index + 1));
        let terms = Terms::new(self.algorithm, base, next);
        let h = next.lambda - base.lambda;
        let ratio = |back: usize| (level(back).lambda - base.lambda) / h;
        let oldest = &self.past[order - 1];
        let plain = combined(&[(terms.sample, start), (terms.first, oldest)])?;
        // From the block's first prediction to the one `back` steps ago.
        let slope = |back: usize| {
            let factor = 1.0 / ratio(back);
            combined(&[(factor, &self.past[back]), (-factor, oldest)])
        };
        let out = match (order, self.solver) {
            (1, _) => plain,
            (2, SolverType::Midpoint) => combined(&[(1.0, &plain), (terms.half, &slope(0)?)])?,
            (2, SolverType::Heun) | (_, SolverType::Midpoint) => {
                combined(&[(1.0, &plain), (terms.linear, &slope(0)?)])?
            }
            (_, SolverType::Heun) => {
                let (late, early) = (ratio(0), ratio(1));
                let (to_late, to_early) = (slope(0)?, slope(1)?);
                let gap = late - early;
                let first = combined(&[(late / gap, &to_early), (-early / gap, &to_late)])?;
                let second = combined(&[(2.0 / gap, &to_late), (-2.0 / gap, &to_early)])?;
                combined(&[(1.0, &plain), (terms.linear, &first), (terms.quadratic, &second)])?
            }
        };
        Ok((out, terms.noise))
    }
}

impl Scheduler for DpmSolverSinglestep {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let table = &self.range.table;
        let mut timesteps = self.track.spaced(steps, self.range.usable_timesteps(), table.len())?;
        let (max, min) = (f64::from(table[table.len() - 1]), f64::from(table[0]));
        let sigmas = match self.spread.sigmas(max, min, steps) {
            Some(sigmas) => {
                timesteps = timesteps_of(&sigmas, table);
                if self.spread == Spread::Karras {
                    timesteps = rounded(timesteps);
                }
                sigmas
            }
            None => interpolated(&timesteps, table),
        };
        self.track.lay_out(timesteps, with_final(&sigmas, self.final_sigma.value(min)));
        self.orders = self.orders(steps);
        self.past.forget();
        self.start = None;
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
        let picture = self.past.take_in(model_output, sample, self.track.level(index))?;
        let order = self.order_at(index);
        if order == 1 {
            self.start = Some(sample.clone());
        }
        let start = self.start.as_ref().unwrap_or(sample);
        let (mut prev_sample, noise_factor) = self.moved(start, index, order)?;
        if self.algorithm.is_stochastic() {
            let noise = context.fresh_noise(sample)?;
            prev_sample = (prev_sample + (noise * f64::from(noise_factor))?)?;
        }
        self.track.index.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
