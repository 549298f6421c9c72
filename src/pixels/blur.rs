//! Pillow's Gaussian blur: three extended box blurs, 8 bits, edges extended.

use super::{Mask, Picture};

/// `ImageFilter.GaussianBlur(radius)` of a grey picture; `radius` in pixels, 0 or less copies.
pub fn gaussian_blur_mask(mask: &Mask, radius: f32) -> Mask {
    let _ = (mask, radius);
    todo!()
}

/// `ImageFilter.GaussianBlur(radius)` of every channel.
pub fn gaussian_blur_picture(picture: &Picture, radius: f32) -> Picture {
    let _ = (picture, radius);
    todo!()
}
