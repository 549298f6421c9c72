//! The layers that bring a control picture to the size and width of the first state.

use candle_core::{Module, Result, Tensor};

use super::ControlNetConfig;
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{Activation, Conv2d},
};

/// `ControlNetConditioningEmbedding`: convolutions with SiLU between, every second one halving.
#[derive(Clone, Debug)]
pub struct PictureEmbedding {
    layers: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl PictureEmbedding {
    /// `outputs` is the width of the network's first state.
    pub fn load(
        weights: &Weights<'_>,
        config: &ControlNetConfig,
        outputs: usize,
    ) -> LoadResult<Self> {
        let channels = &config.embedding_channels;
        let first = channels[0];
        let mut layers =
            vec![Conv2d::load(&weights.pp("conv_in"), config.conditioning_channels, first, 3)?];
        for (i, pair) in channels.windows(2).enumerate() {
            let block = |n| weights.pp(format!("blocks.{n}"));
            layers.push(Conv2d::load(&block(2 * i), pair[0], pair[0], 3)?);
            layers.push(Conv2d::load_strided(&block(2 * i + 1), pair[0], pair[1], 3, 2, 1)?);
        }
        let last = channels[channels.len() - 1];
        Ok(Self { layers, conv_out: Conv2d::load(&weights.pp("conv_out"), last, outputs, 3)? })
    }
}

impl Module for PictureEmbedding {
    fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = picture.clone();
        for layer in &self.layers {
            x = Activation::Silu.forward(&layer.forward(&x)?)?;
        }
        self.conv_out.forward(&x)
    }
}
