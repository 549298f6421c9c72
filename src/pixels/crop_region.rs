//! The part of a picture around its mask that is sampled, as diffusers chooses it.

use super::Mask;
use crate::geometry::{Bounds, Extent};

/// `VaeImageProcessor.get_crop_region`: the box of nonzero mask, padded, then widened to the
/// aspect ratio of `processing` and pushed back inside the picture, with the reference's
/// truncations. `None` for an empty mask, where the reference fails.
pub fn crop_region(mask: &Mask, processing: Extent, padding: u32) -> Option<Bounds> {
    let picture = mask.extent();
    let padded = mask.bounding_box()?.grow(padding).intersect(picture.bounds());
    let (mut x, mut y) = ((padded.x, padded.right()), (padded.y, padded.bottom()));
    let ratio = f64::from(processing.width) / f64::from(processing.height);
    if f64::from(padded.width) / f64::from(padded.height) > ratio {
        y = widen(y, f64::from(padded.width) / ratio, picture.height);
    } else {
        x = widen(x, f64::from(padded.height) * ratio, picture.width);
    }
    Some(Bounds::from_corners(x.0, y.0, x.1, y.1))
}

/// `(from, to)` made `desired` long around its middle, moved inside `0..limit`, and cut there if
/// it is longer than that.
fn widen((mut from, mut to): (i32, i32), desired: f64, limit: u32) -> (i32, i32) {
    let limit = limit as i32;
    let extra = (desired - f64::from(to - from)) as i32;
    // Floor division, which differs from truncation when rounding made `extra` negative.
    from -= extra.div_euclid(2);
    to += extra - extra.div_euclid(2);
    if to >= limit {
        from -= to - limit;
        to = limit;
    }
    if from < 0 {
        to -= from;
        from = 0;
    }
    (from, to.min(limit))
}
