//! Where noise comes from. A seed means a picture only if the generator is the one that others
//! use, bit for bit: candle's own randomness is never drawn from.

mod brownian;
mod mersenne_twister;
mod philox;
mod seed_sequence;
mod torch;

use candle_core::{DType, Device, Shape, Tensor};

pub use brownian::BrownianTree;
pub use philox::PhiloxNoise;
pub use torch::{TorchNoise, first_integer};

/// A seeded stream of standard normal noise.
pub trait NoiseSource {
    /// What it was seeded with.
    fn seed(&self) -> u64;

    /// The next `count` draws of the stream, in f32.
    fn fill(&mut self, count: usize) -> Vec<f32>;

    /// Noise of `shape`: drawn on the processor in f32, then cast and moved, so that a seed gives
    /// the same noise on every device.
    fn randn(
        &mut self,
        shape: Shape,
        device: &Device,
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        let values = self.fill(shape.elem_count());
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
    }
}

#[cfg(test)]
mod tests;
