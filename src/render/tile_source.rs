//! What tile textures are filled from.

use std::borrow::Cow;

use crate::{
    document::{TILE_SIDE, TileGrid},
    geometry::{Bounds, Extent},
    pixels::{Mask, Picture},
};

/// Pixels in squares of [`TILE_SIDE`], each with a version that names its contents.
pub trait TileSource: Sync {
    /// Bytes a pixel: 4 (sRGB, straight alpha) or 1 (coverage).
    const CHANNELS: usize;

    /// Size in pixels.
    fn extent(&self) -> Extent;

    /// 0 where the tile is absent, which means all zero; else the same number only for the same
    /// contents.
    fn version(&self, column: u32, row: u32) -> u64;

    /// `TILE_SIDE` rows of `TILE_SIDE` pixels, zero beyond the extent; `None` if absent.
    fn tile(&self, column: u32, row: u32) -> Option<Cow<'_, [u8]>>;
}

impl<const CHANNELS: usize> TileSource for TileGrid<CHANNELS> {
    const CHANNELS: usize = CHANNELS;

    fn extent(&self) -> Extent {
        self.extent()
    }

    fn version(&self, column: u32, row: u32) -> u64 {
        self.version(column, row)
    }

    fn tile(&self, column: u32, row: u32) -> Option<Cow<'_, [u8]>> {
        self.tile(column, row).map(|tile| Cow::Borrowed(tile.bytes()))
    }
}

/// A whole buffer seen as tiles that all have the same version (0 counts as 1).
pub struct Cut<'a, Buffer> {
    pub buffer: &'a Buffer,
    pub version: u64,
}

macro_rules! cut {
    ($buffer:ident) => {
        impl TileSource for Cut<'_, $buffer> {
            const CHANNELS: usize = $buffer::CHANNELS;

            fn extent(&self) -> Extent {
                self.buffer.extent()
            }

            fn version(&self, _column: u32, _row: u32) -> u64 {
                // 0 would mean an absent tile.
                self.version.max(1)
            }

            fn tile(&self, column: u32, row: u32) -> Option<Cow<'_, [u8]>> {
                let corner = |at: u32| (at * TILE_SIDE) as i32;
                let bounds = Bounds::new(corner(column), corner(row), TILE_SIDE, TILE_SIDE);
                Some(Cow::Owned(self.buffer.crop(bounds).into_bytes()))
            }
        }
    };
}

cut!(Picture);
cut!(Mask);
