//! The denoising loop that all pipelines share.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};

use super::{
    Cancelled, Denoiser, NoiseSource, Observer, Prompt, Result, Sampling, Scheduler, StepInfo,
    conditioning::Conditioning,
    schedulers::StepContext,
    timesteps::{as_far_as, laid_out},
};

/// The moving parts of a run, borrowed for its length.
pub struct Run<'a> {
    pub denoiser: &'a dyn Denoiser,
    pub scheduler: &'a mut dyn Scheduler,
    pub noise: &'a mut dyn NoiseSource,
    pub observer: &'a mut dyn Observer,
    pub device: &'a Device,
}

/// What a pipeline adds to the plain loop.
#[derive(Default)]
pub(super) struct Extras<'a> {
    /// Mask and masked picture [B, 5, h, w], appended to the latents' channels.
    pub channels: Option<Tensor>,
    /// Applied to the latents after each step.
    pub after_step: Option<AfterStep<'a>>,
    /// Numbers without and with the prompt take turns down the batch, instead of all without
    /// first. Nothing else of the batch is in that order, but text-to-image of the reference is so.
    pub alternating_numbers: bool,
}

/// The latents after a step, and the next timestep if there is one, to the latents to go on with.
pub(super) type AfterStep<'a> =
    Box<dyn Fn(&dyn Scheduler, Tensor, Option<f64>) -> Result<Tensor> + 'a>;

impl Run<'_> {
    /// Lays out the schedule; gives the timesteps from the one where this strength begins.
    pub(super) fn timesteps(&mut self, sampling: &Sampling, is_partial: bool) -> Result<Vec<f64>> {
        self.heed(ControlFlow::Continue(()))?;
        laid_out(self.scheduler, sampling, is_partial)
    }

    /// Runs the network down `timesteps`, as far as this part of the run goes, and gives the last
    /// latents. That can be no step at all: the next part then takes the latents as they are.
    pub(super) fn denoise(
        &mut self,
        mut latents: Tensor,
        timesteps: &[f64],
        prompt: &Prompt,
        sampling: &Sampling,
        extras: &Extras<'_>,
    ) -> Result<Tensor> {
        let conditioning = Conditioning::new(self.denoiser, prompt, sampling, extras, self.device)?;
        self.heed(ControlFlow::Continue(()))?;
        let count = timesteps.len();
        let timesteps = as_far_as(timesteps, sampling);
        for (index, &timestep) in timesteps.iter().enumerate() {
            let input = self.scheduler.scale_model_input(&latents)?;
            let place = (index, count);
            let prediction = conditioning.predict(self.denoiser, &input, timestep, place)?;
            let prediction = prediction.for_scheduler(self.scheduler)?;
            let context = StepContext { eta: sampling.eta, noise: self.noise };
            let output = self.scheduler.step(&prediction, timestep, &latents, context)?;
            latents = match &extras.after_step {
                Some(hook) => {
                    hook(self.scheduler, output.prev_sample, timesteps.get(index + 1).copied())?
                }
                None => output.prev_sample,
            };
            let info = StepInfo {
                index,
                total: timesteps.len(),
                timestep,
                latents: &latents,
                predicted_x0: output.pred_original_sample.as_ref(),
            };
            let flow = self.observer.step(info);
            self.heed(flow)?;
        }
        Ok(latents)
    }

    fn heed(&mut self, flow: ControlFlow<Cancelled>) -> Result<()> {
        match flow {
            ControlFlow::Break(cancelled) => Err(cancelled.into()),
            ControlFlow::Continue(()) => match self.observer.check() {
                ControlFlow::Break(cancelled) => Err(cancelled.into()),
                ControlFlow::Continue(()) => Ok(()),
            },
        }
    }

    /// Fresh noise for `shape`, in f32.
    pub(super) fn randn(&mut self, shape: &[usize]) -> Result<Tensor> {
        Ok(self.noise.randn(shape.into(), self.device, DType::F32)?)
    }
}
