//! DDIM: Song et al. 2020, "Denoising diffusion implicit models". Formula numbers are the paper's.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::Spacing,
};
use crate::diffusion::Result;

pub(super) struct Ddim {
    track: AlphaTrack,
    prediction: Prediction,
    limit: Limit,
    spacing: Spacing,
    steps_offset: usize,
    /// Training timesteps between two steps.
    stride: i64,
}

impl Ddim {
    pub const CLASS: &'static str = "DDIMScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Exact)?;
        let clip = Limit::read_clip(reader, true)?;
        Ok(Self {
            track: AlphaTrack::read(reader, train, true)?,
            prediction: Prediction::read(reader)?,
            limit: Limit::read_threshold(reader, clip)?,
            spacing: Spacing::read(reader, Spacing::Leading)?,
            steps_offset: reader.usize("steps_offset", 0)?,
            stride: 0,
        })
    }
}

impl Scheduler for Ddim {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        self.stride = (self.track.len() / steps.max(1)) as i64;
        let timesteps = self.track.spaced(self.spacing, self.steps_offset, steps)?;
        self.track.lay_out(timesteps)
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
        let timestep = timestep as i64;
        let (alpha, alpha_prev) = (self.track.at(timestep), self.track.at(timestep - self.stride));
        let (root, noise_root) = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let picture = self.prediction.picture(model_output, sample, root, noise_root)?;
        let noise = self.prediction.noise(model_output, sample, root, noise_root)?;
        let picture = self.limit.apply(picture)?;
        // Formula 16.
        let variance = (1.0 - alpha_prev) / (1.0 - alpha) * (1.0 - alpha / alpha_prev);
        let deviation = context.eta as f32 * variance.sqrt();
        // Formula 12.
        let direction = (1.0 - alpha_prev - deviation * deviation).sqrt();
        let mut prev = combined(&[(alpha_prev.sqrt(), &picture), (direction, &noise)])?;
        if context.eta > 0.0 {
            let fresh = context.fresh_noise(sample)?;
            prev = (prev + (fresh * f64::from(deviation))?)?;
        }
        Ok(StepOutput { prev_sample: prev, pred_original_sample: Some(picture) })
    }
}
