//! Noise levels by training timestep: what DDIM, PNDM and LCM step on.

use candle_core::Tensor;

use super::{beta_schedule::TrainSchedule, config::Reader, prediction::combined};
use crate::diffusion::{Error, Result};

/// The share of the picture that is left (as its square) at each timestep.
pub(super) struct Alphas {
    train: Vec<f32>,
    /// What comes after timestep 0.
    last: f32,
}

impl Alphas {
    /// Reads `set_alpha_to_one`, whose default differs.
    pub fn read(reader: &mut Reader<'_>, train: TrainSchedule, to_one: bool) -> Result<Self> {
        let to_one = reader.bool("set_alpha_to_one", to_one)?;
        let train = train.alphas_cumprod;
        let last = if to_one { 1.0 } else { train[0] };
        Ok(Self { train, last })
    }

    /// For a class that always ends at the clean picture.
    pub fn up_to_one(train: TrainSchedule) -> Self {
        Self { train: train.alphas_cumprod, last: 1.0 }
    }

    /// `num_train_timesteps`.
    pub fn len(&self) -> usize {
        self.train.len()
    }

    /// At a timestep; before the first there is the final value.
    pub fn at(&self, timestep: i64) -> f32 {
        usize::try_from(timestep).map_or(self.last, |t| self.train[t.min(self.train.len() - 1)])
    }

    /// sqrt(alpha) * picture + sqrt(1 - alpha) * noise.
    pub fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        let alpha = self.at(timestep as i64);
        Ok(combined(&[(alpha.sqrt(), original), ((1.0 - alpha).sqrt(), noise)])?)
    }

    /// Steps beyond the training schedule have no meaning here.
    pub fn check_steps(&self, steps: usize) -> Result<()> {
        if steps >= 1 && steps <= self.len() {
            return Ok(());
        }
        let text = format!("{steps} steps are asked for; this scheduler takes 1 to {}", self.len());
        Err(Error::Invalid(text))
    }

    /// A timestep that a long schedule with an offset pushes past the end of the table.
    pub fn check_timesteps(&self, timesteps: &[f64]) -> Result<()> {
        match timesteps.iter().find(|&&t| t >= self.len() as f64) {
            None => Ok(()),
            Some(t) => Err(Error::Invalid(format!(
                "the schedule starts at timestep {t}, past the {} of training; take fewer steps or a smaller steps_offset",
                self.len()
            ))),
        }
    }
}
