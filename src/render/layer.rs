//! Where a tiled layer lies in the window, at which level it is drawn and which tiles that takes.

use super::{
    pyramid::{TileKey, level_extent},
    scene::Viewport,
    uniforms::LayerUniform,
};
use crate::{
    document::TILE_SIDE,
    geometry::{Bounds, Extent, Point},
};

/// How many tiles may be drawn at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileBudget {
    /// In all.
    pub tiles: usize,
    /// In a row or a column.
    pub side: u32,
}

impl TileBudget {
    /// The tighter of two.
    pub fn at_most(self, other: Self) -> Self {
        Self { tiles: self.tiles.min(other.tiles), side: self.side.min(other.side) }
    }

    fn allows(self, tiles: LevelTiles) -> bool {
        tiles.count() <= self.tiles && tiles.size.0.max(tiles.size.1) <= self.side
    }
}

/// A layer's place in the window: `window = pixel * zoom + origin`, in physical pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Where its corner lies.
    pub origin: Point,
    /// Physical pixels per pixel of the layer.
    pub zoom: f32,
    /// Size of the layer in its own pixels.
    pub extent: Extent,
}

impl Placement {
    /// The pixels of the layer that a viewport shows, at least in part.
    pub fn visible(self, viewport: Viewport) -> Bounds {
        let pixel = |window: f32, origin: f32| (window - origin) / self.zoom;
        let right = (viewport.x + viewport.width) as f32;
        let bottom = (viewport.y + viewport.height) as f32;
        Bounds::from_corners(
            pixel(viewport.x as f32, self.origin.x).floor() as i32,
            pixel(viewport.y as f32, self.origin.y).floor() as i32,
            pixel(right, self.origin.x).ceil() as i32,
            pixel(bottom, self.origin.y).ceil() as i32,
        )
        .intersect(self.extent.bounds())
    }

    /// The finest level whose texels are not smaller than half a window pixel, or a coarser one if
    /// `wanted` (pixels of the layer) would take more tiles than the budget has.
    pub fn level(self, wanted: Bounds, budget: TileBudget) -> u32 {
        let mut level = 0;
        while self.zoom * ((1u32 << level) as f32) <= 0.5 {
            level += 1;
        }
        while !budget.allows(LevelTiles::new(self.extent, level, wanted)) {
            level += 1;
        }
        level
    }

    /// What the shaders need to know about the layer at a level.
    pub fn uniform(self, tiles: LevelTiles) -> LayerUniform {
        let extent = level_extent(self.extent, tiles.level);
        LayerUniform {
            origin: [self.origin.x, self.origin.y],
            scale: self.zoom * (1u32 << tiles.level) as f32,
            padding: 0.0,
            extent: [extent.width as i32, extent.height as i32],
            first_tile: [tiles.first.0 as i32, tiles.first.1 as i32],
        }
    }
}

/// The tiles of one level that cover a rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelTiles {
    pub level: u32,
    /// Column and row of the first.
    pub first: (u32, u32),
    /// Number of columns and rows.
    pub size: (u32, u32),
}

impl LevelTiles {
    /// Covering `wanted`, in pixels of level 0.
    pub fn new(extent: Extent, level: u32, wanted: Bounds) -> Self {
        let inside = wanted.intersect(extent.bounds());
        let side = TILE_SIDE << level;
        if inside.is_empty() {
            return Self { level, first: (0, 0), size: (0, 0) };
        }
        let first = (inside.x as u32 / side, inside.y as u32 / side);
        let end = (inside.right() as u32).div_ceil(side);
        let end_row = (inside.bottom() as u32).div_ceil(side);
        Self { level, first, size: (end - first.0, end_row - first.1) }
    }

    /// Number of tiles.
    pub fn count(self) -> usize {
        self.size.0 as usize * self.size.1 as usize
    }

    /// Row by row.
    pub fn keys(self) -> impl Iterator<Item = TileKey> {
        let Self { level, first, size } = self;
        (0..size.1).flat_map(move |y| {
            (0..size.0).map(move |x| TileKey { level, column: first.0 + x, row: first.1 + y })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(zoom: f32, side: u32) -> Placement {
        Placement { origin: Point::new(0.0, 0.0), zoom, extent: Extent::new(side, side) }
    }

    fn budget(tiles: usize) -> TileBudget {
        TileBudget { tiles, side: 32 }
    }

    #[test]
    fn levels_by_zoom() {
        let all = Extent::new(8192, 8192).bounds();
        for (zoom, level) in
            [(64.0, 0), (1.0, 0), (0.51, 0), (0.5, 1), (0.3, 1), (0.25, 2), (0.05, 4)]
        {
            assert_eq!(placement(zoom, 8192).level(all, budget(1024)), level, "zoom {zoom}");
        }
    }

    #[test]
    fn a_budget_too_small_takes_a_coarser_level() {
        let all = Extent::new(8192, 8192).bounds();
        assert_eq!(placement(1.0, 8192).level(all, budget(1024)), 0);
        assert_eq!(placement(1.0, 8192).level(all, budget(1023)), 1);
        assert_eq!(placement(1.0, 8192).level(all, budget(1)), 5);
        let narrow = TileBudget { tiles: 1024, side: 8 };
        assert_eq!(placement(1.0, 8192).level(all, narrow), 2);
    }

    #[test]
    fn visible_pixels_and_their_tiles() {
        let place = Placement { origin: Point::new(-300.0, 10.0), ..placement(1.0, 1000) };
        let seen = place.visible(Viewport { x: 0, y: 0, width: 400, height: 300 });
        assert_eq!(seen, Bounds::new(300, 0, 400, 290));
        let tiles = LevelTiles::new(place.extent, 0, seen);
        assert_eq!((tiles.first, tiles.size), ((1, 0), (2, 2)));
        assert_eq!(tiles.keys().count(), 4);
        let none = place.visible(Viewport { x: 5000, y: 0, width: 10, height: 10 });
        assert_eq!(LevelTiles::new(place.extent, 0, none).count(), 0);
    }
}
