//! Heun's second-order method: Karras et al. 2022, algorithm 2 without churn. Every step but the
//! last evaluates the network twice.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{SECOND_ORDER_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::{Spread, interpolated, timesteps_of, with_final},
};
use crate::diffusion::Result;

pub(super) struct Heun {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    limit: Limit,
    spread: Spread,
    track: SigmaTrack,
    /// Between the two evaluations of a step: where it began, and how it went on.
    first: Option<FirstHalf>,
}

struct FirstHalf {
    sample: Tensor,
    slope: Tensor,
    /// By how much sigma falls.
    fall: f32,
}

impl Heun {
    pub const CLASS: &'static str = "HeunDiscreteScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &SECOND_ORDER_BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            table: train.sigmas(),
            prediction: Prediction::read(reader)?,
            limit: Limit::read_clip(reader, false)?,
            spread: Spread::read(reader)?,
            track: SigmaTrack::read(reader)?,
            first: None,
        })
    }
}

/// All but the first (and, of sigmas, the last) twice.
fn twice<T: Copy>(values: &[T]) -> impl Iterator<Item = T> {
    values.iter().flat_map(|&v| [v, v])
}

impl Scheduler for Heun {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let mut timesteps = self.track.spaced(steps, self.table.len())?;
        let mut sigmas = interpolated(&timesteps, &self.table);
        if let Some(spread) = self.spread.sigmas(sigmas[0], sigmas[sigmas.len() - 1], steps) {
            timesteps = timesteps_of(&spread, &self.table);
            sigmas = spread;
        }
        let sigmas = with_final(&sigmas, 0.0);
        let inner = &sigmas[1..sigmas.len() - 1];
        let sigmas = [sigmas[0]].into_iter().chain(twice(inner)).chain([0.0]).collect();
        let timesteps: Vec<f64> =
            timesteps[..1].iter().copied().chain(twice(&timesteps[1..])).collect();
        self.track.lay_out(&timesteps, sigmas);
        self.first = None;
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
        let picture = self.limit.apply(picture)?;
        let slope = ((sample - &picture)? / f64::from(sigma))?;
        let prev_sample = match self.first.take() {
            None => {
                let fall = self.track.sigma(index + 1) - sigma;
                let next = combined(&[(1.0, sample), (fall, &slope)])?;
                self.first = Some(FirstHalf { sample: sample.clone(), slope, fall });
                next
            }
            Some(first) => {
                let mean = ((first.slope + slope)? / 2.0)?;
                combined(&[(1.0, &first.sample), (first.fall, &mean)])?
            }
        };
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
