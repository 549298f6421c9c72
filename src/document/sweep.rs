//! Draws one stretch of a stroke: the area that a tip sweeps on its way from one point to another.
//!
//! A pixel is covered by its distance d to the stretch, not by dabs along it, so that a stroke has
//! no gaps and no beads at any speed. With radius r and hardness h:
//!
//! ```text
//! outer = r + 1/2      inner = min(h r, r - 1/2)
//! s = clamp((outer - d) / (outer - inner), 0, 1)
//! coverage = value * s^2 (3 - 2 s)
//! ```
//!
//! The band from inner to outer is never narrower than a pixel, which smooths the edge of the
//! hardest brush and draws a one pixel line between the pixels that it runs between.

use super::{
    brush::Tip,
    tiles::{MaskTiles, TILE_SIDE},
};
use crate::geometry::{Bounds, Point};

/// Whether a stroke adds to the mask or takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrushMode {
    /// `base + (1 - base) stroke`.
    Paint,
    /// `base (1 - stroke)`: what painting does to the inverted mask.
    Erase,
}

impl BrushMode {
    /// The mask under a stroke's coverage, pixel by pixel.
    fn blend(self, base: &[u8], coverage: &[u8], mask: &mut [u8]) {
        let pixels = mask.iter_mut().zip(base).zip(coverage);
        match self {
            Self::Paint => pixels
                .for_each(|((out, &base), &cover)| *out = 255 - times(255 - base, 255 - cover)),
            Self::Erase => {
                pixels.for_each(|((out, &base), &cover)| *out = times(base, 255 - cover))
            }
        }
    }
}

/// `a b / 255`, rounded to nearest.
fn times(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

/// A tip on its way along a straight line.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    pub from: Tip,
    pub to: Tip,
    /// 0 to 1.
    pub hardness: f32,
}

impl Sweep {
    /// Merges the stretch into `coverage` by maximum and blends the result over `base` into `mask`.
    /// All three have one extent. Returns the pixels that may have changed.
    pub fn draw(
        &self,
        mode: BrushMode,
        base: &MaskTiles,
        coverage: &mut MaskTiles,
        mask: &mut MaskTiles,
    ) -> Bounds {
        let reach = self.reach();
        let bounds = Bounds::around_disc(self.from.centre, reach)
            .union(Bounds::around_disc(self.to.centre, reach))
            .intersect(mask.extent().bounds());
        for row in tile_rows(bounds) {
            self.draw_tile_row(row, bounds, mode, base, coverage, mask);
        }
        bounds
    }

    /// One row of tiles: only the tiles that the stretch crosses there are touched.
    fn draw_tile_row(
        &self,
        row: u32,
        bounds: Bounds,
        mode: BrushMode,
        base: &MaskTiles,
        coverage: &mut MaskTiles,
        mask: &mut MaskTiles,
    ) {
        let band = Bounds::new(bounds.x, (row * TILE_SIDE) as i32, bounds.width, TILE_SIDE)
            .intersect(bounds);
        let lines: Vec<_> =
            (band.y..band.bottom()).map(|y| (y, self.columns_at(y, band))).collect();
        let touched = lines.iter().fold(Bounds::default(), |all, &(y, (start, end))| {
            all.union(Bounds::from_corners(start, y, end, y + 1))
        });
        for (column, row) in mask.tiles_in(touched) {
            let tile = mask.tile_bounds(column, row);
            let base = base.tile(column, row);
            if mode == BrushMode::Erase && base.is_none() {
                continue;
            }
            let base = base.map_or(&EMPTY[..], |tile| tile.bytes());
            let coverage = coverage.tile_mut(column, row);
            let mask = mask.tile_mut(column, row);
            for &(y, (start, end)) in &lines {
                let (start, end) = (start.max(tile.x), end.min(tile.right()));
                if start >= end {
                    continue;
                }
                let at = (y - tile.y) as usize * TILE_SIDE as usize + (start - tile.x) as usize;
                let range = at..at + (end - start) as usize;
                self.cover(start, y, &mut coverage[range.clone()]);
                mode.blend(&base[range.clone()], &coverage[range.clone()], &mut mask[range]);
            }
        }
    }

