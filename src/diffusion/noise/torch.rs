//! The normal noise of `torch.randn(.., generator=torch.Generator("cpu").manual_seed(seed))`.
//!
//! torch has two ways: from 16 draws on, Box-Muller in f32 over blocks of 16 uniforms; below, one
//! pair of doubles at a time, whose second half waits in the generator for the next draw.

use std::f64::consts::TAU;

use super::{NoiseSource, mersenne_twister::MersenneTwister};

/// Draws of fewer values than this go the scalar way.
const BLOCK: usize = 16;

pub struct TorchNoise {
    seed: u64,
    generator: MersenneTwister,
    /// The unused half of the last scalar pair.
    cached: Option<f64>,
}

impl TorchNoise {
    /// As `manual_seed` does, only the low 32 bits of the seed are used.
    pub fn new(seed: u64) -> Self {
        Self { seed, generator: MersenneTwister::new(seed), cached: None }
    }

    fn scalar(&mut self) -> f32 {
        if let Some(value) = self.cached.take() {
            return value as f32;
        }
        let angle = TAU * self.generator.next_f64();
        let radius = (-2.0 * (-self.generator.next_f64()).ln_1p()).sqrt();
        self.cached = Some(radius * angle.sin());
        (radius * angle.cos()) as f32
    }

    fn blocks(&mut self, count: usize) -> Vec<f32> {
        let mut data: Vec<f32> = (0..count).map(|_| self.generator.next_f32()).collect();
        let whole = count / BLOCK * BLOCK;
        data[..whole].chunks_exact_mut(BLOCK).for_each(box_muller);
        if whole < count {
            // A ragged end is drawn anew, over the last full block's width.
            let tail = &mut data[count - BLOCK..];
            tail.iter_mut().for_each(|v| *v = self.generator.next_f32());
            box_muller(tail);
        }
        data
    }
}

/// Sixteen uniforms to sixteen normals: the first eight are radii, the last eight angles.
fn box_muller(block: &mut [f32]) {
    for j in 0..BLOCK / 2 {
        let radius = (-2.0 * (1.0 - block[j]).ln()).sqrt();
        let angle = std::f32::consts::TAU * block[j + BLOCK / 2];
        block[j] = radius * angle.cos();
        block[j + BLOCK / 2] = radius * angle.sin();
    }
}

/// `torch.randint(0, 2**63 - 1, [])`, the first draw after `torch.manual_seed(seed)`.
pub fn first_integer(seed: u64) -> u64 {
    let mut generator = MersenneTwister::new(seed);
    let (high, low) = (u64::from(generator.next_u32()), u64::from(generator.next_u32()));
    (high << 32 | low) % (u64::MAX / 2)
}

impl NoiseSource for TorchNoise {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn fill(&mut self, count: usize) -> Vec<f32> {
        if count >= BLOCK {
            self.blocks(count)
        } else {
            (0..count).map(|_| self.scalar()).collect()
        }
    }
}
