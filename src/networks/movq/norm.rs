//! The two kinds of normalisation: the encoder's, and the decoder's.

use candle_core::{Module, Result, Tensor, bail};

use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, Conv2d, GroupNorm},
};

const EPS: f64 = 1e-6;

/// Groups of a spatial normalisation, whatever `norm_num_groups` says.
pub const SPATIAL_GROUPS: usize = 32;

#[derive(Clone, Copy, Debug)]
pub enum NormConfig {
    Group {
        groups: usize,
    },
    /// `latents` is their number of channels.
    Spatial {
        latents: usize,
    },
}

/// Normalises groups of channels.
#[derive(Clone, Debug)]
pub enum Norm {
    Group(GroupNorm),
    Spatial(SpatialNorm),
}

impl Norm {
    pub fn load(weights: &Weights<'_>, config: NormConfig, channels: usize) -> LoadResult<Self> {
        Ok(match config {
            NormConfig::Group { groups } => {
                Self::Group(GroupNorm::load(weights, channels, groups, EPS)?)
            }
            NormConfig::Spatial { latents } => {
                Self::Spatial(SpatialNorm::load(weights, latents, channels)?)
            }
        })
    }

    /// [B, C, H, W] to the same; `latents` [B, c, h, w] are what a spatial one goes by.
    pub fn forward(&self, x: &Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::Group(norm) => norm.forward(x),
            Self::Spatial(norm) => norm.forward(x, latents),
        }
    }

    /// The normalisation, then the activation.
    pub fn forward_then(
        &self,
        activation: Activation,
        x: &Tensor,
        latents: Option<&Tensor>,
    ) -> Result<Tensor> {
        match self {
            Self::Group(norm) => norm.forward_then(activation, x),
            Self::Spatial(norm) => activation.forward(&norm.forward(x, latents)?),
        }
    }
}

/// Zheng et al. 2022, "MoVQ", section 3.2: a group normalisation whose scale and shift are read off
/// the latents at each place.
#[derive(Clone, Debug)]
pub struct SpatialNorm {
    norm_layer: GroupNorm,
    conv_y: Conv2d,
    conv_b: Conv2d,
}

impl SpatialNorm {
    fn load(weights: &Weights<'_>, latents: usize, channels: usize) -> LoadResult<Self> {
        let conv = |name| Conv2d::load(&weights.pp(name), latents, channels, 1);
        let norm = &weights.pp("norm_layer");
        Ok(Self {
            norm_layer: GroupNorm::load(norm, channels, SPATIAL_GROUPS, EPS)?,
            conv_y: conv("conv_y")?,
            conv_b: conv("conv_b")?,
        })
    }

    /// Convolutions of one pixel commute with repeating pixels, so they run on the small latents.
    fn forward(&self, x: &Tensor, latents: Option<&Tensor>) -> Result<Tensor> {
        let Some(latents) = latents else {
            bail!("a spatial normalisation needs latents to go by");
        };
        let (_, _, height, width) = x.dims4()?;
        let at = |conv: &Conv2d| conv.forward(latents)?.upsample_nearest2d(height, width);
        self.norm_layer.forward(x)?.mul(&at(&self.conv_y)?)?.add(&at(&self.conv_b)?)
    }
}
