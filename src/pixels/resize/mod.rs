//! Resizing with the bytes that Pillow's `Image.resize` gives (checked against Pillow 13).

mod kernel;
mod passes;
mod reduce;

use super::{Mask, Picture};
use crate::geometry::Extent;

pub(super) use kernel::Kernel;
pub(super) use passes::{horizontal, vertical};

/// How a resized pixel is made from its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The pixel under the new pixel's centre.
    Nearest,
    /// The mean of the pixels covered.
    Box,
    /// Linear between two pixels; a triangle over the pixels covered when it shrinks.
    Bilinear,
    /// Cubic convolution with a = -0.5.
    Bicubic,
    /// Truncated sinc of three lobes: diffusers' default.
    Lanczos,
}

/// `picture` resized to `extent`, as Pillow does for RGBA: alpha is multiplied in on the way, so
/// colours under transparency do not leak. Opaque pictures give the bytes of an RGB resize.
pub fn resize_picture(picture: &Picture, extent: Extent, filter: Filter) -> Picture {
    if picture.extent() == extent {
        return picture.clone();
    }
    if picture.extent().is_empty() || extent.is_empty() {
        return Picture::new(extent);
    }
    if filter == Filter::Nearest {
        return Picture { extent, data: nearest::<4>(picture.bytes(), picture.extent(), extent) };
    }
    let premultiplied = premultiply(picture.bytes());
    let mut data = passes::resample::<4>(&premultiplied, picture.extent(), extent, filter);
    unpremultiply(&mut data);
    Picture { extent, data }
}

/// An opaque `picture` resized to `extent` as Pillow does with `reducing_gap=1`: where it shrinks
/// to half or less, blocks of whole pixels are averaged first, and the filter does the rest.
pub fn resize_picture_by_blocks(picture: &Picture, extent: Extent, filter: Filter) -> Picture {
    let from = picture.extent();
    let blocks = |from: u32, to: u32| (from.checked_div(to).unwrap_or(1)).max(1);
    let factors = (blocks(from.width, extent.width), blocks(from.height, extent.height));
    if factors == (1, 1) || from.is_empty() || extent.is_empty() {
        return resize_picture(picture, extent, filter);
    }
    let (data, reduced) = reduce::reduce::<4>(picture.bytes(), from, factors);
    let part = |from: u32, factor: u32| (f64::from(from) / f64::from(factor)) as f32;
    let part = (part(from.width, factors.0), part(from.height, factors.1));
    let data = passes::resample_part::<4>(&data, reduced, part, extent, filter);
    Picture { extent, data }
}

/// `mask` resized to `extent`, as Pillow does for L.
pub fn resize_mask(mask: &Mask, extent: Extent, filter: Filter) -> Mask {
    if mask.extent() == extent {
        return mask.clone();
    }
    if mask.extent().is_empty() || extent.is_empty() {
        return Mask::new(extent);
    }
    let data = match filter {
        Filter::Nearest => nearest::<1>(mask.bytes(), mask.extent(), extent),
        _ => passes::resample::<1>(mask.bytes(), mask.extent(), extent, filter),
    };
    Mask { extent, data }
}

/// `torch.nn.functional.interpolate` in its default mode: the pixel at `floor(i * in / out)`,
/// which is how the reference takes a mask to latent size.
pub fn subsample_mask(mask: &Mask, extent: Extent) -> Mask {
    Mask { extent, data: subsample::<1>(mask.bytes(), mask.extent(), extent) }
}

/// The same for a picture.
pub fn subsample_picture(picture: &Picture, extent: Extent) -> Picture {
    Picture { extent, data: subsample::<4>(picture.bytes(), picture.extent(), extent) }
}

fn subsample<const CHANNELS: usize>(bytes: &[u8], from: Extent, to: Extent) -> Vec<u8> {
    let pick = |i: u32, from: u32, to: u32| {
        ((i as f32 * (from as f32 / to as f32)) as u32).min(from.saturating_sub(1)) as usize
    };
    if from.is_empty() {
        return vec![0; to.area() * CHANNELS];
    }
    let columns: Vec<_> = (0..to.width).map(|x| pick(x, from.width, to.width)).collect();
    let mut out = Vec::with_capacity(to.area() * CHANNELS);
    for y in 0..to.height {
        let row = pick(y, from.height, to.height) * from.width as usize;
        for column in &columns {
            let at = (row + column) * CHANNELS;
            out.extend_from_slice(&bytes[at..at + CHANNELS]);
        }
    }
    out
}

/// `a * b / 255`, rounded, as Pillow computes it.
pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    divide_by_255(a as u32 * b as u32)
}

/// `value / 255`, rounded; exact for products of two bytes.
pub(super) const fn divide_by_255(value: u32) -> u8 {
    let t = value + 128;
    (((t >> 8) + t) >> 8) as u8
}

/// Straight to premultiplied alpha (Pillow's RGBA to RGBa).
pub(super) fn premultiply(rgba: &[u8]) -> Vec<u8> {
    let mut out = rgba.to_vec();
    for p in out.chunks_exact_mut(4) {
        let alpha = p[3];
        p[..3].iter_mut().for_each(|c| *c = multiply(*c, alpha));
    }
    out
}

/// Premultiplied to straight alpha (Pillow's RGBa to RGBA), which truncates.
pub(super) fn unpremultiply(rgba: &mut [u8]) {
    for p in rgba.chunks_exact_mut(4) {
        let alpha = u32::from(p[3]);
        if alpha != 0 && alpha != 255 {
            p[..3].iter_mut().for_each(|c| *c = (255 * u32::from(*c) / alpha).min(255) as u8);
        }
    }
}

/// Pillow's nearest neighbour: positions are summed step by step, and truncated.
fn nearest<const C: usize>(source: &[u8], from: Extent, to: Extent) -> Vec<u8> {
    let columns = nearest_positions(from.width, to.width);
    let stride = from.width as usize * C;
    let mut out = Vec::with_capacity(to.area() * C);
    for y in nearest_positions(from.height, to.height) {
        let row = &source[y * stride..(y + 1) * stride];
        columns.iter().for_each(|&x| out.extend_from_slice(&row[x * C..(x + 1) * C]));
    }
    out
}

fn nearest_positions(from: u32, to: u32) -> Vec<usize> {
    let step = f64::from(from) / f64::from(to);
    let mut at = step * 0.5;
    let mut next = || {
        let position = (at as usize).min(from as usize - 1);
        at += step;
        position
    };
    (0..to).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latent_size_takes_the_first_pixel_of_each_block() {
        let mut mask = Mask::new(Extent::new(16, 8));
        mask.row_mut(0)[8] = 255;
        mask.row_mut(7)[0] = 255;
        assert_eq!(subsample_mask(&mask, Extent::new(2, 1)).bytes(), [0, 255]);
        let odd = Mask::from_raw(Extent::new(5, 1), vec![0, 1, 2, 3, 4]).unwrap();
        assert_eq!(subsample_mask(&odd, Extent::new(3, 1)).bytes(), [0, 1, 3]);
    }

    #[test]
    fn empty_extents_are_no_trouble() {
        let picture = Picture::new(Extent::new(3, 3));
        let nothing = Extent::new(0, 4);
        assert_eq!(resize_picture(&picture, nothing, Filter::Lanczos).extent(), nothing);
        let empty = Mask::new(nothing);
        assert_eq!(resize_mask(&empty, Extent::new(2, 2), Filter::Box).bytes(), [0; 4]);
    }
}
