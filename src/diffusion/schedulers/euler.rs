//! Euler's method on the probability flow: Karras et al. 2022, "Elucidating the design space of
//! diffusion-based generative models", algorithm 2 without churn.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::{FinalSigma, Spread, interpolated, timesteps_of, with_final},
    spacing::linspace,
};
use crate::diffusion::Result;

pub(super) struct Euler {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    spread: Spread,
    log_linear: bool,
    /// Timesteps are 0.25 ln sigma instead of training timesteps.
    continuous: bool,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    final_sigma: FinalSigma,
    track: SigmaTrack,
}

impl Euler {
    pub const CLASS: &'static str = "EulerDiscreteScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Clamped)?;
        let prediction = Prediction::read(reader)?;
        let interpolations = [("linear", false), ("log_linear", true)];
        let types = [("discrete", false), ("continuous", true)];
        let continuous = reader.choice("timestep_type", &types, false)?;
        Ok(Self {
            table: train.sigmas(),
            prediction,
            spread: Spread::read(reader)?,
            log_linear: reader.choice("interpolation_type", &interpolations, false)?,
            continuous: continuous && prediction == Prediction::Velocity,
            sigma_min: reader.optional_f64("sigma_min")?,
            sigma_max: reader.optional_f64("sigma_max")?,
            final_sigma: FinalSigma::read(reader)?,
            track: SigmaTrack::read(reader)?,
        })
    }

    fn plain_sigmas(&self, timesteps: &[f64]) -> Vec<f64> {
        if !self.log_linear {
            return interpolated(timesteps, &self.table);
        }
        let last = self.table.len() - 1;
        let logs = (f64::from(self.table[last].ln()), f64::from(self.table[0].ln()));
        let spaced = linspace(logs.0, logs.1, timesteps.len() + 1);
        spaced.into_iter().map(|log| f64::from((log as f32).exp())).collect()
    }
}

impl Scheduler for Euler {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let mut timesteps = self.track.spaced(steps, self.table.len())?;
        let mut sigmas = self.plain_sigmas(&timesteps);
        let max = self.sigma_max.unwrap_or(sigmas[0]);
        let min = self.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]);
        if let Some(spread) = self.spread.sigmas(max, min, steps) {
            timesteps = timesteps_of(&spread, &self.table);
            sigmas = spread;
        }
        let last = self.final_sigma.value(f64::from(self.table[0]));
        let sigmas = with_final(&sigmas, last);
        if self.continuous {
            timesteps =
                sigmas[..sigmas.len() - 1].iter().map(|s| f64::from(0.25 * s.ln())).collect();
        }
        self.track.lay_out(&timesteps, sigmas);
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
        let (sigma, next) = (self.track.sigma(index), self.track.sigma(index + 1));
        let picture = self.prediction.picture_from_sigma(model_output, sample, sigma)?;
        let slope = ((sample - &picture)? / f64::from(sigma))?;
        let prev_sample = combined(&[(1.0, sample), (next - sigma, &slope)])?;
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