    /// How far from the line a pixel centre can be and still be covered.
    fn reach(&self) -> f32 {
        self.from.radius.max(self.to.radius) + 0.5
    }

    /// The columns of a row of pixels that lie within reach, a half-open range inside `bounds`.
    fn columns_at(&self, y: i32, bounds: Bounds) -> (i32, i32) {
        let (a, b, reach) = (self.from.centre, self.to.centre, self.reach());
        let y = y as f32 + 0.5;
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        let mut include = |x0: f32, x1: f32| (left, right) = (left.min(x0), right.max(x1));
        for end in [a, b] {
            let half = (reach * reach - (y - end.y).powi(2)).max(-1.0);
            if half >= 0.0 {
                include(end.x - half.sqrt(), end.x + half.sqrt());
            }
        }
        for x in edge_crossings(a, b, reach, y).into_iter().flatten() {
            include(x, x);
        }
        if left > right {
            return (bounds.x, bounds.x);
        }
        // A pixel counts by its centre; one more on either side forgives rounding.
        let clamp = |x: f32| x.clamp(bounds.x as f32, bounds.right() as f32) as i32;
        (clamp((left - 1.5).floor()), clamp((right + 1.5).ceil()))
    }

    /// Merges the coverage of neighbouring pixels, the first at column `x`, into theirs.
    fn cover(&self, x: i32, y: i32, coverage: &mut [u8]) {
        let (a, b) = (self.from, self.to);
        let (along_x, along_y) = (b.centre.x - a.centre.x, b.centre.y - a.centre.y);
        let length_squared = along_x * along_x + along_y * along_y;
        let per_length_squared = if length_squared > 0.0 { 1.0 / length_squared } else { 0.0 };
        let from_y = y as f32 + 0.5 - a.centre.y;
        let first_x = x as f32 + 0.5 - a.centre.x;
        let (radius_change, value_change) = (b.radius - a.radius, b.value - a.value);
        for (i, pixel) in coverage.iter_mut().enumerate() {
            let from_x = first_x + i as f32;
            let t = ((from_x * along_x + from_y * along_y) * per_length_squared).clamp(0.0, 1.0);
            let (away_x, away_y) = (from_x - t * along_x, from_y - t * along_y);
            let distance = (away_x * away_x + away_y * away_y).sqrt();
            let radius = a.radius + t * radius_change;
            let outer = radius + 0.5;
            let inner = (self.hardness * radius).min(radius - 0.5);
            let s = ((outer - distance) / (outer - inner)).clamp(0.0, 1.0);
            let value = (a.value + t * value_change) * s * s * (3.0 - 2.0 * s);
            *pixel = (*pixel).max(byte_from_unit(value));
        }
    }
}

/// A tile's worth of zeros, for the tiles that are absent.
static EMPTY: [u8; MaskTiles::TILE_BYTES] = [0; MaskTiles::TILE_BYTES];

/// The tile rows that `bounds` touches; these lie inside a grid.
fn tile_rows(bounds: Bounds) -> std::ops::Range<u32> {
    if bounds.is_empty() {
        return 0..0;
    }
    bounds.y as u32 / TILE_SIDE..(bounds.bottom() as u32).div_ceil(TILE_SIDE)
}

/// Where a horizontal line crosses the two edges that run beside the stretch at distance `reach`.
fn edge_crossings(a: Point, b: Point, reach: f32, y: f32) -> [Option<f32>; 2] {
    let length = a.distance(b);
    let (along_x, along_y) = (b.x - a.x, b.y - a.y);
    [reach, -reach].map(|side| {
        let (x0, y0) = (a.x - along_y / length * side, a.y + along_x / length * side);
        let t = (y - y0) / along_y;
        (0.0..=1.0).contains(&t).then(|| x0 + t * along_x)
    })
}

/// 0 to 1 as 0 to 255, rounded to nearest. Adding 2^23 leaves the whole number in the lowest bits:
/// unlike a cast, that vectorises without checks.
fn byte_from_unit(value: f32) -> u8 {
    (value * 255.0 + 8_388_608.0).to_bits() as u8
}
