//! Samplers: how to get from noise to a picture in few evaluations of the network. One file each,
//! each a faithful double of the `diffusers` class of the same name: tables in the same precision,
//! the same timesteps, the same draws of noise.

mod alpha_track;
mod beta_quantile;
mod beta_schedule;
mod config;
mod ddim;
mod ddpm;
mod deis_multistep;
mod dpm_coefficients;
mod dpm_solver_multistep;
mod dpm_solver_sde;
mod dpm_solver_singlestep;
mod euler;
mod euler_ancestral;
mod heun;
mod kdpm2;
mod lambda_track;
mod lcm;
mod lms;
mod midpoint;
mod past;
mod pndm;
mod prediction;
mod registry;
mod sigma_track;
mod sigmas;
mod spacing;
mod step_index;
mod tcd;
mod unclip;
mod unipc_coefficients;
mod unipc_multistep;
mod unscaled;

use candle_core::{DType, Tensor};

pub use config::{PipelineKind, SchedulerConfig};
pub use registry::{ALL, SchedulerInfo, build, find, step_takes_generator};
pub use unclip::UnClip;
pub use unscaled::Unscaled;

use super::{Error, NoiseSource, Result};

/// What one step gives.
pub struct StepOutput {
    /// The latents at the next, lower noise level; same shape, f32.
    pub prev_sample: Tensor,
    /// The picture's latents as far as this step can tell, for previews.
    pub pred_original_sample: Option<Tensor>,
}

/// What a step may draw on besides the network's prediction.
pub struct StepContext<'a> {
    /// DDIM's eta: 0 is deterministic, 1 draws as much noise as DDPM. Others pay no attention.
    pub eta: f64,
    /// Ancestral and stochastic samplers draw from it, in the order of the reference.
    pub noise: &'a mut dyn NoiseSource,
}

impl StepContext<'_> {
    /// The noise that a step adds to latents of this shape, in f32; one draw.
    fn fresh_noise(self, latents: &Tensor) -> candle_core::Result<Tensor> {
        self.noise.randn(latents.shape().clone(), latents.device(), DType::F32)
    }
}

/// A schedule as laid out, and where the run stands in it: what classes of one family share.
pub trait Track {
    /// Noise levels in training timesteps, falling; fractional for some.
    fn timesteps(&self) -> &[f64];

    /// Where in `timesteps` the run starts. Nothing to families that find a step by its timestep.
    fn set_begin_index(&mut self, _index: usize) {}

    /// The standard deviation of the noise to start from.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// The latents as the network wants to see them at the current step.
    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        Ok(sample.clone())
    }

    /// Clean latents brought to the noise level of `timestep`.
    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor>;
}

/// A sampler. Call order: `set_timesteps`, maybe `set_begin_index`, then for each timestep
/// from there on `scale_model_input` and `step`, in order. Tensors are f32.
pub trait Scheduler: Send {
    /// The name of the class in `diffusers`.
    fn class_name(&self) -> &'static str;

    /// Timesteps per sampling step: 2 for second-order samplers that evaluate twice.
    fn order(&self) -> usize {
        1
    }

    /// Whether a step wants the network's variance [B, C, h, w] after its prediction, in one tensor
    /// [B, 2C, h, w]. Only networks that predict one have it.
    fn learns_variance(&self) -> bool {
        false
    }

    /// Lays out the timesteps for `num_inference_steps` (1 or more) and forgets any past run.
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()>;

    /// Lays out all of `num_inference_steps` timesteps from where `strength` (0 to 1) begins, for
    /// the pipelines of latent consistency models.
    ///
    /// # Errors
    /// Where the class cannot, or `strength` leaves fewer timesteps.
    fn set_timesteps_within(&mut self, _num_inference_steps: usize, _strength: f64) -> Result<()> {
        Err(Error::Invalid(format!(
            "{} cannot lay out steps within a strength, as this model's pipeline does; take lcm or tcd",
            self.class_name()
        )))
    }

    /// The schedule that [`Self::set_timesteps`] laid out.
    fn track(&self) -> &dyn Track;

    fn track_mut(&mut self) -> &mut dyn Track;

    /// One step down. `model_output` is the (guided) prediction for `sample` at `timestep`.
    fn step(
        &mut self,
        model_output: &Tensor,
        timestep: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput>;

    /// Noise levels in training timesteps, falling; fractional for some.
    fn timesteps(&self) -> &[f64] {
        self.track().timesteps()
    }

    /// Where in `timesteps` the run starts (not 0 when the strength is below 1).
    fn set_begin_index(&mut self, index: usize) {
        self.track_mut().set_begin_index(index);
    }

    /// The standard deviation of the noise to start from.
    fn init_noise_sigma(&self) -> f64 {
        self.track().init_noise_sigma()
    }

    /// The latents as the network wants to see them at the current step.
    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        self.track().scale_model_input(sample)
    }

    /// Clean latents brought to the noise level of `timestep`. Schedulers that keep a step index
    /// take the level of the step that comes next, as the reference does.
    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        self.track().add_noise(original, noise, timestep)
    }
}

#[cfg(test)]
mod tests;
