//! sRGB, linear light and CIE Lab (D65, 2 degrees).

use std::sync::LazyLock;

use super::{Mask, Picture};

/// CIE's limits between the linear and the cubic part of Lab.
const EPSILON: f32 = 216.0 / 24389.0;
const KAPPA: f32 = 24389.0 / 27.0;
/// XYZ of the D65 white.
const WHITE: [f32; 3] = [0.95047, 1.0, 1.08883];

static LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|i| linearise(i as f32 / 255.0)));

/// Linear light, 0 to 1, of an sRGB byte (IEC 61966-2-1).
pub fn linear_from_srgb(value: u8) -> f32 {
    LINEAR[value as usize]
}

/// The sRGB byte nearest to a linear light, which is clamped to 0..=1 first.
pub fn srgb_from_linear(value: f32) -> u8 {
    let v = value.clamp(0.0, 1.0);
    let encoded = if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0 + 0.5) as u8
}

fn linearise(v: f32) -> f32 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// CIE L*a*b* under D65 of an sRGB colour; L is 0 to 100, a and b about -110 to 110.
pub fn lab_from_srgb(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(linear_from_srgb);
    let x = 0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b;
    let y = 0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b;
    let z = 0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b;
    let f = |t: f32| if t > EPSILON { t.cbrt() } else { (KAPPA * t + 16.0) / 116.0 };
    let (fx, fy, fz) = (f(x / WHITE[0]), f(y / WHITE[1]), f(z / WHITE[2]));
    [116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)]
}

/// The nearest sRGB colour of a CIE L*a*b* (D65) colour; each channel is clamped into the gamut.
pub fn srgb_from_lab([l, a, b]: [f32; 3]) -> [u8; 3] {
    let fy = (l + 16.0) / 116.0;
    let inverse = |f: f32| {
        let cube = f * f * f;
        if cube > EPSILON { cube } else { (116.0 * f - 16.0) / KAPPA }
    };
    let x = inverse(fy + a / 500.0) * WHITE[0];
    let y = inverse(fy) * WHITE[1];
    let z = inverse(fy - b / 200.0) * WHITE[2];
    [
        3.240_454_2 * x - 1.537_138_5 * y - 0.498_531_4 * z,
        -0.969_266 * x + 1.876_010_8 * y + 0.041_556 * z,
        0.055_643_4 * x - 0.204_025_9 * y + 1.057_225_2 * z,
    ]
    .map(srgb_from_linear)
}

/// Mean and standard deviation of L, a and b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabStatistics {
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
}

impl LabStatistics {
    /// Over the opaque pixels where `mask` is 0 (everywhere without a mask); `None` when there
    /// are none. `mask` has the picture's extent.
    pub fn outside(picture: &Picture, mask: Option<&Mask>) -> Option<Self> {
        let (mut sum, mut squares, mut count) = ([0_f64; 3], [0_f64; 3], 0_u64);
        for (i, p) in picture.bytes().chunks_exact(4).enumerate() {
            if p[3] < 255 || mask.is_some_and(|m| m.bytes()[i] != 0) {
                continue;
            }
            for (c, v) in lab_from_srgb([p[0], p[1], p[2]]).into_iter().enumerate() {
                sum[c] += f64::from(v);
                squares[c] += f64::from(v) * f64::from(v);
            }
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let mean = sum.map(|s| s / count as f64);
        let deviation = std::array::from_fn(|c| {
            (squares[c] / count as f64 - mean[c] * mean[c]).max(0.0).sqrt() as f32
        });
        Some(Self { mean: mean.map(|m| m as f32), deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    #[test]
    fn every_byte_survives_linear_light() {
        for value in 0..=255 {
            assert_eq!(srgb_from_linear(linear_from_srgb(value)), value);
        }
        assert!((linear_from_srgb(188) - 0.5029).abs() < 1e-4);
    }

    #[test]
    fn lab_of_known_colours() {
        // Bruce Lindbloom's calculator, D65.
        for (rgb, lab) in [
            ([255, 255, 255], [100.0, 0.0, 0.0]),
            ([0, 0, 0], [0.0, 0.0, 0.0]),
            ([255, 0, 0], [53.241, 80.092, 67.203]),
            ([0, 255, 0], [87.735, -86.183, 83.179]),
            ([0, 0, 255], [32.297, 79.188, -107.860]),
        ] {
            let got = lab_from_srgb(rgb);
            assert!(got.iter().zip(lab).all(|(g, l): (&f32, f32)| (g - l).abs() < 0.02), "{got:?}");
        }
    }

    #[test]
    fn lab_and_back_is_the_same_colour() {
        for i in 0..4096_u32 {
            let rgb = [(i * 37) as u8, (i * 101 / 7) as u8, (i / 16) as u8];
            assert_eq!(srgb_from_lab(lab_from_srgb(rgb)), rgb);
        }
    }

    #[test]
    fn statistics_leave_out_the_mask_and_the_transparent() {
        let bytes = [[10, 10, 10, 255], [200, 200, 200, 255], [90, 0, 0, 0], [0, 90, 0, 255]];
        let picture = Picture::from_raw(Extent::new(4, 1), bytes.concat()).unwrap();
        let mask = Mask::from_raw(Extent::new(4, 1), vec![0, 0, 0, 1]).unwrap();
        let found = LabStatistics::outside(&picture, Some(&mask)).unwrap();
        let (low, high) = (lab_from_srgb([10; 3])[0], lab_from_srgb([200; 3])[0]);
        assert!((found.mean[0] - (low + high) / 2.0).abs() < 1e-3);
        assert!((found.deviation[0] - (high - low) / 2.0).abs() < 1e-3);
        let everything = Mask::from_raw(Extent::new(4, 1), vec![9; 4]).unwrap();
        assert_eq!(LabStatistics::outside(&picture, Some(&everything)), None);
    }
}
