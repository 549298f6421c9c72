//! The noise of graphics cards, computed anywhere: Philox4x32-10 (Salmon et al. 2011, "Parallel
//! random numbers: as easy as 1, 2, 3"), laid out as AUTOMATIC1111's web UI does by default.

use std::f64::consts::TAU;

use super::NoiseSource;

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

pub struct PhiloxNoise {
    key: [u32; 2],
    /// How many times noise was drawn; part of the counter, so that each call differs.
    calls: u32,
}

impl PhiloxNoise {
    /// All 64 bits of the seed count.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], calls: 0 }
    }
}

/// Four random words for one counter.
fn philox4x32([mut c0, mut c1, mut c2, mut c3]: [u32; 4], [mut k0, mut k1]: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(c0) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(c2) * u64::from(MULTIPLIERS[1]);
        (c0, c1, c2, c3) =
            ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

/// Box-Muller on the first two words, keeping the sine half.
fn normal(words: [u32; 4]) -> f32 {
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
    ((-2.0 * unit(words[0]).ln()).sqrt() * (TAU * unit(words[1])).sin()) as f32
}

impl NoiseSource for PhiloxNoise {
    fn seed(&self) -> u64 {
        u64::from(self.key[1]) << 32 | u64::from(self.key[0])
    }

    fn fill(&mut self, count: usize) -> Vec<f32> {
        let call = self.calls;
        self.calls = self.calls.wrapping_add(1);
        (0..count).map(|i| normal(philox4x32([call, 0, i as u32, 0], self.key))).collect()
    }
}
