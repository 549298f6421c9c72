//! Exemplar-based fill of a hole from the rest of the picture: PatchMatch from coarse to fine,
//! with colours voted by all patches that cover a pixel.
//!
//! At each level two steps alternate, as expectation and maximisation do: find for every patch
//! that touches the hole the source patch most like it, then let all patches over a pixel vote on
//! its colour. From level to level the shifts are carried over, not the colours, so that every
//! level has its own full detail.
//!
//! Two things keep the search from settling on a few flat patches, which are never far from a
//! voted and so somewhat blurred target: local contrast is a feature of its own, continued into
//! the hole from around it, and using one source again and again has a price.

mod contrast;
mod field;
mod level;
mod push_pull;
mod random;
mod seams;
mod usage;
mod vote;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use self::{
    field::Field,
    level::{Level, PATCH},
    push_pull::Scattered,
};
use super::{Mask, Picture};
use crate::geometry::{Bounds, Extent};

/// How a hole is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FillOptions {
    /// Seed of the search; the same seed gives the same picture.
    pub seed: u64,
    /// Rounds at the coarsest level, 1 or more; finer levels take fewer. More is slower and
    /// settles better.
    pub iterations: usize,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self { seed: 0, iterations: 12 }
    }
}

/// How far a fill has come.
#[derive(Clone, Copy, Debug)]
pub struct FillProgress<'a> {
    /// 0 to 1.
    pub fraction: f32,
    /// The whole picture as it stands, in full size; outside the hole it is the original.
    pub picture: &'a Picture,
}

/// Why a hole could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    #[error("the mask is {mask}, the picture {picture}: they must have one size")]
    Extents { mask: Extent, picture: Extent },
    #[error(
        "nothing is left to fill from: the mask covers (nearly) all of the picture's opaque part. \
         Paint a smaller mask."
    )]
    NoSource,
    #[error("the fill was cancelled")]
    Cancelled,
}

