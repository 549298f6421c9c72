//! Copy-on-write tiles: a buffer cut into squares that clones share until one of them writes.
//!
//! A clone of a grid copies handles, not pixels, so it serves as a snapshot for the inference
//! thread, as the state before a stroke, and as the source of history entries.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::Combine;
use crate::{
    geometry::{Bounds, Extent},
    pixels::{Mask, Picture},
};

/// Width and height of a tile in pixels. Tiles at the right and bottom edge have the same size;
/// what they hold beyond the extent is zero.
pub const TILE_SIDE: u32 = 256;

/// Four bytes a pixel: sRGB with straight alpha.
pub type PictureTiles = TileGrid<4>;
/// One byte a pixel: 0 keeps the picture, 255 repaints it.
pub type MaskTiles = TileGrid<1>;

/// One square of `TILE_SIDE * TILE_SIDE` pixels.
#[derive(Clone)]
pub struct Tile {
    version: u64,
    bytes: Box<[u8]>,
}

impl Tile {
    /// A new version with these contents, [`TileGrid::TILE_BYTES`] of them.
    pub(super) fn from_bytes(bytes: Box<[u8]>) -> Self {
        Self { version: next_version(), bytes }
    }

    /// Names these contents: two tiles with the same version hold the same bytes. Each write gives
    /// a larger number than any before; never 0, which stands for an absent tile.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// `TILE_SIDE` rows of `TILE_SIDE` pixels from the top, no padding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One counter for all grids, so that a version can never mean two different contents.
fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A buffer of `CHANNELS` bytes a pixel as a grid of tiles. An absent tile is all zero.
#[derive(Clone)]
pub struct TileGrid<const CHANNELS: usize> {
    extent: Extent,
    columns: u32,
    tiles: Vec<Option<Arc<Tile>>>,
}

impl<const CHANNELS: usize> TileGrid<CHANNELS> {
    /// Bytes of one tile.
    pub const TILE_BYTES: usize = (TILE_SIDE * TILE_SIDE) as usize * CHANNELS;

    /// All zero, with no tile allocated.
    pub fn new(extent: Extent) -> Self {
        let columns = extent.width.div_ceil(TILE_SIDE);
        let count = columns as usize * extent.height.div_ceil(TILE_SIDE) as usize;
        Self { extent, columns, tiles: vec![None; count] }
    }

    /// From rows without padding. Tiles that would be all zero stay absent.
    fn from_rows(extent: Extent, bytes: &[u8]) -> Self {
        let mut grid = Self::new(extent);
        let stride = extent.width as usize * CHANNELS;
        for (column, row) in grid.tiles_in(extent.bounds()) {
            let inside = grid.tile_bounds(column, row);
            let mut tile = vec![0; Self::TILE_BYTES].into_boxed_slice();
            let len = inside.width as usize * CHANNELS;
            for (y, to) in (inside.y as usize..)
                .zip(tile.chunks_exact_mut(Self::TILE_STRIDE))
                .take(inside.height as usize)
            {
                let from = y * stride + inside.x as usize * CHANNELS;
                to[..len].copy_from_slice(&bytes[from..from + len]);
            }
            if tile.iter().any(|&byte| byte != 0) {
                let index = grid.index(column, row);
                grid.tiles[index] = Some(Arc::new(Tile::from_bytes(tile)));
            }
        }
        grid
    }

    const TILE_STRIDE: usize = TILE_SIDE as usize * CHANNELS;

    /// Size of the whole buffer in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Tiles from left to right.
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// Tiles from top to bottom.
    pub fn rows(&self) -> u32 {
        self.extent.height.div_ceil(TILE_SIDE)
    }

    /// The tile at a grid position; `None` where all is zero. Panics outside the grid.
    pub fn tile(&self, column: u32, row: u32) -> Option<&Tile> {
        self.tiles[self.index(column, row)].as_deref()
    }

    /// The version of the tile at a grid position, 0 where it is absent (all zero): what to compare
    /// to know whether an uploaded copy is stale.
    pub fn version(&self, column: u32, row: u32) -> u64 {
        self.tile(column, row).map_or(0, Tile::version)
    }

    /// The pixels of a tile that lie inside the extent.
    pub fn tile_bounds(&self, column: u32, row: u32) -> Bounds {
        let corner = |at: u32| (at * TILE_SIDE) as i32;
        Bounds::new(corner(column), corner(row), TILE_SIDE, TILE_SIDE)
            .intersect(self.extent.bounds())
    }

