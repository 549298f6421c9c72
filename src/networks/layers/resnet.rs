//! The residual block that U-Nets and autoencoders share.

use candle_core::{D, Module, Result, Tensor};

use super::{Activation, Conv2d, GroupNorm, Linear};
use crate::networks::{Result as LoadResult, Weights};

/// How the time embedding acts on a block (`resnet_time_scale_shift`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeShift {
    /// Added before the second normalisation.
    Default,
    /// A scale and a shift after it.
    ScaleShift,
}

/// What all blocks of a network have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResnetConfig {
    /// Width of the time embedding; autoencoders have none.
    pub time_channels: Option<usize>,
    pub time_shift: TimeShift,
    pub groups: usize,
    pub eps: f64,
    pub activation: Activation,
    /// The output is divided by it.
    pub output_scale: f64,
}

/// The layers of a block without time embedding, in the order in which they run.
pub struct ResnetParts<'a> {
    pub norm1: &'a GroupNorm,
    pub conv1: &'a Conv2d,
    pub norm2: &'a GroupNorm,
    pub conv2: &'a Conv2d,
    pub shortcut: Option<&'a Conv2d>,
    /// After each normalisation.
    pub activation: Activation,
}

/// A change of resolution inside a block, after the first activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// The mean of each four pixels.
    Halve,
    /// Each pixel four times.
    Double,
}

impl Resample {
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        match self {
            Self::Halve => x.avg_pool2d(2),
            Self::Double => x.upsample_nearest2d(2 * height, 2 * width),
        }
    }
}

/// [B, inputs, H, W] to [B, outputs, H, W].
#[derive(Clone, Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    resample: Option<Resample>,
    config: ResnetConfig,
}

impl ResnetBlock2D {
    pub fn load(
        weights: &Weights<'_>,
        config: ResnetConfig,
        inputs: usize,
        outputs: usize,
    ) -> LoadResult<Self> {
        let time_outputs = match config.time_shift {
            TimeShift::Default => outputs,
            TimeShift::ScaleShift => 2 * outputs,
        };
        let time = |width| Linear::load(&weights.pp("time_emb_proj"), width, time_outputs);
        let shortcut = || Conv2d::load(&weights.pp("conv_shortcut"), inputs, outputs, 1);
        Ok(Self {
            norm1: GroupNorm::load(&weights.pp("norm1"), inputs, config.groups, config.eps)?,
            conv1: Conv2d::load(&weights.pp("conv1"), inputs, outputs, 3)?,
            time_emb_proj: config.time_channels.map(time).transpose()?,
            norm2: GroupNorm::load(&weights.pp("norm2"), outputs, config.groups, config.eps)?,
            conv2: Conv2d::load(&weights.pp("conv2"), outputs, outputs, 3)?,
            conv_shortcut: (inputs != outputs).then(shortcut).transpose()?,
            resample: None,
            config,
        })
    }

    /// For whoever runs the layers one by one; autoencoders' blocks are no more than these.
    pub fn parts(&self) -> ResnetParts<'_> {
        ResnetParts {
            norm1: &self.norm1,
            conv1: &self.conv1,
            norm2: &self.norm2,
            conv2: &self.conv2,
            shortcut: self.conv_shortcut.as_ref(),
            activation: self.config.activation,
        }
    }

    /// The same block, which changes the resolution on the way.
    pub fn with_resample(self, resample: Resample) -> Self {
        Self { resample: Some(resample), ..self }
    }

    /// `time` is the time embedding [B, time_channels] after the activation, which is the same for
    /// all blocks and so computed once.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let active = self.activated(&self.norm1, x)?;
        let (x, hidden) = match self.resample {
            Some(resample) => (&resample.forward(x)?, resample.forward(&active)?),
            None => (x, active),
        };
        let hidden = self.second(self.conv1.forward(&hidden)?, time)?;
        let sum = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x)? + hidden,
            None => x + hidden,
        };
        if self.config.output_scale == 1.0 { sum } else { sum? / self.config.output_scale }
    }

    /// The second half. What is not needed any more is given up on the way, here and below: at a
    /// fine level each of these tensors is large.
    fn second(&self, hidden: Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let active = match (&self.time_emb_proj, time) {
            (Some(project), Some(time)) => self.timed(hidden, &project.forward(time)?)?,
            _ => self.activated(&self.norm2, &hidden)?,
        };
        self.conv2.forward(&active)
    }

    /// The second normalisation and activation, under the influence of `time` [B, C or 2 C].
    fn timed(&self, hidden: Tensor, time: &Tensor) -> Result<Tensor> {
        let time = time.unsqueeze(D::Minus1)?.unsqueeze(D::Minus1)?;
        match self.config.time_shift {
            TimeShift::Default => {
                let shifted = hidden.broadcast_add(&time)?;
                drop(hidden);
                self.activated(&self.norm2, &shifted)
            }
            TimeShift::ScaleShift => {
                let parts = time.chunk(2, 1)?;
                let scaled = self.norm2.forward(&hidden)?.broadcast_mul(&(&parts[0] + 1.0)?)?;
                self.config.activation.forward(&scaled.broadcast_add(&parts[1])?)
            }
        }
    }

    fn activated(&self, norm: &GroupNorm, x: &Tensor) -> Result<Tensor> {
        norm.forward_then(self.config.activation, x)
    }
}
