//! Linear multi-step (Adams-Bashforth with the steps that the sigmas give): k-diffusion's
//! `sample_lms`.

use std::collections::VecDeque;

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::{Spread, interpolated, timesteps_of, with_final},
};
use crate::diffusion::Result;

/// Slopes that a step looks back on, its own included.
const ORDER: usize = 4;

pub(super) struct Lms {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    spread: Spread,
    track: SigmaTrack,
    /// The last slopes, newest first.
    slopes: VecDeque<Tensor>,
}

impl Lms {
    pub const CLASS: &'static str = "LMSDiscreteScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            table: train.sigmas(),
            prediction: Prediction::read(reader)?,
            spread: Spread::read(reader)?,
            track: SigmaTrack::read(reader)?,
            slopes: VecDeque::new(),
        })
    }

    /// How much the slope `back` steps ago counts in the step at `index`: the integral, over the
    /// step, of the polynomial that is 1 there and 0 at the other `order - 1` sigmas.
    fn coefficient(&self, index: usize, order: usize, back: usize) -> f32 {
        let sigma = |back: usize| f64::from(self.track.sigma(index - back));
        let basis = |tau: f64| -> f64 {
            let others = (0..order).filter(|other| *other != back);
            others.map(|k| (tau - sigma(k)) / (sigma(back) - sigma(k))).product()
        };
        let (from, to) = (sigma(0), f64::from(self.track.sigma(index + 1)));
        let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
        // Gauss and Legendre's two points: exact for the polynomials of degree 3 met here.
        let offset = half / 3f64.sqrt();
        (half * (basis(middle - offset) + basis(middle + offset))) as f32
    }
}

impl Scheduler for Lms {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let mut timesteps = self.track.spaced(steps, self.table.len())?;
        let mut sigmas = interpolated(&timesteps, &self.table);
        if let Some(spaced) = self.spread.sigmas(sigmas[0], sigmas[sigmas.len() - 1], steps) {
            timesteps = timesteps_of(&spaced, &self.table);
            sigmas = spaced;
        }
        self.track.lay_out(&timesteps, with_final(&sigmas, 0.0));
        self.slopes.clear();
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
        let index = self.track.current();
        let sigma = self.track.sigma(index);
        let picture = self.prediction.picture_from_sigma(model_output, sample, sigma)?;
        self.slopes.push_front(((sample - &picture)? / f64::from(sigma))?);
        self.slopes.truncate(ORDER);
        // By the place in the schedule, not by the slopes there are: so does the reference, when a
        // run begins in the middle.
        let order = ORDER.min(index + 1);
        let slopes = self.slopes.iter().take(order).enumerate();
        let weighted = slopes.map(|(back, slope)| (self.coefficient(index, order, back), slope));
        let terms: Vec<_> = [(1.0, sample)].into_iter().chain(weighted).collect();
        let prev_sample = combined(&terms)?;
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
