//! Reduced levels of a tiled picture, so that a picture seen from afar is neither aliased nor
//! wholly uploaded. A tile of level n stands for 2^n by 2^n tiles.
//!
//! Levels are means of 2x2 texels, in sRGB as every editor's canvas, weighted by alpha. They are
//! made when first seen and kept until a tile below them changes.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use rayon::prelude::*;

use super::tile_source::TileSource;
use crate::{document::TILE_SIDE, geometry::Extent};

/// A tile of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileKey {
    /// 0 is the picture itself; each further level halves the size.
    pub level: u32,
    pub column: u32,
    pub row: u32,
}

impl TileKey {
    /// The four tiles of the level below: upper left, upper right, lower left, lower right.
    fn children(self) -> [Self; 4] {
        let child = |x: u32, y: u32| Self {
            level: self.level - 1,
            column: self.column * 2 + x,
            row: self.row * 2 + y,
        };
        [child(0, 0), child(1, 0), child(0, 1), child(1, 1)]
    }
}

/// Size of a level in texels.
pub fn level_extent(extent: Extent, level: u32) -> Extent {
    Extent::new(extent.width.div_ceil(1 << level), extent.height.div_ceil(1 << level))
}

/// Names the contents of a tile of any level; 0 if it is absent. Above level 0 a 64-bit hash of
/// the versions below.
pub fn stamp<S: TileSource>(source: &S, key: TileKey) -> u64 {
    if key.level == 0 {
        return source.version(key.column, key.row);
    }
    let grid = level_extent(source.extent(), TILE_SIDE.trailing_zeros());
    let mut hash = 0;
    for row in (key.row << key.level)..((key.row + 1) << key.level).min(grid.height) {
        for column in (key.column << key.level)..((key.column + 1) << key.level).min(grid.width) {
            hash = mix(hash, source.version(column, row));
        }
    }
    hash
}

/// A hash of one more number. Stays 0 only while all are 0, and depends on their order.
pub fn mix(hash: u64, version: u64) -> u64 {
    if hash == 0 && version == 0 {
        return 0;
    }
    // Multiplicative hashing with the fractional part of the golden ratio.
    let mixed =
        (hash.rotate_left(23) ^ version.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).max(1)
}

/// A reduced tile and the stamp of what it was made from.
struct Reduced {
    stamp: u64,
    bytes: Arc<[u8]>,
}

/// The reduced tiles of one source, as far as they were needed.
#[derive(Default)]
pub struct Pyramid {
    reduced: HashMap<TileKey, Reduced>,
}

impl Pyramid {
    /// The bytes of tiles of any level, made in parallel where they are missing or stale. `None`
    /// for absent ones.
    pub fn tiles<'s, S: TileSource>(
        &mut self,
        source: &'s S,
        keys: &[TileKey],
    ) -> Vec<Option<TileBytes<'s>>> {
        let built: Vec<_> = keys
            .par_iter()
            .map(|&key| {
                let mut fresh = Vec::new();
                (self.tile(source, key, &mut fresh), fresh)
            })
            .collect();
        built
            .into_iter()
            .map(|(bytes, fresh)| {
                self.reduced.extend(fresh);
                bytes
            })
            .collect()
    }

    /// Forgets everything, for another source.
    pub fn clear(&mut self) {
        self.reduced.clear();
    }

    fn tile<'s, S: TileSource>(
        &self,
        source: &'s S,
        key: TileKey,
        fresh: &mut Vec<(TileKey, Reduced)>,
    ) -> Option<TileBytes<'s>> {
        let stamp = stamp(source, key);
        if stamp == 0 {
            return None;
        }
        if key.level == 0 {
            return source.tile(key.column, key.row).map(TileBytes::Original);
        }
        if let Some(known) = self.reduced.get(&key).filter(|known| known.stamp == stamp) {
            return Some(TileBytes::Reduced(Arc::clone(&known.bytes)));
        }
        let grid = level_extent(source.extent(), TILE_SIDE.trailing_zeros() + key.level - 1);
        let children = key.children().map(|child| {
            let exists = child.column < grid.width && child.row < grid.height;
            exists.then(|| self.tile(source, child, fresh)).flatten()
        });
        let bytes: Arc<[u8]> = reduce(&children, S::CHANNELS).into();
        fresh.push((key, Reduced { stamp, bytes: Arc::clone(&bytes) }));
        Some(TileBytes::Reduced(bytes))
    }
}

/// A tile's bytes, of the source itself or of a reduced level.
pub enum TileBytes<'s> {
    Original(Cow<'s, [u8]>),
    Reduced(Arc<[u8]>),
}

impl std::ops::Deref for TileBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Original(bytes) => bytes,
            Self::Reduced(bytes) => bytes,
        }
    }
}

/// One tile from four, each texel from 2x2. Absent children are zero.
fn reduce(children: &[Option<TileBytes<'_>>; 4], channels: usize) -> Vec<u8> {
    let side = TILE_SIDE as usize;
    let mut out = vec![0; side * side * channels];
    for (index, child) in children.iter().enumerate() {
        let Some(child) = child else { continue };
        let (left, top) = (index % 2 * side / 2, index / 2 * side / 2);
        for y in 0..side / 2 {
            let start = 2 * y * side * channels;
            let (upper, lower) =
                child[start..start + 2 * side * channels].split_at(side * channels);
            let to = ((top + y) * side + left) * channels;
            let to = &mut out[to..to + side / 2 * channels];
            match channels {
                1 => reduce_coverage(upper, lower, to),
                _ => reduce_colour(upper, lower, to),
            }
        }
    }
    out
}

fn reduce_coverage(upper: &[u8], lower: &[u8], to: &mut [u8]) {
    for ((to, u), l) in to.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
        let sum: u16 = [u[0], u[1], l[0], l[1]].into_iter().map(u16::from).sum();
        *to = ((sum + 2) / 4) as u8;
    }
}

