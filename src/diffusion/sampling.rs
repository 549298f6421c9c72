//! The settings that all pipelines share.

use super::{Error, Result};

/// The settings that all pipelines share.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 1 or more.
    pub num_inference_steps: usize,
    /// How much of the schedule runs, 0 to 1; text-to-image always runs all of it.
    pub strength: f64,
    /// Whether all steps run, laid out from where the strength begins, instead of the last of them.
    /// For image-to-image.
    pub steps_within_strength: bool,
    /// 1 or less runs without guidance.
    pub guidance_scale: f64,
    /// Phi, 0 to 1.
    pub guidance_rescale: f64,
    /// DDIM's eta, 0 to 1.
    pub eta: f64,
    /// Pictures in one batch, 1 or more. One generator draws the noise of all in one call.
    pub num_images_per_prompt: usize,
    /// Only timesteps below this one run, whatever the strength: the run goes on where another
    /// left off, and no noise is added. Not for text-to-image.
    pub below: Option<f64>,
    /// The run ends after the last timestep that is not below this one.
    pub down_to: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            num_inference_steps: 50,
            strength: 1.0,
            steps_within_strength: false,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            eta: 0.0,
            num_images_per_prompt: 1,
            below: None,
            down_to: None,
        }
    }
}

impl Sampling {
    /// # Errors
    /// If a number is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |text: String| Err(Error::Invalid(text));
        if self.num_inference_steps == 0 {
            return bad("the number of steps is 0, but must be 1 or more".into());
        }
        if self.num_images_per_prompt == 0 {
            return bad("the number of pictures is 0, but must be 1 or more".into());
        }
        if !self.guidance_scale.is_finite() {
            return bad(format!("the guidance scale is {}", self.guidance_scale));
        }
        for (what, value) in [("eta", self.eta), ("guidance rescale", self.guidance_rescale)] {
            if !(0.0..=1.0).contains(&value) {
                return bad(format!("{what} is {value}, but must be from 0 to 1"));
            }
        }
        Ok(())
    }
}
