//! What a brush is: its settings, its tip, and what a stroke makes of the mask under it.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::geometry::Point;

/// Diameters a brush can have, in picture pixels.
pub const SIZE_RANGE_PX: RangeInclusive<f32> = 1.0..=2000.0;

/// Whether a stroke adds to the mask or takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrushMode {
    /// `base + (1 - base) stroke`.
    Paint,
    /// `base (1 - stroke)`: what painting does to the inverted mask.
    Erase,
}

impl BrushMode {
    /// The mask under a stroke's coverage, pixel by pixel.
    pub(super) fn blend(self, base: &[u8], coverage: &[u8], mask: &mut [u8]) {
        let pixels = mask.iter_mut().zip(base).zip(coverage);
        match self {
            Self::Paint => pixels
                .for_each(|((out, &base), &cover)| *out = 255 - times(255 - base, 255 - cover)),
            Self::Erase => {
                pixels.for_each(|((out, &base), &cover)| *out = times(base, 255 - cover))
            }
        }
    }
}

/// `a b / 255`, rounded to nearest.
fn times(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

/// What the pressure of a pen acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PressureTarget {
    /// Nothing: every stroke is as strong and as wide as the settings say.
    #[default]
    Nothing,
    /// The diameter.
    Size,
    /// The mask value.
    Opacity,
}

/// Settings of the brush and of the eraser. Values out of range are clamped when a stroke begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brush {
    /// Diameter in picture pixels, [`SIZE_RANGE_PX`].
    pub size_px: f32,
    /// 0 falls off from the centre on, 1 has an edge one pixel wide.
    pub hardness: f32,
    /// Mask value that one stroke reaches, 0 to 1, however often it crosses itself.
    pub opacity: f32,
    /// Distance between dabs as a part of the diameter, up to 4; 0 sweeps the tip without gaps.
    pub spacing: f32,
    /// Length in picture pixels of the string by which the pointer pulls the tip; 0 follows exactly.
    pub smoothing_px: f32,
    /// What a pen's pressure scales.
    pub pressure: PressureTarget,
}

impl Default for Brush {
    fn default() -> Self {
        Self {
            size_px: 64.0,
            hardness: 0.8,
            opacity: 1.0,
            spacing: 0.0,
            smoothing_px: 0.0,
            pressure: PressureTarget::Nothing,
        }
    }
}

impl Brush {
    /// With every setting in its range; what is not a number takes its default.
    pub fn clamped(self) -> Self {
        let usual = Self::default();
        let within = |value: f32, range: RangeInclusive<f32>, usual: f32| {
            if value.is_nan() { usual } else { value.clamp(*range.start(), *range.end()) }
        };
        Self {
            size_px: within(self.size_px, SIZE_RANGE_PX, usual.size_px),
            hardness: within(self.hardness, 0.0..=1.0, usual.hardness),
            opacity: within(self.opacity, 0.0..=1.0, usual.opacity),
            spacing: within(self.spacing, 0.0..=4.0, usual.spacing),
            smoothing_px: within(self.smoothing_px, 0.0..=1000.0, usual.smoothing_px),
            pressure: self.pressure,
        }
    }

    /// The tip at a point, at a pressure from 0 to 1.
    pub(super) fn tip(&self, centre: Point, pressure: f32) -> Tip {
        let factor = |target| if self.pressure == target { pressure } else { 1.0 };
        Tip {
            centre,
            radius: (self.size_px / 2.0 * factor(PressureTarget::Size)).max(MIN_RADIUS),
            value: self.opacity * factor(PressureTarget::Opacity),
        }
    }
}

/// The thinnest line, one pixel wide.
const MIN_RADIUS: f32 = 0.5;

/// A brush at one place of a stroke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tip {
    pub centre: Point,
    /// In picture pixels, at least [`MIN_RADIUS`].
    pub radius: f32,
    /// Mask value at the centre, 0 to 1.
    pub value: f32,
}

impl Tip {
    /// The tip `t` of the way to another.
    pub fn lerp(self, other: Self, t: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * t;
        Self {
            centre: self.centre.lerp(other.centre, t),
            radius: mix(self.radius, other.radius),
            value: mix(self.value, other.value),
        }
    }
}
