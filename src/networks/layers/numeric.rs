//! Elementary functions in f32 without branches or calls, so that loops over them are vectorised.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// ln 2 in two parts: the first has few digits, so that its multiples are exact.
const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// Adding this to a small f32 leaves its nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// e^x to about 1e-7 of its value; below -87 it stays at about 1e-38, above 88 at about 1e38.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = (x - n * LN_2.0) - n * LN_2.1;
    // Minimax polynomial of e^r on [-ln 2 / 2, ln 2 / 2] (Cephes, expf).
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = (shifted.to_bits() << 23).wrapping_add(0x3f80_0000);
    (p * r * r + r + 1.0) * f32::from_bits(power)
}

/// x / (1 + e^-x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// x times the normal distribution's cumulative at x, by the error function (not the tanh
/// approximation), to about 2e-7.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    // erfc(z) / t / e^(-z^2) as a polynomial of t (Numerical Recipes in C, section 6.2).
    let p = 0.170_872_77;
    let p = p * t - 0.822_152_23;
    let p = p * t + 1.488_515_9;
    let p = p * t - 1.135_204;
    let p = p * t + 0.278_868_07;
    let p = p * t - 0.186_288_06;
    let p = p * t + 0.096_784_18;
    let p = p * t + 0.374_091_96;
    let p = p * t + 1.000_023_7;
    let p = p * t - 1.265_512_2;
    let tail = 0.5 * t * exp(p - z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Lanes of the running sums: enough for any vector unit.
const LANES: usize = 8;

/// Sum of `f` over a slice: in f32 over short runs, those in f64.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let run = |values: &[f32]| {
        let (chunks, rest) = values.as_chunks::<LANES>();
        let mut lanes = [0f32; LANES];
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += f(value);
            }
        }
        lanes.iter().chain(&[rest.iter().map(|&v| f(v)).sum()]).map(|&v| f64::from(v)).sum::<f64>()
    };
    values.chunks(256).map(run).sum()
}

/// The largest number of a slice; minus infinity if it is empty.
pub fn max(values: &[f32]) -> f32 {
    // Not f32::max, whose care for NaN costs the vectorisation.
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (chunks, rest) = values.as_chunks::<{ 2 * LANES }>();
    let mut lanes = [f32::NEG_INFINITY; 2 * LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| larger(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_a_few_ulp() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let right = f64::from(x).exp();
            assert!((f64::from(exp(x)) / right - 1.0).abs() < 2.5e-7, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 1e-37 && exp(1e30).is_finite() && exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_follows_the_error_function() {
        // From mpmath: x * ncdf(x).
        for (x, right) in [
            (-4.0, -1.266_849_7e-4),
            (-1.5, -1.002_107_4e-1),
            (-0.2, -8.414_806e-2),
            (0.0, 0.0),
            (0.3, 1.853_734_3e-1),
            (1.0, 8.413_447e-1),
            (3.7, 3.699_601_1),
        ] {
            assert!((gelu(x) - right).abs() < 4e-7, "{x}: {}", gelu(x));
        }
    }

    #[test]
    fn the_largest_is_found_anywhere() {
        for length in [1, 16, 40] {
            for place in 0..length {
                let mut values = vec![-7.0; length];
                values[place] = -2.0;
                assert_eq!(max(&values), -2.0);
            }
        }
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn sums_do_not_drift() {
        let values = vec![0.1f32; 1_000_003];
        assert!((sum(&values, |v| v) - 1_000_003.0 * f64::from(0.1f32)).abs() < 0.05);
    }
}
