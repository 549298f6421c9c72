//! LCM: Luo et al. 2023, "Latent consistency models". Only for models distilled for it.

use candle_core::{DType, Tensor};

use super::{
    Scheduler, StepContext, StepOutput,
    alphas::Alphas,
    beta_schedule::{BetaDefaults, BetaSchedule, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Limit, Prediction, combined},
    spacing::Spacing,
    step_index::StepIndex,
};
use crate::diffusion::{Error, Result};

const BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.00085, beta_end: 0.012, schedule: BetaSchedule::ScaledLinear };
/// The spread of the data that the models were distilled with.
const SIGMA_DATA: f32 = 0.5;

pub(super) struct Lcm {
    alphas: Alphas,
    prediction: Prediction,
    limit: Limit,
    original_inference_steps: usize,
    timestep_scaling: f32,
    timesteps: Vec<f64>,
    steps: usize,
    index: StepIndex,
}

impl Lcm {
    pub const CLASS: &'static str = "LCMScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &BETAS, ZeroSnr::Exact)?;
        let clip = Limit::read_clip(reader, false)?;
        // Read by the class, but without effect: LCM lays out its own timesteps.
        Spacing::read(reader, Spacing::Leading)?;
        reader.usize("steps_offset", 0)?;
        let original = reader.usize("original_inference_steps", 50)?;
        if original == 0 || original > train.len() {
            let expected = format!("from 1 to {}", train.len());
            return Err(reader.error("original_inference_steps", expected));
        }
        Ok(Self {
            alphas: Alphas::read(reader, train, true)?,
            prediction: Prediction::read(reader)?,
            limit: Limit::read_threshold(reader, clip)?,
            original_inference_steps: original,
            timestep_scaling: reader.f64("timestep_scaling", 10.0)? as f32,
            timesteps: Vec::new(),
            steps: 0,
            index: StepIndex::default(),
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
        let original = self.original_inference_steps;
        if steps == 0 || steps > original {
            let text = format!(
                "{steps} steps are asked for; LCM takes 1 to {original} (original_inference_steps)"
            );
            return Err(Error::Invalid(text));
        }
        let stride = self.alphas.len() / original;
        let at = |i: usize| {
            let skipped = (i as f64 * (original as f64 / steps as f64)).floor() as usize;
            ((original - skipped) * stride - 1) as f64
        };
        self.timesteps = (0..steps).map(at).collect();
        self.steps = steps;
        self.index = StepIndex::default();
        Ok(())
    }

    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn set_begin_index(&mut self, index: usize) {
        self.index.set_begin(index);
    }

    fn init_noise_sigma(&self) -> f64 {
        1.0
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
        let index = self.index.current();
        let next = self.timesteps.get(index + 1).copied().unwrap_or(timestep);
        let (alpha, alpha_prev) = (self.alphas.at(timestep as i64), self.alphas.at(next as i64));
        let picture =
            self.prediction.picture(model_output, sample, alpha.sqrt(), (1.0 - alpha).sqrt())?;
        let picture = self.limit.apply(picture)?;
        let (skip, out) = self.boundary(timestep);
        let denoised = combined(&[(out, &picture), (skip, sample)])?;
        self.index.advance();
        if index + 1 == self.steps {
            return Ok(StepOutput {
                prev_sample: denoised.clone(),
                pred_original_sample: Some(denoised),
            });
        }
        let noise = context.noise.randn(sample.shape().clone(), sample.device(), DType::F32)?;
        let factors = (alpha_prev.sqrt(), (1.0 - alpha_prev).sqrt());
        let prev_sample = combined(&[(factors.0, &denoised), (factors.1, &noise)])?;
        Ok(StepOutput { prev_sample, pred_original_sample: Some(denoised) })
    }

    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        self.alphas.add_noise(original, noise, timestep)
    }
}
