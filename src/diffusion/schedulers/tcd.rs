//! TCD: Zheng et al. 2024, "Trajectory consistency distillation". For models distilled for it, and
//! for Hyper-SD's one-step models. The run's eta is the paper's gamma: how far each step goes past
//! the next timestep before noise brings it back.

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

pub(super) struct Tcd {
    track: AlphaTrack,
    prediction: Prediction,
    original_inference_steps: usize,
}

impl Tcd {
    pub const CLASS: &'static str = "TCDScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &STABLE_DIFFUSION_BETAS, ZeroSnr::Exact)?;
        // Known to the class, but without effect.
        Limit::read_clip(reader, false)?;
        Limit::read_threshold(reader, Limit::None)?;
        Spacing::read(reader, Spacing::Leading)?;
        reader.usize("steps_offset", 0)?;
        reader.f64("timestep_scaling", 10.0)?;
        let original_inference_steps = read_original_steps(reader, train.len())?;
        Ok(Self {
            track: AlphaTrack::read(reader, train, true)?,
            prediction: Prediction::read(reader)?,
            original_inference_steps,
        })
    }
}

impl Scheduler for Tcd {
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
        let next = self.track.timesteps().get(index + 1).copied();
        let next_timestep = next.unwrap_or(0.0);
        // In f32, as torch computes it: the product may fall on a whole number.
        let target = ((1.0 - context.eta) as f32 * next_timestep as f32).floor();
        let alpha = self.track.at(timestep as i64);
        let (alpha_target, alpha_next) =
            (self.track.at(target as i64), self.track.at(next_timestep as i64));
        let roots = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let picture = self.prediction.picture(model_output, sample, roots.0, roots.1)?;
        let noise = self.prediction.noise(model_output, sample, roots.0, roots.1)?;
        let factors = (alpha_target.sqrt(), (1.0 - alpha_target).sqrt());
        let mut prev_sample = combined(&[(factors.0, &picture), (factors.1, &noise)])?;
        if context.eta > 0.0 && next.is_some() {
            let kept = alpha_next / alpha_target;
            let fresh = context.fresh_noise(sample)?;
            prev_sample = combined(&[(kept.sqrt(), &prev_sample), ((1.0 - kept).sqrt(), &fresh)])?;
        }
        self.track.index.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
