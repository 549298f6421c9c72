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
    brush::{BrushMode, Tip},
    tiles::{MaskTiles, TILE_SIDE},
};
use crate::geometry::{Bounds, Point};

/// What a stroke draws on. All three grids have one extent.
pub(super) struct Layers<'a> {
    pub mode: BrushMode,
    /// The mask before the stroke.
    pub base: &'a MaskTiles,
    /// The largest coverage of each pixel so far.
    pub coverage: &'a mut MaskTiles,
    /// The mask with the stroke.
    pub mask: &'a mut MaskTiles,
}

/// A tip on its way along a straight line. Where it starts it has been drawn before, by the stretch
/// that ended there or by a stretch of no length.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    pub from: Tip,
    pub to: Tip,
    /// 0 to 1.
    pub hardness: f32,
}

impl Sweep {
    /// Merges the stretch into the coverage by maximum and blends that over the base into the mask.
    /// Returns the pixels that may have changed.
    pub fn draw(&self, mut layers: Layers<'_>) -> Bounds {
        let reach = self.reach();
        let bounds = Bounds::around_disc(self.from.centre, reach)
            .union(Bounds::around_disc(self.to.centre, reach))
            .intersect(layers.mask.extent().bounds());
        tile_rows(bounds).fold(Bounds::default(), |dirty, row| {
            dirty.union(self.draw_tile_row(tile_row_bounds(row, bounds), &mut layers))
        })
    }

    /// What lies in one row of tiles: only the tiles that the stretch crosses there are touched.
    fn draw_tile_row(&self, band: Bounds, layers: &mut Layers<'_>) -> Bounds {
        let lines: Vec<_> = (band.y..band.bottom()).map(|y| self.line_at(y, band)).collect();
        let touched = lines.iter().fold(Bounds::default(), |all, line| all.union(*line));
        for (column, row) in layers.mask.tiles_in(touched) {
            self.draw_tile(column, row, &lines, layers);
        }
        touched
    }

    fn draw_tile(&self, column: u32, row: u32, lines: &[Bounds], layers: &mut Layers<'_>) {
        let base = layers.base.tile(column, row);
        if layers.mode == BrushMode::Erase && base.is_none() {
            return;
        }
        let base = base.map_or(&EMPTY[..], |tile| tile.bytes());
        let tile = layers.mask.tile_bounds(column, row);
        let coverage = layers.coverage.tile_mut(column, row);
        let mask = layers.mask.tile_mut(column, row);
        for line in lines.iter().map(|line| line.intersect(tile)).filter(|line| !line.is_empty()) {
            let at = (line.y - tile.y) as usize * TILE_SIDE as usize + (line.x - tile.x) as usize;
            let range = at..at + line.width as usize;
            self.cover(line.x, line.y, &mut coverage[range.clone()]);
            layers.mode.blend(&base[range.clone()], &coverage[range.clone()], &mut mask[range]);
        }
    }

    /// How far from the line a pixel centre can be and still be covered.
    fn reach(&self) -> f32 {
        self.from.radius.max(self.to.radius) + 0.5
    }

    /// The part of a row of pixels, inside `bounds`, that can be covered and has not been yet.
    fn line_at(&self, y: i32, bounds: Bounds) -> Bounds {
        let centre_y = y as f32 + 0.5;
        let (reached_from, reached_to) = self.reached_columns(centre_y);
        let (ahead_from, ahead_to) = self.columns_ahead(centre_y);
        let (left, right) = (reached_from.max(ahead_from), reached_to.min(ahead_to));
        if left > right {
            return Bounds::default();
        }
        // A pixel counts by its centre; one more on either side forgives rounding.
        let inside = |x: f32| x.clamp(bounds.x as f32, bounds.right() as f32) as i32;
        let (first, end) = (inside((left - 1.5).floor()), inside((right + 1.5).ceil()));
        Bounds::from_corners(first, y, end, y + 1)
    }

    /// Between which columns the line at height `y` lies within reach: in the disc at either end or
    /// between the two edges beside the stretch. Out of order if nowhere.
    fn reached_columns(&self, y: f32) -> (f32, f32) {
        let (a, b, reach) = (self.from.centre, self.to.centre, self.reach());
        let discs = [a, b].map(|end| {
            let half_squared = reach * reach - (y - end.y) * (y - end.y);
            let half = half_squared.sqrt();
            (half_squared >= 0.0).then_some((end.x - half, end.x + half))
        });
        let edges = edge_crossings(a, b, reach, y).map(|crossing| crossing.map(|x| (x, x)));
        discs
            .into_iter()
            .chain(edges)
            .flatten()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(left, right), (x0, x1)| {
                (left.min(x0), right.max(x1))
            })
    }

    /// Between which columns the line at height `y` lies ahead of the start. What lies behind is
    /// nearest to the start itself, and so has been drawn before. A stretch of no length has no
    /// direction: everything counts.
    fn columns_ahead(&self, y: f32) -> (f32, f32) {
        let (a, b) = (self.from.centre, self.to.centre);
        let (along_x, along_y) = (b.x - a.x, b.y - a.y);
        let ahead = along_y * (y - a.y);
        if along_x > 0.0 {
            (a.x - ahead / along_x, f32::INFINITY)
        } else if along_x < 0.0 {
            (f32::NEG_INFINITY, a.x - ahead / along_x)
        } else if ahead >= 0.0 {
            (f32::NEG_INFINITY, f32::INFINITY)
        } else {
            (f32::INFINITY, f32::NEG_INFINITY)
        }
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

/// The part of `bounds` in one row of tiles.
fn tile_row_bounds(row: u32, bounds: Bounds) -> Bounds {
    Bounds::new(bounds.x, (row * TILE_SIDE) as i32, bounds.width, TILE_SIDE).intersect(bounds)
}

/// Where a horizontal line crosses the two edges that run beside the stretch at distance `reach`.
fn edge_crossings(a: Point, b: Point, reach: f32, y: f32) -> [Option<f32>; 2] {
    let length = a.distance(b);
    let (along_x, along_y) = (b.x - a.x, b.y - a.y);
    [reach, -reach].map(|side| {
        let (x0, y0) = (a.x - along_y / length * side, a.y + along_x / length * side);
        let t = (y - y0) / along_y;
        (0.0..=1.0).contains(&t).then_some(x0 + t * along_x)
    })
}

/// 0 to 1 as 0 to 255, rounded to nearest. Adding 2^23 leaves the whole number in the lowest bits:
/// unlike a cast, that vectorises without checks.
fn byte_from_unit(value: f32) -> u8 {
    (value * 255.0 + 8_388_608.0).to_bits() as u8
}
