//! Any scheduler in a pipeline that forgets to scale the network's input.

use candle_core::Tensor;

use super::{Scheduler, StepContext, StepOutput, Track};
use crate::diffusion::Result;

/// The scheduler inside, but for [`Scheduler::scale_model_input`], which changes nothing.
pub struct Unscaled(pub Box<dyn Scheduler>);

impl Scheduler for Unscaled {
    fn class_name(&self) -> &'static str {
        self.0.class_name()
    }

    fn order(&self) -> usize {
        self.0.order()
    }

    fn learns_variance(&self) -> bool {
        self.0.learns_variance()
    }

    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.0.set_timesteps(num_inference_steps)
    }

    fn track(&self) -> &dyn Track {
        self.0.track()
    }

    fn track_mut(&mut self) -> &mut dyn Track {
        self.0.track_mut()
    }

    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        Ok(sample.clone())
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        timestep: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        self.0.step(model_output, timestep, sample, context)
    }
}
