//! The median within a disc: rounds corners, drops specks and closes pinholes, and leaves soft
//! edges as soft as they are.
//!
//! Where all of the disc has one value there is nothing to count; that is found first, and only the
//! rest slides a histogram along each row (Huang, Yang, Tang 1979).

use rayon::prelude::*;

use super::disc::largest_within;
use crate::{
    geometry::{Bounds, Extent},
    pixels::Mask,
};

/// Each pixel gets the median of what lies within `radius` pixels, from centre to centre. Beyond
/// the buffer its outermost pixels go on.
pub fn smooth(mask: &Mask, radius: f32) -> Mask {
    let extent = mask.extent();
    if radius < 1.0 || radius.is_nan() || extent.is_empty() {
        return mask.clone();
    }
    let disc = Disc::new(radius);
    let padded = extended(mask, disc.reach as u32);
    let [largest] = largest_within(&padded, [radius]);
    let [smallest] = largest_within(&inverted(&padded), [radius]);
    let inner = Bounds::new(disc.reach, disc.reach, extent.width, extent.height);
    let mut out = largest.crop(inner);
    let smallest = smallest.crop(inner);
    out.bytes_mut().par_chunks_mut(extent.width as usize).enumerate().for_each(|(y, row)| {
        let mixed = |x: usize, high: u8| high != 255 - smallest.row(y as u32)[x];
        disc.median_row(&padded, y, row, mixed);
    });
    out
}

fn inverted(mask: &Mask) -> Mask {
    let bytes = mask.bytes().iter().map(|value| 255 - value).collect();
    Mask::from_raw(mask.extent(), bytes).unwrap_or_default()
}

/// With its outermost pixels repeated `by` times on every side.
fn extended(mask: &Mask, by: u32) -> Mask {
    let Extent { width, height } = mask.extent();
    let mut out = Mask::new(Extent::new(width + 2 * by, height + 2 * by));
    for y in 0..height + 2 * by {
        let source = mask.row(y.saturating_sub(by).min(height - 1));
        let (left, rest) = out.row_mut(y).split_at_mut(by as usize);
        let (middle, right) = rest.split_at_mut(width as usize);
        left.fill(source[0]);
        middle.copy_from_slice(source);
        right.fill(source[source.len() - 1]);
    }
    out
}

/// A disc as rows of pixels.
struct Disc {
    reach: i32,
    /// Pixels to either side, for each row from the top.
    half_widths: Vec<i32>,
    /// Half of its pixels, rounded down.
    half: u32,
}

impl Disc {
    fn new(radius: f32) -> Self {
        let reach = radius as i32;
        let half_width = |dy: i32| {
            (f64::from(radius) * f64::from(radius) - f64::from(dy * dy)).max(0.0).sqrt() as i32
        };
        let half_widths: Vec<_> = (-reach..=reach).map(half_width).collect();
        let count: i32 = half_widths.iter().map(|half| 2 * half + 1).sum();
        Self { reach, half_widths, half: count as u32 / 2 }
    }

    /// Replaces the pixels of a row that are `mixed` by their median. In `padded` the row lies
    /// `reach` further down and to the right.
    fn median_row(
        &self,
        padded: &Mask,
        y: usize,
        row: &mut [u8],
        mixed: impl Fn(usize, u8) -> bool,
    ) {
        let rows: Vec<&[u8]> =
            (0..self.half_widths.len()).map(|dy| padded.row((y + dy) as u32)).collect();
        let mut counted: Option<(usize, Histogram)> = None;
        for (x, pixel) in row.iter_mut().enumerate() {
            if !mixed(x, *pixel) {
                continue;
            }
            let mut histogram = match counted.take() {
                Some((at, mut histogram)) if at + 1 == x => {
                    self.slide(&rows, at, &mut histogram);
                    histogram
                }
                _ => self.count(&rows, x),
            };
            *pixel = histogram.median(self.half);
            counted = Some((x, histogram));
        }
    }

    fn count(&self, rows: &[&[u8]], x: usize) -> Histogram {
        let mut histogram = Histogram::default();
        for (row, half) in rows.iter().zip(&self.half_widths) {
            let (from, to) = self.ends(x, *half);
            row[from..=to].iter().for_each(|&value| histogram.add(value));
        }
        histogram
    }

    /// From around pixel `x` to around the next.
    fn slide(&self, rows: &[&[u8]], x: usize, histogram: &mut Histogram) {
        for (row, half) in rows.iter().zip(&self.half_widths) {
            let (from, to) = self.ends(x, *half);
            histogram.remove(row[from]);
            histogram.add(row[to + 1]);
        }
    }

    fn ends(&self, x: usize, half: i32) -> (usize, usize) {
        (x + (self.reach - half) as usize, x + (self.reach + half) as usize)
    }
}

/// How often each value occurs, and where the median was last.
struct Histogram {
    counts: [u32; 256],
    median: u8,
    /// How many values lie below `median`.
    below: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; 256], median: 0, below: 0 }
    }
}

impl Histogram {
    fn add(&mut self, value: u8) {
        self.counts[value as usize] += 1;
        self.below += u32::from(value < self.median);
    }

    fn remove(&mut self, value: u8) {
        self.counts[value as usize] -= 1;
        self.below -= u32::from(value < self.median);
    }

    /// The value that `half` others lie below or at.
    fn median(&mut self, half: u32) -> u8 {
        while self.below > half {
            self.median -= 1;
            self.below -= self.counts[self.median as usize];
        }
        while self.below + self.counts[self.median as usize] <= half {
            self.below += self.counts[self.median as usize];
            self.median += 1;
        }
        self.median
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(mask: &Mask, radius: f32) -> Vec<u8> {
        let Extent { width, height } = mask.extent();
        let reach = radius as i32;
        let pixels = (0..height as i32).flat_map(|y| (0..width as i32).map(move |x| (x, y)));
        pixels
            .map(|(x, y)| {
                let mut values: Vec<u8> = (-reach..=reach)
                    .flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)))
                    .filter(|(dx, dy)| ((dx * dx + dy * dy) as f32) <= radius * radius)
                    .map(|(dx, dy)| {
                        let u = (x + dx).clamp(0, width as i32 - 1) as u32;
                        mask.pixel(u, (y + dy).clamp(0, height as i32 - 1) as u32)[0]
                    })
                    .collect();
                values.sort_unstable();
                values[values.len() / 2]
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn smoothing_takes_the_median(
            width in 1u32..30, height in 1u32..24, seed in any::<u64>(), radius in 1u32..9,
        ) {
            // Patches of one value with noise between, so that runs begin and end.
            let mut state = seed | 1;
            let bytes = (0..width * height)
                .map(|i| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (x, y) = (i % width, i / width);
                    match (x / 11 + y / 9) % 3 {
                        0 => 0,
                        1 => 255,
                        _ => (state >> 56) as u8,
                    }
                })
                .collect();
            let mask = Mask::from_raw(Extent::new(width, height), bytes).unwrap();
            let found = smooth(&mask, radius as f32);
            prop_assert_eq!(found.bytes(), &slow(&mask, radius as f32)[..]);
        }
    }

    #[test]
    fn specks_and_pinholes_go_and_straight_edges_stay() {
        let extent = Extent::new(40, 30);
        let mut mask = Mask::new(extent);
        for y in 0..30 {
            mask.row_mut(y)[20..].fill(255);
        }
        let straight = mask.clone();
        mask.row_mut(8)[6] = 255;
        mask.row_mut(15)[30] = 0;
        assert_eq!(smooth(&mask, 3.0), straight);
        assert_eq!(smooth(&mask, 0.4), mask);
    }
}
