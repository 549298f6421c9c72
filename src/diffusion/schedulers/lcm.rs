//! LCM: Luo et al. 2023, "Latent consistency models". Only for models distilled for it.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{STABLE_DIFFUSION_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::{Spacing, distilled, read_original_steps},
};
use crate::diffusion::Result;

/// The spread of the data that the models were distilled with.
const SIGMA_DATA: f32 = 0.5;

pub(super) struct Lcm {
    track: AlphaTrack,
    prediction: Prediction,
    limit: Limit,
    original_inference_steps: usize,
    timestep_scaling: f32,
}

impl Lcm {
    pub const CLASS: &'static str = "LCMScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &STABLE_DIFFUSION_BETAS, ZeroSnr::Exact)?;
        let clip = Limit::read_clip(reader, false)?;
        // Read by the class, but without effect: LCM lays out its own timesteps.
        Spacing::read(reader, Spacing::Leading)?;
        reader.usize("steps_offset", 0)?;
        let original_inference_steps = read_original_steps(reader, train.len())?;
        Ok(Self {
            track: AlphaTrack::read(reader, train, true)?,
            prediction: Prediction::read(reader)?,
            limit: Limit::read_threshold(reader, clip)?,
            original_inference_steps,
            timestep_scaling: reader.f64("timestep_scaling", 10.0)? as f32,
        })
    }

    /// How much of the latents, and how much of the predicted picture: the boundary condition that
    /// makes the model exact at timestep 0.
    fn boundary(&self, timestep: f64) -> (f32, f32) {
        let scaled = timestep as f32 * self.timestep_scaling;
        let power = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        (SIGMA_DATA * SIGMA_DATA / power, scaled / power.sqrt())
    }
}

impl Scheduler for Lcm {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        self.set_timesteps_within(steps, 1.0)
    }

    fn set_timesteps_within(&mut self, steps: usize, strength: f64) -> Result<()> {
        let original = self.original_inference_steps;
        self.track.lay_out(distilled(self.track.len(), original, steps, strength)?)
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
        let index = self.track.index.current();
        let next = self.track.timesteps().get(index + 1).copied().unwrap_or(timestep);
        let (alpha, alpha_prev) = (self.track.at(timestep as i64), self.track.at(next as i64));
        let picture =
            self.prediction.picture(model_output, sample, alpha.sqrt(), (1.0 - alpha).sqrt())?;
        let picture = self.limit.apply(picture)?;
        let (skip, out) = self.boundary(timestep);
        let denoised = combined(&[(out, &picture), (skip, sample)])?;
        self.track.index.advance();
        if index + 1 == self.track.timesteps().len() {
            return Ok(StepOutput {
                prev_sample: denoised.clone(),
                pred_original_sample: Some(denoised),
            });
        }
        let noise = context.fresh_noise(sample)?;
        let factors = (alpha_prev.sqrt(), (1.0 - alpha_prev).sqrt());
        let prev_sample = combined(&[(factors.0, &denoised), (factors.1, &noise)])?;
        Ok(StepOutput { prev_sample, pred_original_sample: Some(denoised) })
    }
}
