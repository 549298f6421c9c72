//! `VaeImageProcessor.apply_overlay`: the original's unmasked part over the generated picture.

use super::{
    Mask, Picture,
    fit::{opaque_black, paste, resize_and_crop},
    resize::{multiply, unpremultiply},
};
use crate::geometry::Bounds;

/// The original pasted over `generated` by the inverse of `mask`, with the reference's bytes:
/// premultiplied and back in 8 bits, so even unmasked pixels may move by a level where the mask
/// is partial. `crop` is where `generated` belongs when only a region was sampled. The result is
/// opaque; `mask` and `original` share one extent, and `generated` has it too without a crop.
pub fn apply_overlay(
    mask: &Mask,
    original: &Picture,
    generated: &Picture,
    crop: Option<Bounds>,
) -> Picture {
    let mut base = opaque_black(original.extent());
    match crop {
        Some(bounds) => paste(&mut base, &resize_and_crop(generated, bounds.extent()), bounds),
        None => paste(&mut base, generated, generated.extent().bounds()),
    }
    let overlay = kept_part(original, mask);
    for (below, above) in base.data.chunks_exact_mut(4).zip(overlay.chunks_exact(4)) {
        composite_over_opaque(below, above);
    }
    base
}

/// The original with alpha times (255 - mask): premultiplied, pasted onto nothing, taken apart.
fn kept_part(original: &Picture, mask: &Mask) -> Vec<u8> {
    let mut out = original.bytes().to_vec();
    for (p, &m) in out.chunks_exact_mut(4).zip(mask.bytes()) {
        let (alpha, keep) = (p[3], 255 - m);
        p[..3].iter_mut().for_each(|c| *c = multiply(*c, alpha));
        p.iter_mut().for_each(|c| *c = multiply(*c, keep));
    }
    unpremultiply(&mut out);
    out
}

/// Pillow's `alpha_composite` onto an opaque pixel, with its 7 extra bits.
fn composite_over_opaque(below: &mut [u8], above: &[u8]) {
    const BITS: u32 = 7;
    let alpha = u32::from(above[3]);
    if alpha == 0 {
        return;
    }
    let weight = alpha * (255 << BITS) / 255;
    let rest = (255 << BITS) - weight;
    for (b, &a) in below[..3].iter_mut().zip(above) {
        let sum = u32::from(a) * weight + u32::from(*b) * rest + (0x80 << BITS);
        *b = ((((sum >> 8) + sum) >> 8) >> BITS) as u8;
    }
}
