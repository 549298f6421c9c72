//! The bookkeeping of schedulers that step on training timesteps: DDIM, DDPM, PNDM, LCM and TCD.

use candle_core::Tensor;

use super::{
    Track,
    beta_schedule::TrainSchedule,
    config::Reader,
    prediction::combined,
    spacing::{Spacing, leading, linspace, reversed, rounded, trailing},
    step_index::StepIndex,
};
use crate::diffusion::{Error, Result};

/// The share of the picture that is left (as its square) at each timestep, the schedule as laid
/// out, and where the run stands in it.
pub(super) struct AlphaTrack {
    train: Vec<f32>,
    /// What comes after timestep 0.
    last: f32,
    timesteps: Vec<f64>,
    /// Only some of these classes count their steps; the others find them by the timestep.
    pub index: StepIndex,
}

impl AlphaTrack {
    /// Reads `set_alpha_to_one`, whose default differs.
    pub fn read(reader: &mut Reader<'_>, train: TrainSchedule, to_one: bool) -> Result<Self> {
        let to_one = reader.bool("set_alpha_to_one", to_one)?;
        let first = train.alphas_cumprod[0];
        Ok(Self { last: if to_one { 1.0 } else { first }, ..Self::up_to_one(train) })
    }

    /// For a class that always ends at the clean picture.
    pub fn up_to_one(train: TrainSchedule) -> Self {
        let train = train.alphas_cumprod;
        Self { train, last: 1.0, timesteps: Vec::new(), index: StepIndex::default() }
    }

    /// `num_train_timesteps`.
    pub fn len(&self) -> usize {
        self.train.len()
    }

    /// At a timestep; before the first there is the final value.
    pub fn at(&self, timestep: i64) -> f32 {
        usize::try_from(timestep).map_or(self.last, |t| self.train[t.min(self.train.len() - 1)])
    }

    /// The timestep that the step from this one leads to; from the last, -1.
    pub fn after(&self, timestep: f64) -> i64 {
        let here = self.timesteps.iter().position(|t| *t == timestep);
        here.and_then(|index| self.timesteps.get(index + 1)).map_or(-1, |t| *t as i64)
    }

    /// Whole timesteps as the spacing asks for, falling.
    pub fn spaced(&self, spacing: Spacing, steps_offset: usize, steps: usize) -> Result<Vec<f64>> {
        let total = self.len();
        if steps == 0 || steps > total {
            let text = format!("{steps} steps are asked for; this scheduler takes 1 to {total}");
            return Err(Error::Invalid(text));
        }
        Ok(match spacing {
            Spacing::Linspace => reversed(rounded(linspace(0.0, (total - 1) as f64, steps))),
            Spacing::Leading => leading(steps, total / steps, steps_offset),
            Spacing::Trailing => trailing(total, total, steps),
        })
    }

    /// Begins a new run. A long schedule with an offset may reach past the end of the table, which
    /// is an error.
    pub fn lay_out(&mut self, timesteps: Vec<f64>) -> Result<()> {
        let beyond = timesteps.iter().find(|&&t| t >= self.len() as f64);
        if let Some(t) = beyond {
            return Err(Error::Invalid(format!(
                "the schedule starts at timestep {t}, past the {} of training; take fewer steps or a smaller steps_offset",
                self.len()
            )));
        }
        self.timesteps = timesteps;
        self.index = StepIndex::default();
        Ok(())
    }
}

impl Track for AlphaTrack {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn set_begin_index(&mut self, index: usize) {
        self.index.set_begin(index);
    }

    /// sqrt(alpha) * picture + sqrt(1 - alpha) * noise.
    fn add_noise(&self, original: &Tensor, noise: &Tensor, timestep: f64) -> Result<Tensor> {
        let alpha = self.at(timestep as i64);
        Ok(combined(&[(alpha.sqrt(), original), ((1.0 - alpha).sqrt(), noise)])?)
    }
}
