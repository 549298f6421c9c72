//! One level of the pyramid that a fill works on.

use super::{contrast, push_pull::Scattered};
use crate::{
    geometry::Extent,
    pixels::{Mask, Picture, color::lab_from_srgb},
};

/// Side of a patch, in pixels.
pub(super) const PATCH: usize = 7;

/// Lab is kept in eighths, so that a patch's squared difference fits 32 bits.
const LAB_SCALE: f32 = 8.0;

/// What a pixel is to the fill.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Known; patches are taken from here.
    Source,
    /// To be filled.
    Hole,
    /// Transparent: neither.
    Void,
}

/// A picture at one scale, with what the search needs to know about its pixels.
pub(super) struct Level {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) kinds: Vec<Kind>,
    /// sRGB; in the hole, the fill as it stands.
    pub(super) rgb: Vec<[u8; 3]>,
    /// Lab of `rgb`, and as fourth the local contrast; in the hole, that of its surroundings.
    pub(super) lab: Vec<[i16; 4]>,
    /// By top-left corner: the patch lies inside the picture and holds sources alone.
    pub(super) is_source_patch: Vec<bool>,
    /// The corners of all source patches.
    pub(super) source_patches: Vec<u32>,
    /// Pixels to the nearest one outside the hole (8 neighbours); 0 outside the hole.
    pub(super) depth: Vec<u16>,
    /// Pixels whose colour means nothing yet, which distances leave out; empty when there are none.
    pub(super) unknown: Vec<bool>,
}

impl Level {
    /// The finest level, from a picture and a mask of one extent.
    pub(super) fn new(picture: &Picture, mask: &Mask) -> Self {
        let kinds = picture
            .bytes()
            .chunks_exact(4)
            .zip(mask.bytes())
            .map(|(p, &m)| match (m, p[3]) {
                (1.., _) => Kind::Hole,
                (0, 255) => Kind::Source,
                _ => Kind::Void,
            })
            .collect();
        let rgb = picture.bytes().chunks_exact(4).map(|p| [p[0], p[1], p[2]]).collect();
        Self::from_parts(picture.extent(), kinds, rgb)
    }

    fn from_parts(extent: Extent, kinds: Vec<Kind>, rgb: Vec<[u8; 3]>) -> Self {
        let (width, height) = (extent.width as usize, extent.height as usize);
        let mut lab: Vec<_> = rgb.iter().map(|&c| quantised_lab(c)).collect();
        contrast::guide(&mut lab, width, height, &kinds);
        let is_source_patch = source_patches(width, height, &kinds);
        let source_patches =
            (0..kinds.len()).filter(|&i| is_source_patch[i]).map(|i| i as u32).collect();
        let depth = hole_depth(width, height, &kinds);
        let unknown = Vec::new();
        Self { width, height, kinds, rgb, lab, is_source_patch, source_patches, depth, unknown }
    }

