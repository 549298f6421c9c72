//! `UnCLIPScheduler`: DDPM as the prior of unCLIP steps it, on embeddings instead of latents. Its
//! timesteps reach from the last to the very first; formula numbers are those of Ho et al. 2020,
//! "Denoising diffusion probabilistic models".

use candle_core::Tensor;

use super::{
    Scheduler, SchedulerConfig, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{BetaDefaults, BetaSchedule, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::{reversed, rounded},
};
use crate::diffusion::{Error, Result};

const BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.0001, beta_end: 0.02, schedule: BetaSchedule::SquaredCosine };

/// See the module.
pub struct UnClip {
    track: AlphaTrack,
    betas: Vec<f32>,
    prediction: Prediction,
    limit: Limit,
}

impl UnClip {
    pub const CLASS: &'static str = "UnCLIPScheduler";

    /// From the prior's `scheduler_config.json`.
    ///
    /// # Errors
    /// If it names another class, or asks for something that is not supported.
    pub fn open(config: &SchedulerConfig) -> Result<Self> {
        match config.class_name() {
            Some(Self::CLASS) => Self::new(&mut Reader::new(config)),
            name => {
                let name = name.unwrap_or("no class");
                let reason = format!("it names {name}, but a prior is stepped by {}", Self::CLASS);
                Err(Error::ConfigFile { origin: config.origin.clone(), reason })
            }
        }
    }

    fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &BETAS, ZeroSnr::Unknown)?;
        reader.only("beta_schedule", "squaredcos_cap_v2")?;
        reader.only("variance_type", "fixed_small_log")?;
        Ok(Self {
            betas: train.betas.clone(),
            track: AlphaTrack::up_to_one(train),
            prediction: Prediction::read_without_velocity(reader)?,
            limit: Limit::read_clip(reader, true)?,
        })
    }
}

impl Scheduler for UnClip {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let total = self.track.len();
        if steps < 2 || steps > total {
            let text = format!("{steps} steps are asked for; the prior takes 2 to {total}");
            return Err(Error::Invalid(text));
        }
        let ratio = (total - 1) as f64 / (steps - 1) as f64;
        let rising = (0..steps).map(|i| i as f64 * ratio).collect();
        self.track.lay_out(reversed(rounded(rising)))
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
        timestep: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        let (here, next) = (timestep as i64, self.track.after(timestep));
        let (alpha, alpha_prev) = (self.track.at(here), self.track.at(next));
        let (rest, rest_prev) = (1.0 - alpha, 1.0 - alpha_prev);
        let beta = match next == here - 1 {
            true => self.betas[here as usize],
            false => 1.0 - alpha / alpha_prev,
        };
        let picture = self.prediction.picture(model_output, sample, alpha.sqrt(), rest.sqrt())?;
        let picture = self.limit.apply(picture)?;
        // Formula 7.
        let of_picture = alpha_prev.sqrt() * beta / rest;
        let of_sample = (1.0 - beta).sqrt() * rest_prev / rest;
        let mut prev_sample = combined(&[(of_picture, &picture), (of_sample, sample)])?;
        if here > 0 {
            let deviation = (0.5 * (rest_prev / rest * beta).max(1e-20).ln()).exp();
            let noise = context.fresh_noise(sample)?;
            prev_sample = (prev_sample + (noise * f64::from(deviation))?)?;
        }
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
