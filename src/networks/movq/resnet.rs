//! The residual block, which knows no time.

use candle_core::{Module, Result, Tensor};

use super::norm::{Norm, NormConfig};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, Conv2d},
};

/// [B, inputs, H, W] to [B, outputs, H, W].
#[derive(Clone, Debug)]
pub struct ResnetBlock {
    norm1: Norm,
    conv1: Conv2d,
    norm2: Norm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    activation: Activation,
}

impl ResnetBlock {
    pub fn load(
        weights: &Weights<'_>,
        norm: NormConfig,
        activation: Activation,
        inputs: usize,
        outputs: usize,
    ) -> LoadResult<Self> {
        let shortcut = || Conv2d::load(&weights.pp("conv_shortcut"), inputs, outputs, 1);
        Ok(Self {
            norm1: Norm::load(&weights.pp("norm1"), norm, inputs)?,
            conv1: Conv2d::load(&weights.pp("conv1"), inputs, outputs, 3)?,
            norm2: Norm::load(&weights.pp("norm2"), norm, outputs)?,
            conv2: Conv2d::load(&weights.pp("conv2"), outputs, outputs, 3)?,
            conv_shortcut: (inputs != outputs).then(shortcut).transpose()?,
            activation,
        })
    }

    /// `latents` [B, c, h, w] are for spatial normalisations.
    pub fn forward(&self, x: &Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        let activated = |norm: &Norm, x: &Tensor| norm.forward_then(self.activation, x, latents);
        let hidden = self.conv1.forward(&activated(&self.norm1, x)?)?;
        let hidden = self.conv2.forward(&activated(&self.norm2, &hidden)?)?;
        match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x)? + hidden,
            None => x + hidden,
        }
    }
}
