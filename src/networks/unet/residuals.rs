//! What a ControlNet adds inside the network.

use candle_core::{Result, Tensor, bail};

/// `down_block_additional_residuals` and `mid_block_additional_residual` of the reference.
#[derive(Clone, Debug)]
pub struct Residuals {
    /// One for each state that the up path will take up, in the order in which the down path makes
    /// them: the first convolution's, then every layer's and downsampler's.
    pub down: Vec<Tensor>,
    /// For the state after the middle.
    pub mid: Tensor,
}

impl Residuals {
    /// # Errors
    /// If there are not as many as skips, or a shape differs.
    pub(super) fn add_to_skips(&self, skips: &mut [Tensor]) -> Result<()> {
        if self.down.len() != skips.len() {
            let (given, right) = (self.down.len(), skips.len());
            bail!("the ControlNet gives {given} states, but the U-Net has {right}");
        }
        for (skip, residual) in skips.iter_mut().zip(&self.down) {
            *skip = added(skip, residual)?;
        }
        Ok(())
    }

    /// # Errors
    /// If the shape differs.
    pub(super) fn add_to_middle(&self, x: &Tensor) -> Result<Tensor> {
        added(x, &self.mid)
    }
}

fn added(x: &Tensor, residual: &Tensor) -> Result<Tensor> {
    if x.dims() != residual.dims() {
        let (given, right) = (residual.dims(), x.dims());
        bail!("the ControlNet gives a state {given:?} where the U-Net has {right:?}");
    }
    x + residual.to_dtype(x.dtype())?
}
