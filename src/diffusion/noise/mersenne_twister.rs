//! MT19937, as `torch.Generator("cpu")` seeds and reads it.

const N: usize = 624;
const M: usize = 397;
const MATRIX_A: u32 = 0x9908_b0df;
const UPPER: u32 = 0x8000_0000;
const LOWER: u32 = 0x7fff_ffff;

/// Matsumoto and Nishimura's generator (1998). Only the low 32 bits of a seed count.
pub struct MersenneTwister {
    state: [u32; N],
    next: usize,
}

impl MersenneTwister {
    pub fn new(seed: u64) -> Self {
        let mut state = [0; N];
        state[0] = seed as u32;
        for j in 1..N {
            let before = state[j - 1];
            state[j] =
                1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(j as u32);
        }
        Self { state, next: N }
    }

    fn twist(&mut self) {
        for j in 0..N {
            let y = (self.state[j] & UPPER) | (self.state[(j + 1) % N] & LOWER);
            let odd = if y & 1 == 1 { MATRIX_A } else { 0 };
            self.state[j] = self.state[(j + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    pub fn next_u32(&mut self) -> u32 {
        if self.next >= N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform in [0, 1), 24 random bits.
    pub fn next_f32(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in [0, 1), 53 random bits; the first of two draws is the high word.
    pub fn next_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let low = u64::from(self.next_u32());
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