    /// Grid positions (column, row) of all tiles that `bounds` touches, row by row.
    pub fn tiles_in(&self, bounds: Bounds) -> impl Iterator<Item = (u32, u32)> + use<CHANNELS> {
        let inside = bounds.intersect(self.extent.bounds());
        let range = |start: i32, len: u32| {
            let first = start as u32 / TILE_SIDE;
            if inside.is_empty() {
                first..first
            } else {
                first..(start as u32 + len).div_ceil(TILE_SIDE)
            }
        };
        let columns = range(inside.x, inside.width);
        range(inside.y, inside.height)
            .flat_map(move |row| columns.clone().map(move |column| (column, row)))
    }

    /// The bytes inside `bounds`, rows without padding; what lies outside the extent is zero.
    pub fn read(&self, bounds: Bounds) -> Vec<u8> {
        let stride = bounds.width as usize * CHANNELS;
        let mut out = vec![0; stride * bounds.height as usize];
        for (column, row) in self.tiles_in(bounds) {
            let Some(tile) = self.tile(column, row) else { continue };
            for span in self.spans(column, row, bounds) {
                let to = span.outer * CHANNELS;
                out[to..to + span.len * CHANNELS].copy_from_slice(
                    &tile.bytes[span.inner * CHANNELS..(span.inner + span.len) * CHANNELS],
                );
            }
        }
        out
    }

    /// Overwrites the pixels inside `bounds` with `bytes` (rows without padding); what lies outside
    /// the extent is dropped. Panics if the number of bytes does not fit the bounds.
    pub fn write(&mut self, bounds: Bounds, bytes: &[u8]) {
        assert_eq!(bytes.len(), bounds.extent().area() * CHANNELS, "bytes fit the bounds");
        for (column, row) in self.tiles_in(bounds) {
            let spans = self.spans(column, row, bounds);
            let tile = self.tile_mut(column, row);
            for span in spans {
                let from = span.outer * CHANNELS;
                tile[span.inner * CHANNELS..(span.inner + span.len) * CHANNELS]
                    .copy_from_slice(&bytes[from..from + span.len * CHANNELS]);
            }
        }
    }

    /// Bytes of all tiles that are present.
    pub fn resident_bytes(&self) -> usize {
        self.tiles.iter().flatten().count() * Self::TILE_BYTES
    }

    /// A tile to write to: copied first if a clone shares it, made if absent. Its version changes.
    pub(super) fn tile_mut(&mut self, column: u32, row: u32) -> &mut [u8] {
        let index = self.index(column, row);
        let slot = self.tiles[index].get_or_insert_with(|| {
            Arc::new(Tile { version: 0, bytes: vec![0; Self::TILE_BYTES].into_boxed_slice() })
        });
        let tile = Arc::make_mut(slot);
        tile.version = next_version();
        &mut tile.bytes
    }

    /// All handles, row by row.
    pub(super) fn slots(&self) -> &[Option<Arc<Tile>>] {
        &self.tiles
    }

    /// Indices of the handles that are not shared with another grid of the same extent.
    pub(super) fn differing_slots(&self, other: &Self) -> impl Iterator<Item = usize> {
        let same = |a: &Option<Arc<Tile>>, b: &Option<Arc<Tile>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let pairs = self.tiles.iter().zip(&other.tiles).enumerate();
        pairs.filter(move |(_, (a, b))| !same(a, b)).map(|(index, _)| index)
    }

    /// Whether both share all their tiles, and so hold the same pixels.
    pub fn is_same(&self, other: &Self) -> bool {
        self.extent == other.extent && self.differing_slots(other).next().is_none()
    }

    /// A rectangle around all tiles that are not shared with another grid of the same extent.
    pub(super) fn differing_tiles(&self, other: &Self) -> Bounds {
        self.differing_slots(other).fold(Bounds::default(), |found, index| {
            let (column, row) = self.position(index);
            found.union(self.tile_bounds(column, row))
        })
    }

    /// Puts a handle in place of another.
    pub(super) fn set_slot(&mut self, index: usize, tile: Option<Arc<Tile>>) {
        self.tiles[index] = tile;
    }

    /// The grid position of a handle in [`Self::slots`].
    pub(super) fn position(&self, index: usize) -> (u32, u32) {
        (index as u32 % self.columns, index as u32 / self.columns)
    }

    fn index(&self, column: u32, row: u32) -> usize {
        assert!(column < self.columns, "column inside the grid");
        row as usize * self.columns as usize + column as usize
    }

    /// Row by row, what a tile and `bounds` have in common.
    pub(super) fn spans(
        &self,
        column: u32,
        row: u32,
        bounds: Bounds,
    ) -> impl Iterator<Item = Span> + use<CHANNELS> {
        let tile = self.tile_bounds(column, row);
        let common = tile.intersect(bounds);
        (common.y..common.bottom()).map(move |y| Span {
            len: common.width as usize,
            inner: (y - tile.y) as usize * TILE_SIDE as usize + (common.x - tile.x) as usize,
            outer: (y - bounds.y) as usize * bounds.width as usize + (common.x - bounds.x) as usize,
        })
    }
}

/// Neighbouring pixels of one row, seen from a tile and from a rectangle that overlaps it.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Number of pixels.
    pub len: usize,
    /// Index of the first pixel in the tile.
    pub inner: usize,
    /// Index of the first pixel in the rectangle.
    pub outer: usize,
}

