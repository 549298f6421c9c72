//! `VaeImageProcessor.apply_overlay`: the original's unmasked part over the generated picture.

use super::{Mask, Picture};
use crate::geometry::Bounds;

/// The original pasted over `generated` by the inverse of `mask`, with the reference's bytes.
/// `crop` is where `generated` belongs when only a region was sampled. The result is opaque.
pub fn apply_overlay(
    mask: &Mask,
    original: &Picture,
    generated: &Picture,
    crop: Option<Bounds>,
) -> Picture {
    let _ = (mask, original, generated, crop);
    todo!()
}
