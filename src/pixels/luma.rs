//! Grey from colour.

use super::{Mask, Picture};

/// ITU-R 601-2 luma of an sRGB colour with Pillow's integer rounding.
pub const fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((r as u32 * 19595 + g as u32 * 38470 + b as u32 * 7471 + 0x8000) >> 16) as u8
}

/// `convert("L")`: the luma of every pixel; alpha is ignored.
pub fn mask_from_luma(picture: &Picture) -> Mask {
    let data = picture.bytes().chunks_exact(4).map(|p| luma(p[0], p[1], p[2])).collect();
    Mask { extent: picture.extent(), data }
}
