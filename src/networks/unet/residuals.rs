//! What a ControlNet adds inside the network.

use candle_core::{Result, Tensor, bail};

/// `down_block_additional_residuals` and `mid_block_additional_residual` of the reference.
#[derive(Clone, Debug)]
pub struct Residuals {
    /// One for each state that the up path will take up, in the order in which the down path makes
    /// them: the first convolution's, then every layer's and downsampler's. Of the state's shape,
    /// or [B, C, 1, 1] for the same everywhere in the picture.
    pub down: Vec<Tensor>,
    /// For the state after the middle.
    pub mid: Tensor,
}

impl Residuals {
    /// What two ControlNets add together.
    ///
    /// # Errors
    /// If they are not of one kind.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        let sum = |(a, b): (&Tensor, &Tensor)| match a.elem_count() < b.elem_count() {
            true => b.broadcast_add(a),
            false => a.broadcast_add(b),
        };
        if self.down.len() != other.down.len() {
            bail!("the ControlNets give {} and {} states", self.down.len(), other.down.len());
        }
        Ok(Self {
            down: self.down.iter().zip(&other.down).map(sum).collect::<Result<_>>()?,
            mid: sum((&self.mid, &other.mid))?,
        })
    }

    /// For a batch twice as large, whose first half stays as it is.
    pub fn after_zeros(&self) -> Result<Self> {
        let behind = |tensor: &Tensor| Tensor::cat(&[&tensor.zeros_like()?, tensor], 0);
        Ok(Self {
            down: self.down.iter().map(behind).collect::<Result<_>>()?,
            mid: behind(&self.mid)?,
        })
    }

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
    let (given, right) = (residual.dims(), x.dims());
    let fits = given == right || given[..] == [right[0], right[1], 1, 1];
    if !fits {
        bail!("the ControlNet gives a state {given:?} where the U-Net has {right:?}");
    }
    x.broadcast_add(&residual.to_dtype(x.dtype())?)
}
