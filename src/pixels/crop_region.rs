//! The part of a picture around its mask that is sampled, as diffusers chooses it.

use super::{Mask, Picture};
use crate::geometry::{Bounds, Extent};

/// `VaeImageProcessor.get_crop_region`: the box of nonzero mask, padded, widened to the aspect
/// ratio of `processing`. `None` for an empty mask (where the reference divides by zero).
pub fn crop_region(mask: &Mask, processing: Extent, padding: u32) -> Option<Bounds> {
    let _ = (mask, processing, padding);
    todo!()
}

/// `resize_mode="fill"`: fitted inside `extent` with its ratio kept, edges stretched outwards.
pub fn resize_and_fill(picture: &Picture, extent: Extent) -> Picture {
    let _ = (picture, extent);
    todo!()
}

/// `resize_mode="fill"` of a mask, which the reference turns to RGB and back on the way.
pub fn resize_mask_and_fill(mask: &Mask, extent: Extent) -> Mask {
    let _ = (mask, extent);
    todo!()
}

/// `resize_mode="crop"`: covering `extent` with its ratio kept, the excess cut off.
pub fn resize_and_crop(picture: &Picture, extent: Extent) -> Picture {
    let _ = (picture, extent);
    todo!()
}
