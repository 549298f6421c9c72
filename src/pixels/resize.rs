//! Resizing with the bytes that Pillow's `Image.resize` gives.

use super::{Mask, Picture};
use crate::geometry::Extent;

/// How a resized pixel is made from its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Nearest,
    Box,
    Bilinear,
    Bicubic,
    Lanczos,
}

/// `picture` resized to `extent`, as Pillow does for RGBA (premultiplied on the way).
pub fn resize_picture(picture: &Picture, extent: Extent, filter: Filter) -> Picture {
    let _ = (picture, extent, filter);
    todo!()
}

/// `mask` resized to `extent`, as Pillow does for L.
pub fn resize_mask(mask: &Mask, extent: Extent, filter: Filter) -> Mask {
    let _ = (mask, extent, filter);
    todo!()
}