impl PictureTiles {
    /// Cuts a picture into tiles.
    pub fn from_picture(picture: &Picture) -> Self {
        Self::from_rows(picture.extent(), picture.bytes())
    }

    /// The whole picture in one buffer.
    pub fn to_picture(&self) -> Picture {
        self.crop(self.extent.bounds())
    }

    /// The part inside `bounds`; what lies outside is transparent black.
    pub fn crop(&self, bounds: Bounds) -> Picture {
        Picture::from_raw(bounds.extent(), self.read(bounds)).unwrap_or_default()
    }
}

impl MaskTiles {
    /// Cuts a mask into tiles.
    pub fn from_mask(mask: &Mask) -> Self {
        Self::from_rows(mask.extent(), mask.bytes())
    }

    /// Every pixel 255. Tiles share their bytes, so its size in memory does not depend on the extent.
    pub fn full(extent: Extent) -> Self {
        let mut grid = Self::new(extent);
        let mut made: Vec<(Extent, Arc<Tile>)> = Vec::new();
        for (column, row) in grid.tiles_in(extent.bounds()) {
            let inside = grid.tile_bounds(column, row).extent();
            let known = made.iter().find(|(size, _)| *size == inside).map(|(_, tile)| tile.clone());
            let tile = known.unwrap_or_else(|| {
                let tile = Arc::new(Tile::from_bytes(full_tile(inside)));
                made.push((inside, tile.clone()));
                tile
            });
            let index = grid.index(column, row);
            grid.tiles[index] = Some(tile);
        }
        grid
    }

    /// This mask and another of the same extent as one. Tiles that stay as they are stay shared.
    pub(super) fn combined(&self, other: &Mask, how: Combine) -> Self {
        let other = Self::from_mask(other);
        if how == Combine::Replace {
            return other;
        }
        let mut combined = self.clone();
        for (column, row) in self.tiles_in(self.extent.bounds()) {
            let Some(tile) = other.tile(column, row) else { continue };
            if how == Combine::Subtract && self.tile(column, row).is_none() {
                continue;
            }
            let pixels = combined.tile_mut(column, row).iter_mut().zip(tile.bytes());
            match how {
                Combine::Subtract => pixels.for_each(|(a, b)| *a = (*a).min(255 - b)),
                _ => pixels.for_each(|(a, b)| *a = (*a).max(*b)),
            }
        }
        combined
    }

    /// 255 minus every pixel.
    pub fn inverted(&self) -> Self {
        let mut inverted = Self::full(self.extent);
        for (column, row) in self.tiles_in(self.extent.bounds()) {
            let Some(tile) = self.tile(column, row) else { continue };
            // Beyond the extent both are 0 and stay so.
            let pixels = inverted.tile_mut(column, row).iter_mut().zip(tile.bytes());
            pixels.for_each(|(full, value)| *full -= value);
        }
        inverted
    }

    /// The whole mask in one buffer.
    pub fn to_mask(&self) -> Mask {
        self.crop(self.extent.bounds())
    }

    /// The part inside `bounds`; what lies outside is zero.
    pub fn crop(&self, bounds: Bounds) -> Mask {
        Mask::from_raw(bounds.extent(), self.read(bounds)).unwrap_or_default()
    }

    /// The smallest rectangle around every pixel that is not zero; `None` when there is none.
    pub fn bounding_box(&self) -> Option<Bounds> {
        let mut found = Bounds::default();
        // From the outside inwards: tiles inside what is already found need no look.
        let rows = (0..self.rows().div_ceil(2)).flat_map(|i| [i, self.rows() - 1 - i]);
        for (column, row) in rows.flat_map(|row| (0..self.columns).map(move |c| (c, row))) {
            let bounds = self.tile_bounds(column, row);
            if self.tile(column, row).is_some() && found.union(bounds) != found {
                let inside = self.crop(bounds).bounding_box().unwrap_or_default();
                found = found.union(Bounds {
                    x: inside.x + bounds.x,
                    y: inside.y + bounds.y,
                    ..inside
                });
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// A tile that is 255 inside the extent and zero beyond it.
fn full_tile(inside: Extent) -> Box<[u8]> {
    let mut bytes = vec![0; MaskTiles::TILE_BYTES].into_boxed_slice();
    let rows = bytes.chunks_exact_mut(TILE_SIDE as usize).take(inside.height as usize);
    rows.for_each(|row| row[..inside.width as usize].fill(255));
    bytes
}
