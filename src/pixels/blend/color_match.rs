//! The colours of a generated piece brought to those of the picture around it. Models shift a whole
//! piece a little; what both have outside the mask says by how much (E. Reinhard and others, "Color
//! Transfer between Images", 2001, in CIE Lab).

use rayon::prelude::*;

use super::Masks;
use crate::pixels::{
    Picture,
    color::{LabStatistics, lab_from_srgb, srgb_from_lab},
};

/// A deviation below this, in units of Lab, is that of a flat picture: it says nothing of contrast.
const FLAT: f32 = 2.0;
/// Contrast is not changed by more than this factor: beyond it the two show different things.
const CONTRAST: std::ops::RangeInclusive<f32> = 0.67..=1.5;
/// Nor are the means moved further than this.
const FARTHEST: f32 = 25.0;
/// Smaller differences than this are not seen, and not worth the rounding.
const UNSEEN: f32 = 0.05;

/// Moves mean and deviation of L, a and b of `raw`, inside the composite mask, as those outside the
/// denoise mask would have to move to be those of `original`. Without a pixel outside nothing
/// changes.
pub fn apply(original: &Picture, raw: &mut Picture, masks: &Masks) {
    let outside = |picture| LabStatistics::outside(picture, Some(&masks.denoise));
    let (Some(wanted), Some(found)) = (outside(original), outside(raw)) else { return };
    let moves: [Move; 3] = std::array::from_fn(|c| Move::between(&found, &wanted, c));
    if moves.iter().all(Move::is_unseen) {
        return;
    }
    let pixels = raw.bytes_mut().par_chunks_exact_mut(4).zip(masks.composite.bytes());
    pixels.filter(|(_, mask)| **mask > 0).for_each(|(pixel, _)| {
        let lab = lab_from_srgb([pixel[0], pixel[1], pixel[2]]);
        let moved = std::array::from_fn(|c| moves[c].apply(lab[c]));
        pixel[..3].copy_from_slice(&srgb_from_lab(moved));
    });
}

/// What happens to one channel.
struct Move {
    centre: f32,
    scale: f32,
    shift: f32,
}

impl Move {
    fn between(found: &LabStatistics, wanted: &LabStatistics, c: usize) -> Self {
        let flat = found.deviation[c].min(wanted.deviation[c]) < FLAT;
        let scale = if flat { 1.0 } else { wanted.deviation[c] / found.deviation[c] };
        let shift = (wanted.mean[c] - found.mean[c]).clamp(-FARTHEST, FARTHEST);
        Self {
            centre: found.mean[c],
            scale: scale.clamp(*CONTRAST.start(), *CONTRAST.end()),
            shift,
        }
    }

    fn is_unseen(&self) -> bool {
        self.shift.abs() < UNSEEN && (self.scale - 1.0).abs() < 0.002
    }

    fn apply(&self, value: f32) -> f32 {
        (value - self.centre) * self.scale + self.centre + self.shift
    }
}