    /// Half the size: a block with a hole in it is hole, one with a void in it is void.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut kinds = Vec::with_capacity(width * height);
        let mut rgb = Vec::with_capacity(width * height);
        for i in 0..width * height {
            let (kind, color) = self.block(i % width * 2, i / width * 2);
            kinds.push(kind);
            rgb.push(color);
        }
        Self::from_parts(Extent::new(width as u32, height as u32), kinds, rgb)
    }

    /// Kind and mean known colour of the 2x2 block at (x, y).
    fn block(&self, x: usize, y: usize) -> (Kind, [u8; 3]) {
        let (mut kind, mut sum, mut count) = (Kind::Source, [0_u32; 3], 0);
        for (x, y) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
            if x >= self.width || y >= self.height {
                continue;
            }
            let i = y * self.width + x;
            match self.kinds[i] {
                Kind::Hole => kind = Kind::Hole,
                Kind::Void if kind == Kind::Source => kind = Kind::Void,
                Kind::Void => {}
                Kind::Source => {
                    (0..3).for_each(|c| sum[c] += u32::from(self.rgb[i][c]));
                    count += 1;
                }
            }
        }
        (kind, sum.map(|s| (s + count / 2).checked_div(count).unwrap_or(0) as u8))
    }

    /// Hole and void take colours smoothly from the sources around them.
    pub(super) fn fill_smoothly(&mut self) {
        let known = |kind: &Kind| f32::from(u8::from(*kind == Kind::Source));
        let smooth = Scattered {
            width: self.width,
            height: self.height,
            colors: self.rgb.iter().map(|c| c.map(f32::from)).collect(),
            weights: self.kinds.iter().map(known).collect(),
        }
        .interpolated();
        for (i, color) in smooth.into_iter().enumerate() {
            if self.kinds[i] != Kind::Source {
                self.set(i, color.map(|c| (c + 0.5) as u8));
            }
        }
    }

    pub(super) fn set(&mut self, i: usize, rgb: [u8; 3]) {
        self.rgb[i] = rgb;
        let [l, a, b, _] = quantised_lab(rgb);
        self.lab[i][..3].copy_from_slice(&[l, a, b]);
    }

    /// Half the hole's greatest width, in pixels.
    pub(super) fn greatest_depth(&self) -> u16 {
        self.depth.iter().copied().max().unwrap_or(0)
    }

    /// Sum of squared Lab and contrast differences of a patch and a source patch, by their corners; stops early
    /// once past `limit`, so a result above it is only a lower bound.
    pub(super) fn distance(&self, patch: usize, source: usize, limit: u32) -> u32 {
        if !self.unknown.is_empty() {
            return self.distance_where_known(patch, source);
        }
        let mut sum = 0;
        for row in 0..PATCH {
            let a = self.lab[patch + row * self.width..][..PATCH].as_flattened();
            let b = self.lab[source + row * self.width..][..PATCH].as_flattened();
            sum += a.iter().zip(b).map(|(&a, &b)| squared_difference(a, b)).sum::<u32>();
            if sum > limit {
                break;
            }
        }
        sum
    }

    /// As [`Self::distance`], from the known pixels alone and scaled up to a whole patch.
    fn distance_where_known(&self, patch: usize, source: usize) -> u32 {
        let (mut sum, mut count) = (0_u64, 0);
        for i in 0..PATCH * PATCH {
            let shift = i / PATCH * self.width + i % PATCH;
            if !self.unknown[patch + shift] {
                let pair = self.lab[patch + shift].iter().zip(&self.lab[source + shift]);
                sum += pair.map(|(&a, &b)| u64::from(squared_difference(a, b))).sum::<u64>();
                count += 1;
            }
        }
        // With nothing known, no source is better than another.
        (sum * (PATCH * PATCH) as u64).checked_div(count).unwrap_or(u64::from(u32::MAX - 1)) as u32
    }
}

fn squared_difference(a: i16, b: i16) -> u32 {
    let d = i32::from(a) - i32::from(b);
    (d * d) as u32
}

fn quantised_lab(rgb: [u8; 3]) -> [i16; 4] {
    let [l, a, b] = lab_from_srgb(rgb).map(|v| (v * LAB_SCALE).round() as i16);
    [l, a, b, 0]
}

/// Which patches hold sources alone, by a running count along both axes.
fn source_patches(width: usize, height: usize, kinds: &[Kind]) -> Vec<bool> {
    // Rows in which the last PATCH pixels are sources, then columns of those.
    let mut across = vec![0_u16; kinds.len()];
    let mut out = vec![false; kinds.len()];
    let mut down = vec![0_usize; width];
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let before = if x == 0 { 0 } else { across[i - 1] };
            across[i] = if kinds[i] == Kind::Source { before.saturating_add(1) } else { 0 };
            down[x] = if across[i] as usize >= PATCH { down[x] + 1 } else { 0 };
            if down[x] >= PATCH {
                out[(y + 1 - PATCH) * width + x + 1 - PATCH] = true;
            }
        }
    }
    out
}

/// Chessboard distance to the nearest pixel outside the hole, in two sweeps. The picture's border
/// does not count as outside: nothing is known there.
fn hole_depth(width: usize, height: usize, kinds: &[Kind]) -> Vec<u16> {
    let mut depth: Vec<u16> =
        kinds.iter().map(|&k| if k == Kind::Hole { u16::MAX } else { 0 }).collect();
    let mut relax = |x: usize, y: usize, step: i64| {
        let i = y * width + x;
        let mut best = depth[i];
        for (dx, dy) in [(-1, 0), (-1, -1), (0, -1), (1, -1)] {
            let (nx, ny) = (x as i64 + dx * step, y as i64 + dy * step);
            if (0..width as i64).contains(&nx) && (0..height as i64).contains(&ny) {
                best = best.min(depth[ny as usize * width + nx as usize].saturating_add(1));
            }
        }
        depth[i] = best;
    };
    for y in 0..height {
        (0..width).for_each(|x| relax(x, y, 1));
    }
    for y in (0..height).rev() {
        (0..width).rev().for_each(|x| relax(x, y, -1));
    }
    depth
}