fn reduce_colour(upper: &[u8], lower: &[u8], to: &mut [u8]) {
    let (upper, lower) = (upper.as_chunks().0, lower.as_chunks().0);
    for ((to, u), l) in to.as_chunks_mut().0.iter_mut().zip(upper).zip(lower) {
        *to = mean_colour(u, l);
    }
}

/// The mean of two texels above and two below, weighted by alpha.
fn mean_colour(u: &[u8; 8], l: &[u8; 8]) -> [u8; 4] {
    let four =
        |channel: usize| [u[channel], u[channel + 4], l[channel], l[channel + 4]].map(u32::from);
    let alphas = four(3);
    let alpha = alphas[0] + alphas[1] + alphas[2] + alphas[3];
    if alpha == 0 {
        return [0; 4];
    }
    if alpha == 4 * 255 {
        // Opaque, as most pictures are: the same mean without multiplying and dividing.
        let mean = |c: [u32; 4]| ((c[0] + c[1] + c[2] + c[3] + 2) / 4) as u8;
        return [mean(four(0)), mean(four(1)), mean(four(2)), 255];
    }
    let mean = |c: [u32; 4]| {
        let sum = c[0] * alphas[0] + c[1] * alphas[1] + c[2] * alphas[2] + c[3] * alphas[3];
        ((sum + alpha / 2) / alpha) as u8
    };
    [mean(four(0)), mean(four(1)), mean(four(2)), ((alpha + 2) / 4) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::{MaskTiles, PictureTiles},
        geometry::Bounds,
        pixels::Picture,
    };

    fn key(level: u32, column: u32, row: u32) -> TileKey {
        TileKey { level, column, row }
    }

    #[test]
    fn transparent_pixels_do_not_darken() {
        let upper = [200, 100, 50, 255, 0, 0, 0, 0];
        let mut out = [0; 4];
        reduce_colour(&upper, &upper, &mut out);
        assert_eq!(out, [200, 100, 50, 128]);
    }

    #[test]
    fn a_level_is_the_mean_of_the_pixels_below() {
        let extent = Extent::new(700, 300);
        let bytes: Vec<u8> =
            (0..extent.area()).flat_map(|i| [(i * 7 % 251) as u8, 9, 0, 255]).collect();
        let picture = Picture::from_raw(extent, bytes).unwrap();
        let tiles = PictureTiles::from_picture(&picture);
        let found = Pyramid::default().tiles(&tiles, &[key(2, 0, 0)]);
        let found = found[0].as_ref().unwrap();
        for (x, y) in [(0u32, 0u32), (63, 10), (64, 70), (174, 74)] {
            let block = picture.crop(Bounds::new(x as i32 * 4, y as i32 * 4, 4, 4));
            let mean = block.bytes().chunks_exact(4).map(|p| f32::from(p[0])).sum::<f32>() / 16.0;
            let at = (y * TILE_SIDE + x) as usize * 4;
            assert!((f32::from(found[at]) - mean).abs() <= 1.0, "texel {x}, {y}");
            assert_eq!(found[at + 1..at + 4], [9, 0, 255]);
        }
    }

    #[test]
    fn only_what_lies_over_a_changed_tile_gets_another_stamp() {
        let mut mask = MaskTiles::new(Extent::new(1024, 1024));
        assert_eq!(stamp(&mask, key(1, 0, 0)), 0);
        mask.write(Bounds::new(0, 0, 1, 1), &[1]);
        let before =
            [stamp(&mask, key(1, 0, 0)), stamp(&mask, key(1, 1, 1)), stamp(&mask, key(2, 0, 0))];
        mask.write(Bounds::new(600, 600, 1, 1), &[1]);
        assert_eq!(stamp(&mask, key(1, 0, 0)), before[0]);
        assert_ne!(stamp(&mask, key(1, 1, 1)), before[1]);
        assert_ne!(stamp(&mask, key(2, 0, 0)), before[2]);
    }

    #[test]
    fn a_reduced_tile_is_made_anew_only_when_stale() {
        let mut mask = MaskTiles::new(Extent::new(512, 512));
        mask.write(Bounds::new(0, 0, 2, 2), &[100; 4]);
        let mut pyramid = Pyramid::default();
        let first = |pyramid: &mut Pyramid, mask: &MaskTiles| match &pyramid
            .tiles(mask, &[key(1, 0, 0)])[0]
        {
            Some(TileBytes::Reduced(bytes)) => Arc::clone(bytes),
            _ => panic!("a reduced tile"),
        };
        let one = first(&mut pyramid, &mask);
        assert_eq!(one[0], 100);
        assert!(Arc::ptr_eq(&one, &first(&mut pyramid, &mask)));
        mask.write(Bounds::new(0, 0, 2, 2), &[200; 4]);
        assert_eq!(first(&mut pyramid, &mask)[0], 200);
    }
}
