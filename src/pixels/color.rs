//! sRGB, linear light and CIE Lab (D65).

use super::{Mask, Picture};

/// Linear light, 0 to 1, of an sRGB byte (IEC 61966-2-1).
pub fn linear_from_srgb(value: u8) -> f32 {
    let _ = value;
    todo!()
}

/// The sRGB byte nearest to a linear light; clamped to 0..=1 before.
pub fn srgb_from_linear(value: f32) -> u8 {
    let _ = value;
    todo!()
}

/// CIE L*a*b* under D65 of an sRGB colour; L 0 to 100.
pub fn lab_from_srgb(rgb: [u8; 3]) -> [f32; 3] {
    let _ = rgb;
    todo!()
}

/// The nearest sRGB colour of a CIE L*a*b* (D65) colour, clamped into the gamut by channel.
pub fn srgb_from_lab(lab: [f32; 3]) -> [u8; 3] {
    let _ = lab;
    todo!()
}

/// Mean and standard deviation of L, a and b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabStatistics {
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
}

impl LabStatistics {
    /// Over the opaque pixels where `mask` is 0 (everywhere without a mask); `None` when there
    /// are none.
    pub fn outside(picture: &Picture, mask: Option<&Mask>) -> Option<Self> {
        let _ = (picture, mask);
        todo!()
    }
}
