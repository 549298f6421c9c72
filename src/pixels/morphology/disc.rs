//! The largest value within a disc around each pixel, for several discs at once.
//!
//! A disc is a stack of rows of pixels, widest in the middle. The largest values within a row's
//! width are made from those of a narrower one, so each row of the mask is widened step by step and
//! laid into the rows above and below at each width that the discs have there. Every step compares
//! two rows of bytes, which processors do many pixels at a time: the cost is about five such
//! steps a pixel of radius.

use rayon::prelude::*;

use crate::{
    geometry::{Bounds, Extent},
    pixels::Mask,
};

/// Side of the squares that are worked on at once, so that they stay in the processor's cache.
const BLOCK: u32 = 512;

/// For each radius, in ascending order, the largest value at a distance of at most that radius, from
/// pixel centre to pixel centre. What lies beyond the buffer is 0.
pub fn largest_within<const N: usize>(mask: &Mask, radii: [f32; N]) -> [Mask; N] {
    let extent = mask.extent();
    let plan = Plan::new(radii);
    let across = extent.width.div_ceil(BLOCK);
    let blocks: Vec<Bounds> = (0..extent.height.div_ceil(BLOCK) * across)
        .map(|i| {
            let corner = ((i % across * BLOCK) as i32, (i / across * BLOCK) as i32);
            Bounds::new(corner.0, corner.1, BLOCK, BLOCK).intersect(extent.bounds())
        })
        .collect();
    let done: Vec<_> = blocks.par_iter().map(|&block| plan.block(mask, block)).collect();
    std::array::from_fn(|k| {
        let mut out = Mask::new(extent);
        for (block, rings) in blocks.iter().zip(&done) {
            for y in 0..block.height {
                let row = &mut out.row_mut(block.y as u32 + y)[block.x as usize..];
                row[..block.width as usize].copy_from_slice(rings[k].row(y));
            }
        }
        out
    })
}

/// At a width, which rows above and below take it.
struct Step {
    /// Pixels to either side.
    half_width: usize,
    /// Ring and distance in rows.
    takers: Vec<(usize, i32)>,
}

/// The discs, cut into rows and sorted by width.
struct Plan<const N: usize> {
    reach: i32,
    steps: Vec<Step>,
}

impl<const N: usize> Plan<N> {
    fn new(radii: [f32; N]) -> Self {
        let half_width = |radius: f32, dy: i32| {
            let squared = f64::from(radius) * f64::from(radius) - f64::from(dy * dy);
            (squared >= 0.0).then(|| squared.sqrt() as usize)
        };
        let reach = radii.last().map_or(0, |radius| *radius as i32);
        let mut rows = Vec::new();
        for dy in 0..=reach {
            let mut narrower = None;
            for (ring, radius) in radii.into_iter().enumerate() {
                let width = half_width(radius, dy);
                // A ring takes over all that the one inside it has.
                if width != narrower {
                    rows.extend(width.map(|width| (width, (ring, dy))));
                    narrower = width;
                }
            }
        }
        rows.sort_unstable();
        let mut steps: Vec<Step> = Vec::new();
        for (half_width, taker) in rows {
            match steps.last_mut().filter(|step| step.half_width == half_width) {
                Some(step) => step.takers.push(taker),
                None => steps.push(Step { half_width, takers: vec![taker] }),
            }
        }
        Self { reach, steps }
    }

    fn block(&self, mask: &Mask, block: Bounds) -> [Mask; N] {
        let mut rings: [Mask; N] = std::array::from_fn(|_| Mask::new(block.extent()));
        let around = block.grow(self.reach as u32);
        let rows = around.intersect(mask.extent().bounds());
        let mut row = Widened::new(around.width as usize);
        for y in rows.y..rows.bottom() {
            if !row.load(mask, Bounds::new(around.x, y, around.width, 1)) {
                continue;
            }
            for step in &self.steps {
                row.widen(step.half_width);
                let widened = row.values(self.reach as usize, block.width as usize);
                for &(ring, dy) in &step.takers {
                    let below = (dy != 0).then_some(y + dy);
                    for to in [Some(y - dy), below].into_iter().flatten() {
                        if (block.y..block.bottom()).contains(&to) {
                            take_largest(rings[ring].row_mut((to - block.y) as u32), widened);
                        }
                    }
                }
            }
        }
        for k in 1..N {
            let (inner, outer) = rings.split_at_mut(k);
            take_largest(outer[0].bytes_mut(), inner[k - 1].bytes());
        }
        rings
    }
}

/// A row of the mask and the largest values within a width around each of its pixels.
struct Widened {
    half_width: usize,
    values: Vec<u8>,
    spare: Vec<u8>,
}

impl Widened {
    fn new(len: usize) -> Self {
        Self { half_width: 0, values: vec![0; len], spare: vec![0; len] }
    }

    /// Takes a row, 0 beyond the buffer; false if it is all 0.
    fn load(&mut self, mask: &Mask, row: Bounds) -> bool {
        let Extent { width, height: _ } = mask.extent();
        let inside = row.intersect(Bounds::new(0, row.y, width, 1));
        let source = &mask.row(row.y as u32)[inside.x as usize..inside.right() as usize];
        if source.iter().all(|&value| value == 0) {
            return false;
        }
        self.half_width = 0;
        self.values.fill(0);
        let start = (inside.x - row.x) as usize;
        self.values[start..start + source.len()].copy_from_slice(source);
        true
    }

    /// Towards a larger width. Near the ends, closer than the width, values are not right.
    fn widen(&mut self, half_width: usize) {
        while self.half_width < half_width {
            let by = (half_width - self.half_width).min(2 * self.half_width + 1);
            let len = self.values.len();
            if len <= 2 * by {
                return;
            }
            let (left, middle, right) =
                (&self.values[..len - 2 * by], &self.values[by..len - by], &self.values[2 * by..]);
            let to = &mut self.spare[by..len - by];
            for (((to, &l), &m), &r) in to.iter_mut().zip(left).zip(middle).zip(right) {
                *to = l.max(m).max(r);
            }
            std::mem::swap(&mut self.values, &mut self.spare);
            self.half_width += by;
        }
    }

    fn values(&self, start: usize, len: usize) -> &[u8] {
        &self.values[start..start + len]
    }
}

fn take_largest(to: &mut [u8], from: &[u8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = (*to).max(from);
    }
}
