//! Means of whole blocks of pixels: Pillow's `Image.reduce`.

use rayon::prelude::*;

use crate::geometry::Extent;

/// `source` of `C` bytes a pixel with each block of `factors` (across, down) pixels as one. Blocks
/// that reach over the right or the bottom edge are means of what there is.
pub(super) fn reduce<const C: usize>(
    source: &[u8],
    from: Extent,
    (across, down): (u32, u32),
) -> (Vec<u8>, Extent) {
    let to = Extent::new(from.width.div_ceil(across), from.height.div_ceil(down));
    let stride = from.width as usize * C;
    let mut out = vec![0; to.area() * C];
    out.par_chunks_exact_mut(to.width as usize * C).enumerate().for_each(|(y, out)| {
        let top = y * down as usize;
        let rows = down.min(from.height - top as u32) as usize;
        for (x, pixel) in out.chunks_exact_mut(C).enumerate() {
            let left = x * across as usize;
            let columns = across.min(from.width - left as u32) as usize;
            let mut sums = [0u32; C];
            for row in source[top * stride..].chunks_exact(stride).take(rows) {
                for p in row[left * C..].chunks_exact(C).take(columns) {
                    (0..C).for_each(|c| sums[c] += u32::from(p[c]));
                }
            }
            let count = (rows * columns) as u32;
            (0..C).for_each(|c| pixel[c] = mean(sums[c], count));
        }
    });
    (out, to)
}

/// `sum / count`, rounded as Pillow rounds: by a multiplication in units of 2^-24.
fn mean(sum: u32, count: u32) -> u8 {
    let reciprocal = (1u64 << 32) / (u64::from(count) << 8);
    let rounded = (u64::from(sum) + u64::from(count / 2)) * reciprocal;
    (rounded >> 24).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_at_the_edge_are_means_of_what_there_is() {
        let source = [0, 10, 20, 30, 40, 50, 60, 70, 81];
        let (reduced, extent) = reduce::<1>(&source, Extent::new(3, 3), (2, 2));
        assert_eq!(extent, Extent::new(2, 2));
        assert_eq!(reduced, [20, 35, 65, 81]);
        let (same, _) = reduce::<1>(&source, Extent::new(3, 3), (1, 1));
        assert_eq!(same, source);
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for count in 1..2000 {
            for value in [0u8, 1, 127, 254, 255] {
                assert_eq!(mean(u32::from(value) * count, count), value);
            }
        }
    }
}
