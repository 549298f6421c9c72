//! A generated part that meets its surroundings: a smooth offset takes away the step in shade
//! that a model leaves at the edge of a hole.
//!
//! Along the edge the local mean of the original just outside is compared with that of the
//! generated picture just inside. The difference there is carried into the hole by a membrane (a
//! pull-push pyramid, S. J. Gortler and others, "The Lumigraph", 1996), which is smooth and needs no
//! iterations: texture stays as it was made, only its shade moves. Where the two differ so much
//! that the model must have meant it (an object that touches the edge), the edge is not heeded.

use super::{Mask, Picture};

/// Of a difference of this many levels of 255, about a third is taken away; of much larger ones
/// nothing.
const MEANT: f32 = 60.0;
/// Of the shorter side: how wide the bands along the edge are, in which means are taken.
const BAND: f32 = 1.0 / 40.0;

/// `raw` with its shade moved so that it meets `original` at the edge of `mask`. All three of one
/// extent. Bytes where the mask is 0 and alpha stay as they are.
pub fn meet(original: &Picture, raw: &Picture, mask: &Mask) -> Picture {
    let (width, height) = (mask.extent().width as usize, mask.extent().height as usize);
    let radius = ((width.min(height) as f32 * BAND).round() as usize).clamp(2, 48);
    let outside = weights(original, mask, |m| m == 0);
    let inside = weights(raw, mask, |m| m >= 128);
    let (outer, inner) = (
        Means::of(original, &outside, width, height, radius),
        Means::of(raw, &inside, width, height, radius),
    );
    let mut level = Level::new(width, height);
    for (at, cell) in level.cells.iter_mut().enumerate() {
        // Both bands must have been in sight; far from the edge one of them was not.
        let sight = outer.weight[at].min(inner.weight[at]);
        if sight < 0.02 {
            continue;
        }
        let offset: [f32; 3] = std::array::from_fn(|c| outer.mean[at][c] - inner.mean[at][c]);
        let squared = offset.iter().map(|d| d * d).sum::<f32>() / 3.0;
        let heed = (-squared / (MEANT * MEANT)).exp();
        *cell = Cell { offset: offset.map(|d| d * heed), weight: sight * sight };
    }
    let offsets = level.filled();
    let mut met = raw.clone();
    for ((pixel, &m), cell) in
        met.bytes_mut().chunks_exact_mut(4).zip(mask.bytes()).zip(&offsets.cells)
    {
        if m > 0 {
            for (value, offset) in pixel.iter_mut().zip(cell.offset) {
                *value = (f32::from(*value) + offset).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    met
}

/// 1 where a pixel is opaque and its mask value is wanted.
fn weights(picture: &Picture, mask: &Mask, wanted: impl Fn(u8) -> bool) -> Vec<f32> {
    let opaque = picture.bytes().chunks_exact(4).map(|pixel| pixel[3] > 0);
    opaque.zip(mask.bytes()).map(|(o, &m)| f32::from(u8::from(o && wanted(m)))).collect()
}

/// Weighted local means.
struct Means {
    mean: Vec<[f32; 3]>,
    /// The share of the window that counted, 0 to 1.
    weight: Vec<f32>,
}

impl Means {
    fn of(picture: &Picture, weight: &[f32], width: usize, height: usize, radius: usize) -> Self {
        let channel = |c: usize| {
            let values = picture.bytes().chunks_exact(4).zip(weight);
            let plane = values.map(|(pixel, w)| f32::from(pixel[c]) * w).collect();
            box_blurred(plane, width, height, radius)
        };
        let sums = [channel(0), channel(1), channel(2)];
        let weight = box_blurred(weight.to_vec(), width, height, radius);
        let mean = (0..weight.len())
            .map(|at| std::array::from_fn(|c| sums[c][at] / weight[at].max(1e-6)))
            .collect();
        Self { mean, weight }
    }
}

/// The mean over a square window of `2 radius + 1` pixels, cut off at the borders (where less
/// counts as nothing).
fn box_blurred(plane: Vec<f32>, width: usize, height: usize, radius: usize) -> Vec<f32> {
    let size = (2 * radius + 1) as f32;
    let run = |values: &mut dyn Iterator<Item = f32>| -> Vec<f32> {
        let mut sums = vec![0.0_f64];
        sums.extend(values.scan(0.0_f64, |sum, v| {
            *sum += f64::from(v);
            Some(*sum)
        }));
        let count = sums.len() - 1;
        (0..count)
            .map(|i| {
                let (from, to) = (i.saturating_sub(radius), (i + radius + 1).min(count));
                (sums[to] - sums[from]) as f32 / size
            })
            .collect()
    };
    let mut across = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width.max(1)) {
        across.extend(run(&mut row.iter().copied()));
    }
    let mut out = vec![0.0; plane.len()];
    for x in 0..width {
        let column = run(&mut (0..height).map(|y| across[y * width + x]));
        for (y, v) in column.into_iter().enumerate() {
            out[y * width + x] = v;
        }
    }
    out
}

#[derive(Clone, Copy, Default)]
struct Cell {
    offset: [f32; 3],
    weight: f32,
}

/// One level of the pull-push pyramid.
struct Level {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

impl Level {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![Cell::default(); width * height] }
    }

    /// Every cell known: as far as it is not, from the next coarser level.
    fn filled(self) -> Self {
        if self.width <= 1 && self.height <= 1 {
            return self;
        }
        let coarse = self.pulled().filled();
        self.pushed(&coarse)
    }

    /// Half the size: means weighted by what is known; four sure cells make a sure one.
    fn pulled(&self) -> Self {
        let mut coarse = Self::new(self.width.div_ceil(2), self.height.div_ceil(2));
        for y in 0..self.height {
            for x in 0..self.width {
                let fine = self.cells[y * self.width + x];
                let cell = &mut coarse.cells[y / 2 * coarse.width + x / 2];
                for c in 0..3 {
                    cell.offset[c] += fine.offset[c] * fine.weight;
                }
                cell.weight += fine.weight;
            }
        }
        for cell in &mut coarse.cells {
            if cell.weight > 0.0 {
                cell.offset = cell.offset.map(|v| v / cell.weight);
            }
            cell.weight = cell.weight.min(1.0);
        }
        coarse
    }

    /// What is not known here comes from `coarse`, between its cells.
    fn pushed(mut self, coarse: &Self) -> Self {
        for y in 0..self.height {
            for x in 0..self.width {
                let cell = &mut self.cells[y * self.width + x];
                for (value, below) in cell.offset.iter_mut().zip(coarse.between(x, y)) {
                    *value = *value * cell.weight + below * (1.0 - cell.weight);
                }
                cell.weight = 1.0;
            }
        }
        self
    }

    /// The value at a cell of the next finer level: bilinear between the four nearest.
    fn between(&self, x: usize, y: usize) -> [f32; 3] {
        let nearest = |at: usize, size: usize| {
            let other = if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { at / 2 + 1 };
            (at / 2, other.min(size - 1))
        };
        let ((x0, x1), (y0, y1)) = (nearest(x, self.width), nearest(y, self.height));
        let at = |x: usize, y: usize| self.cells[y * self.width + x].offset;
        let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        std::array::from_fn(|i| (9.0 * a[i] + 3.0 * b[i] + 3.0 * c[i] + d[i]) / 16.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    const SIDE: u32 = 96;

    fn picture(colour: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
        let bytes = places.flat_map(|(x, y)| {
            let [r, g, b] = colour(x, y);
            [r, g, b, 255]
        });
        Picture::from_raw(Extent::new(SIDE, SIDE), bytes.collect()).unwrap()
    }

    /// A square hole in the middle.
    fn hole() -> Mask {
        let mut mask = Mask::new(Extent::new(SIDE, SIDE));
        for y in 32..64 {
            mask.row_mut(y)[32..64].fill(255);
        }
        mask
    }

    fn worst(a: &Picture, b: &Picture, skip: usize) -> i32 {
        let pairs = a.bytes().iter().zip(b.bytes()).skip(skip);
        pairs.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap()
    }

    #[test]
    fn a_shift_in_shade_is_taken_away() {
        let truth = picture(|x, y| [80 + x as u8, 120, 60 + y as u8]);
        let inside = |x: u32, y: u32| (32..64).contains(&x) && (32..64).contains(&y);
        let shifted = picture(|x, y| {
            let [r, g, b] = [80 + x as u8, 120, 60 + y as u8];
            if inside(x, y) { [r + 18, g - 12, b + 9] } else { [r, g, b] }
        });
        assert!(worst(&truth, &shifted, 0) == 18);
        let met = meet(&truth, &shifted, &hole());
        assert!(worst(&truth, &met, 0) <= 4, "{}", worst(&truth, &met, 0));
    }

    #[test]
    fn texture_inside_stays() {
        let noise = |x: u32, y: u32| ((x * 7919 + y * 104_729) % 31) as u8;
        let original = picture(|x, y| [100 + noise(x, y); 3]);
        let raw = picture(|x, y| [120 + noise(y, x); 3]);
        let met = meet(&original, &raw, &hole());
        let spread = |p: &Picture| {
            let inner: Vec<f64> = (36..60)
                .flat_map(|y| (36..60).map(move |x| (x, y)))
                .map(|(x, y)| f64::from(p.pixel(x, y)[0]))
                .collect();
            let mean = inner.iter().sum::<f64>() / inner.len() as f64;
            (mean, inner.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / inner.len() as f64)
        };
        let ((before, rough), (after, still)) = (spread(&raw), spread(&met));
        assert!((before - after - 20.0).abs() < 4.0, "{before} {after}");
        assert!((still / rough - 1.0).abs() < 0.1, "{rough} {still}");
    }

    #[test]
    fn a_difference_that_is_meant_stays() {
        let original = picture(|_, _| [200, 200, 200]);
        let raw = picture(|_, _| [20, 20, 20]);
        let met = meet(&original, &raw, &hole());
        assert!(worst(&met, &raw, 0) <= 6, "{}", worst(&met, &raw, 0));
    }

    #[test]
    fn nothing_moves_without_an_edge_or_outside_the_mask() {
        let original = picture(|x, _| [x as u8; 3]);
        let raw = picture(|_, y| [y as u8; 3]);
        let all = Mask::from_raw(original.extent(), vec![255; (SIDE * SIDE) as usize]).unwrap();
        assert_eq!(meet(&original, &raw, &all), raw);
        let met = meet(&original, &raw, &hole());
        for (x, y) in [(0, 0), (31, 40), (64, 50), (95, 95)] {
            assert_eq!(met.pixel(x, y), raw.pixel(x, y));
        }
    }
}
