//! The two passes of a resize, 8 bits between them, as Pillow runs them.

use rayon::prelude::*;

use super::{
    Filter,
    kernel::{Kernel, PRECISION_BITS},
};
use crate::geometry::Extent;

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// `source` of `C` bytes a pixel, resampled.
pub(super) fn resample<const C: usize>(
    source: &[u8],
    from: Extent,
    to: Extent,
    filter: Filter,
) -> Vec<u8> {
    resample_part::<C>(source, from, (from.width as f32, from.height as f32), to, filter)
}

/// The same of the part at the top left that is `part` wide and high. Rows first, unless the
/// height shrinks by more than twice what the width does (Pillow 13 changed this, and the bytes
/// depend on it).
pub(super) fn resample_part<const C: usize>(
    source: &[u8],
    from: Extent,
    part: (f32, f32),
    to: Extent,
    filter: Filter,
) -> Vec<u8> {
    let shrink_y = i64::from(from.height) - i64::from(to.height);
    let shrink_x = i64::from(from.width) - i64::from(to.width);
    let kernel = |from: u32, part: f32, to: u32| {
        let changes = from != to || part != to as f32;
        changes.then(|| Kernel::new(from, (0.0, part), to, filter))
    };
    let across = kernel(from.width, part.0, to.width);
    let down = kernel(from.height, part.1, to.height);
    match (across, down) {
        (None, None) => source.to_vec(),
        (Some(across), None) => horizontal::<C>(source, from.width, &across, to.width),
        (None, Some(down)) => vertical::<C>(source, from.width, &down, to.height),
        (Some(across), Some(down)) if shrink_y > 0 && shrink_y > 2 * shrink_x => {
            let narrow = vertical::<C>(source, from.width, &down, to.height);
            horizontal::<C>(&narrow, from.width, &across, to.width)
        }
        (Some(across), Some(down)) => {
            let narrow = horizontal::<C>(source, from.width, &across, to.width);
            vertical::<C>(&narrow, to.width, &down, to.height)
        }
    }
}

/// Every row of `width` pixels resampled to `to` pixels.
pub(in crate::pixels) fn horizontal<const C: usize>(
    source: &[u8],
    width: u32,
    kernel: &Kernel,
    to: u32,
) -> Vec<u8> {
    let stride = width as usize * C;
    let rows = source.len() / stride;
    let mut out = vec![0; rows * to as usize * C];
    out.par_chunks_exact_mut(to as usize * C).zip(source.par_chunks_exact(stride)).for_each(
        |(out, row)| {
            for (i, pixel) in out.chunks_exact_mut(C).enumerate() {
                let (first, weights) = kernel.at(i);
                let mut sums = [HALF; C];
                for (p, &w) in row[first * C..].chunks_exact(C).zip(weights) {
                    (0..C).for_each(|c| sums[c] += i32::from(p[c]) * w);
                }
                (0..C).for_each(|c| pixel[c] = clip(sums[c]));
            }
        },
    );
    out
}

/// Every column resampled to `to` pixels.
pub(in crate::pixels) fn vertical<const C: usize>(
    source: &[u8],
    width: u32,
    kernel: &Kernel,
    to: u32,
) -> Vec<u8> {
    let stride = width as usize * C;
    let mut out = vec![0; to as usize * stride];
    out.par_chunks_exact_mut(stride).enumerate().for_each_init(
        || vec![HALF; stride],
        |sums, (i, out)| {
            sums.fill(HALF);
            let (first, weights) = kernel.at(i);
            for (row, &w) in source[first * stride..].chunks_exact(stride).zip(weights) {
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += i32::from(v) * w);
            }
            out.iter_mut().zip(sums.iter()).for_each(|(out, &sum)| *out = clip(sum));
        },
    );
    out
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