/// Fills the pixels where `mask` is not 0 with patches from where it is 0; other pixels stay, and
/// the filled ones become opaque. Transparent pixels are no sources. An empty mask gives the
/// picture back. `observe` sees the picture after every round and stops the work with
/// [`ControlFlow::Break`].
pub fn content_fill(
    picture: &Picture,
    mask: &Mask,
    options: &FillOptions,
    observe: &mut dyn FnMut(FillProgress<'_>) -> ControlFlow<()>,
) -> Result<Picture, FillError> {
    if picture.extent() != mask.extent() {
        return Err(FillError::Extents { mask: mask.extent(), picture: picture.extent() });
    }
    let Some(hole) = mask.bounding_box() else {
        return Ok(picture.clone());
    };
    let mut out = picture.clone();
    let (bounds, finest) = surroundings(picture, mask, hole)?;
    let mut levels = pyramid(finest);
    let efforts: Vec<Effort> = (0..levels.len())
        .map(|k| Effort::at(k, levels.len(), &levels[k], options.iterations))
        .collect();
    let total: usize = efforts.iter().map(|e| e.rounds).sum();
    let mut done = 0;
    let mut coarser: Option<(Level, Field)> = None;
    while let Some(mut level) = levels.pop() {
        let mut field = start(&mut level, coarser.take(), options.seed);
        let effort = efforts[levels.len()];
        for round in 0..effort.rounds {
            search(&level, &mut field, round, effort.reach, options.seed);
            if levels.is_empty() && round + 1 == effort.rounds {
                finish(&mut level, &field);
            } else {
                apply(&mut level, &field, 1.0);
                field.measure(&level);
            }
            done += 1;
            show(&mut out, mask, bounds, &level);
            let fraction = done as f32 / total as f32;
            if observe(FillProgress { fraction, picture: &out }).is_break() {
                return Err(FillError::Cancelled);
            }
        }
        coarser = Some((level, field));
    }
    Ok(out)
}

/// Fills the hole smoothly from its border (push-pull): cheap, and without texture. Transparent
/// pixels are no sources. Filled pixels become opaque, others stay. Without any source the hole
/// becomes black. Panics when the extents differ.
pub fn smooth_fill(picture: &Picture, mask: &Mask) -> Picture {
    assert_eq!(picture.extent(), mask.extent(), "smooth_fill: the mask has the picture's extent");
    let pixels = || picture.bytes().chunks_exact(4).zip(mask.bytes());
    let colors = Scattered {
        width: picture.extent().width as usize,
        height: picture.extent().height as usize,
        colors: pixels().map(|(p, _)| [p[0], p[1], p[2]].map(f32::from)).collect(),
        weights: pixels().map(|(p, &m)| f32::from(u8::from(m == 0 && p[3] == 255))).collect(),
    }
    .interpolated();
    let mut out = picture.clone();
    for ((p, &m), color) in out.bytes_mut().chunks_exact_mut(4).zip(mask.bytes()).zip(colors) {
        if m != 0 {
            let [r, g, b] = color.map(|c| (c + 0.5) as u8);
            p.copy_from_slice(&[r, g, b, 255]);
        }
    }
    out
}

/// The part of the picture that the fill looks at, and its finest level: around the hole where
/// that holds enough to copy from, else the whole.
fn surroundings(
    picture: &Picture,
    mask: &Mask,
    hole: Bounds,
) -> Result<(Bounds, Level), FillError> {
    /// Fewer source patches than this are not worth restricting the search to.
    const ENOUGH: usize = 20_000;
    let margin = hole.width.max(hole.height).max(192);
    let near = hole.grow(margin).intersect(picture.extent().bounds());
    let level = Level::new(&picture.crop(near), &mask.crop(near));
    let whole = picture.extent().bounds();
    if near == whole || level.source_patches.len() >= ENOUGH {
        return if level.source_patches.is_empty() {
            Err(FillError::NoSource)
        } else {
            Ok((near, level))
        };
    }
    let level = Level::new(picture, mask);
    if level.source_patches.is_empty() { Err(FillError::NoSource) } else { Ok((whole, level)) }
}

/// Levels from fine to coarse, until the hole is about as wide as a patch or too little is left to
/// copy from.
fn pyramid(finest: Level) -> Vec<Level> {
    const LEAST_SOURCES: usize = 60;
    let mut levels = vec![finest];
    loop {
        let last = &levels[levels.len() - 1];
        if last.greatest_depth() <= PATCH as u16 / 2 || last.width.min(last.height) < 4 * PATCH {
            return levels;
        }
        let next = last.halved();
        if next.source_patches.len() < LEAST_SOURCES {
            return levels;
        }
        levels.push(next);
    }
}

/// How much work a level gets.
#[derive(Clone, Copy)]
struct Effort {
    /// Rounds of search and vote, 1 or more.
    rounds: usize,
    /// How far the random search looks, in pixels.
    reach: usize,
}

impl Effort {
    /// At level `k` of `count`, 0 being the finest: fewer rounds the finer, where they cost more
    /// and less is left to decide. Where the hole is huge, what the coarser levels chose is only
    /// refined.
    fn at(k: usize, count: usize, level: &Level, iterations: usize) -> Self {
        const HUGE: usize = 150_000;
        let hole = level.depth.iter().filter(|&&d| d > 0).count();
        if hole > HUGE && k + 1 < count {
            return Self { rounds: 1, reach: 8 };
        }
        let share = (k + 1) as f32 / count as f32;
        Self {
            rounds: ((iterations as f32 * share.max(0.25)).round() as usize).max(2),
            reach: level.width.max(level.height),
        }
    }
}

/// A first field, and with it first colours of the hole.
fn start(level: &mut Level, coarser: Option<(Level, Field)>, seed: u64) -> Field {
    level.fill_smoothly();
    let Some((coarse, shifts)) = coarser else {
        return peel(level, seed);
    };
    let mut field = shifts.refined(&coarse, level, seed);
    field.measure(level);
    apply(level, &field, 1.0);
    field.measure(level);
    field
}

/// Fills the hole from its border inwards, layer by layer, each from what is known by then. It
/// keeps lines going where a smooth start would be matched by something blurred.
fn peel(level: &mut Level, seed: u64) -> Field {
    const SCANS: u64 = 4;
    let mut field = Field::random(level, seed);
    let reach = level.width.max(level.height);
    level.unknown = level.depth.iter().map(|&d| d > 0).collect();
    for layer in 1..=level.greatest_depth() {
        field.measure(level);
        for scan in 0..SCANS {
            field.search(level, (u64::from(layer) << 32) + scan, reach, seed);
        }
        for (i, color) in vote::vote(level, &field, 1.0) {
            if level.depth[i] == layer {
                level.set(i, color.map(|c| (c + 0.5) as u8));
                level.unknown[i] = false;
            }
        }
    }
    level.unknown.clear();
    field.measure(level);
    field
}

/// Two scans, forwards and back.
fn search(level: &Level, field: &mut Field, round: usize, reach: usize, seed: u64) {
    for scan in 0..2 {
        field.search(level, (2 * round + scan) as u64, reach, seed);
    }
}

/// The last vote: sharp, so that texture stays crisp, and then without the seams that leaves.
fn finish(level: &mut Level, field: &Field) {
    const SHARPNESS: f32 = 8.0;
    let mut colors = vote::vote(level, field, SHARPNESS);
    seams::remove(level, field, SHARPNESS, &mut colors);
    for (i, color) in colors {
        level.set(i, color.map(|c| (c + 0.5) as u8));
    }
}

fn apply(level: &mut Level, field: &Field, sharpness: f32) {
    for (i, color) in vote::vote(level, field, sharpness) {
        level.set(i, color.map(|c| (c + 0.5) as u8));
    }
}

/// The hole of `out` as `level` has it, enlarged where the level is coarse.
fn show(out: &mut Picture, mask: &Mask, bounds: Bounds, level: &Level) {
    let scale = |size: u32, level: usize| level as f32 / size as f32;
    let (sx, sy) = (scale(bounds.width, level.width), scale(bounds.height, level.height));
    for y in bounds.y..bounds.bottom() {
        let ly = (((y - bounds.y) as f32 * sy) as usize).min(level.height - 1);
        let row = &level.rgb[ly * level.width..(ly + 1) * level.width];
        let covered = mask.row(y as u32);
        for x in bounds.x..bounds.right() {
            if covered[x as usize] == 0 {
                continue;
            }
            let [r, g, b] = row[(((x - bounds.x) as f32 * sx) as usize).min(level.width - 1)];
            let at = (y as usize * out.extent().width as usize + x as usize) * 4;
            out.bytes_mut()[at..at + 4].copy_from_slice(&[r, g, b, 255]);
        }
    }
}
