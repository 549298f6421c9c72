//! Pillow's Gaussian blur: three extended box blurs a direction, 8 bits between them, edges
//! extended. Integers only and linear in the number of pixels whatever the radius, so that a
//! live preview can use it too.
//!
//! The box that stands for a Gaussian: Gwosdek, Grewenig, Bruhn, Weickert, "Theoretical
//! foundations of Gaussian convolution by extended box filtering" (2011).

use rayon::prelude::*;

use super::{Mask, Picture};
use crate::geometry::Extent;

/// Box blurs that stand for a Gaussian.
const PASSES: i16 = 3;

/// `ImageFilter.GaussianBlur(radius)` of a grey picture. `radius` is the Gaussian's standard
/// deviation in pixels; 0 or less, or not a number, copies.
pub fn gaussian_blur_mask(mask: &Mask, radius: f32) -> Mask {
    let data = gaussian_blur::<1>(mask.bytes(), mask.extent(), radius);
    Mask { extent: mask.extent(), data }
}

/// `ImageFilter.GaussianBlur(radius)` of each of the four channels, alpha apart from colour.
pub fn gaussian_blur_picture(picture: &Picture, radius: f32) -> Picture {
    let data = gaussian_blur::<4>(picture.bytes(), picture.extent(), radius);
    Picture { extent: picture.extent(), data }
}

/// `ImageFilter.BoxBlur(radius)` of a grey picture: the mean over a square that reaches `radius`
/// pixels to every side. A sharp edge becomes a straight ramp. 0 or less, or not a number, copies.
pub fn box_blur_mask(mask: &Mask, radius: f32) -> Mask {
    let data = if radius > 0.0 && !mask.extent().is_empty() {
        blur::<1>(mask.bytes(), mask.extent(), &BoxKernel::new(radius), 1)
    } else {
        mask.bytes().to_vec()
    };
    Mask { extent: mask.extent(), data }
}

fn gaussian_blur<const C: usize>(source: &[u8], extent: Extent, radius: f32) -> Vec<u8> {
    if radius.is_nan() || radius <= 0.0 || extent.is_empty() {
        return source.to_vec();
    }
    blur::<C>(source, extent, &BoxKernel::for_gaussian(radius), PASSES)
}

fn blur<const C: usize>(source: &[u8], extent: Extent, kernel: &BoxKernel, passes: i16) -> Vec<u8> {
    let turned = Extent::new(extent.height, extent.width);
    let rows_done = blur_rows_and_turn::<C>(source, extent, kernel, passes);
    blur_rows_and_turn::<C>(&rows_done, turned, kernel, passes)
}

/// A box whose two end pixels count in part, in units of 2^-24.
struct BoxKernel {
    /// Whole pixels on each side of the centre.
    radius: usize,
    /// Weight of a whole pixel.
    whole: u32,
    /// Weight of each end pixel.
    end: u32,
}

impl BoxKernel {
    /// The box that, applied [`PASSES`] times, has the variance of a Gaussian. In f32, as Pillow.
    fn for_gaussian(radius: f32) -> Self {
        let variance = radius * radius / f32::from(PASSES);
        // Box length, its whole part, and the fraction that remains: (7), (11) and (14).
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let mut fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
        fraction /= 6.0 * (variance - (whole + 1.0) * (whole + 1.0));
        Self::new(whole + fraction)
    }

    fn new(radius: f32) -> Self {
        let whole = ((1 << 24) as f32 / (radius * 2.0 + 1.0)) as u32;
        let covered = (radius as u32 * 2 + 1).wrapping_mul(whole);
        Self { radius: radius as usize, whole, end: (1_u32 << 24).wrapping_sub(covered) / 2 }
    }
}

/// Each row blurred so many times, then the whole transposed.
fn blur_rows_and_turn<const C: usize>(
    source: &[u8],
    extent: Extent,
    kernel: &BoxKernel,
    passes: i16,
) -> Vec<u8> {
    let stride = extent.width as usize * C;
    let mut blurred = source.to_vec();
    blurred.par_chunks_exact_mut(stride).for_each_init(
        || vec![0; stride],
        |spare, row| {
            for _ in 0..passes {
                spare.copy_from_slice(row);
                blur_row::<C>(spare, row, kernel);
            }
        },
    );
    transpose::<C>(&blurred, extent)
}

/// One box blur of one row; pixels beyond its ends repeat the end pixel.
fn blur_row<const C: usize>(source: &[u8], out: &mut [u8], kernel: &BoxKernel) {
    let last = out.len() / C - 1;
    let r = kernel.radius;
    let at = |x: usize, c: usize| u32::from(source[x.min(last) * C + c]);
    for c in 0..C {
        // The sum over the window around pixel -1.
        let mut sum = at(0, c) * (r as u32 + 1);
        sum += (0..r.min(last)).map(|x| at(x, c)).sum::<u32>();
        sum += at(last, c) * r.saturating_sub(last) as u32;
        for x in 0..=last {
            let before = at(x.saturating_sub(r + 1), c);
            sum = sum + at(x + r, c) - before;
            let ends = before + at(x + r + 1, c);
            let value = sum.wrapping_mul(kernel.whole).wrapping_add(ends.wrapping_mul(kernel.end));
            out[x * C + c] = (value.wrapping_add(1 << 23) >> 24) as u8;
        }
    }
}

fn transpose<const C: usize>(source: &[u8], extent: Extent) -> Vec<u8> {
    let (width, height) = (extent.width as usize, extent.height as usize);
    let mut out = vec![0; source.len()];
    out.par_chunks_exact_mut(height * C).enumerate().for_each(|(x, column)| {
        for (y, pixel) in column.chunks_exact_mut(C).enumerate() {
            let at = (y * width + x) * C;
            pixel.copy_from_slice(&source[at..at + C]);
        }
    });
    out
}
