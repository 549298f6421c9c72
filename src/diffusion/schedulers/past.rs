//! What multi-step solvers know of the run: how the network's outputs are read, and what the last
//! ones said.

use std::ops::Deref;

use candle_core::{Result as TensorResult, Tensor};

use super::{
    config::Reader,
    lambda_track::Level,
    prediction::{Limit, Prediction, combined},
};
use crate::diffusion::Result;

/// What a solver integrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrand {
    Picture,
    /// As the network says it, or what is left of the latents where the picture is limited.
    Noise,
    /// Always what is left of the latents around the picture.
    NoiseAroundPicture,
}

/// A network's output, read.
pub(super) struct Converted {
    pub integrand: Tensor,
    pub picture: Tensor,
}

/// See the module; it dereferences to the last predictions, newest first.
pub(super) struct Past {
    prediction: Prediction,
    limit: Limit,
    integrand: Integrand,
    /// `solver_order`, and how many predictions are kept.
    order: usize,
    kept: Vec<Tensor>,
}

impl Past {
    pub fn read(reader: &mut Reader<'_>, integrand: Integrand) -> Result<Self> {
        let order = reader.usize("solver_order", 2)?;
        if !(1..=3).contains(&order) {
            return Err(reader.error("solver_order", "1, 2 or 3"));
        }
        Ok(Self {
            prediction: Prediction::read(reader)?,
            limit: Limit::read_threshold(reader, Limit::None)?,
            integrand,
            order,
            kept: Vec::new(),
        })
    }

    /// The same with pictures as they come.
    pub fn unlimited(self) -> Self {
        Self { limit: Limit::None, ..self }
    }

    /// `solver_order`.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Begins a new run.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// What the network's `output` for `sample` says, at the level `here`.
    pub fn converted(
        &self,
        output: &Tensor,
        sample: &Tensor,
        here: Level,
    ) -> TensorResult<Converted> {
        let picture = self.prediction.picture(output, sample, here.alpha, here.sigma)?;
        let picture = self.limit.apply(picture)?;
        let integrand = match self.integrand {
            Integrand::Picture => picture.clone(),
            Integrand::Noise if self.limit == Limit::None => {
                self.prediction.noise(output, sample, here.alpha, here.sigma)?
            }
            Integrand::Noise | Integrand::NoiseAroundPicture => {
                let factors = (1.0 / here.sigma, -here.alpha / here.sigma);
                combined(&[(factors.0, sample), (factors.1, &picture)])?
            }
        };
        Ok(Converted { integrand, picture })
    }

    pub fn remember(&mut self, integrand: Tensor) {
        self.kept.insert(0, integrand);
        self.kept.truncate(self.order);
    }

    /// Reads an output and remembers it; gives the picture.
    pub fn take_in(
        &mut self,
        output: &Tensor,
        sample: &Tensor,
        here: Level,
    ) -> TensorResult<Tensor> {
        let Converted { integrand, picture } = self.converted(output, sample, here)?;
        self.remember(integrand);
        Ok(picture)
    }
}

impl Deref for Past {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        &self.kept
    }
}
