//! The nearest-neighbour field: for every patch that touches the hole, the most alike source
//! patch, found by PatchMatch (Barnes, Shechtman, Finkelstein, Goldman, 2009).

use rayon::prelude::*;

use super::{
    level::{Kind, Level, PATCH},
    random::Random,
    usage,
};

/// Rows that one task scans. Fixed, so that the result does not depend on the number of threads.
const BAND: usize = 16;

/// A source patch by its corner's index, and its distance.
#[derive(Clone, Copy)]
pub(super) struct Match {
    pub(super) source: u32,
    pub(super) distance: u32,
}

impl Match {
    /// Of patches that do not touch the hole.
    const NONE: Self = Self { source: u32::MAX, distance: u32::MAX };

    pub(super) fn is_some(self) -> bool {
        self.source != u32::MAX
    }
}

/// Matches of all patches whose corners lie in a rectangle of a level.
pub(super) struct Field {
    /// The rectangle: first column and row, and size.
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) matches: Vec<Match>,
}

impl Field {
    /// A random source for every patch that touches the hole.
    pub(super) fn random(level: &Level, seed: u64) -> Self {
        let mut random = Random::new(seed, [0, 0, 0]);
        Self::build(level, |_, _| {
            level.source_patches[random.below(level.source_patches.len())] as usize
        })
    }

    /// Twice the size: every patch takes its coarse patch's shift, doubled.
    pub(super) fn refined(&self, coarse: &Level, level: &Level, seed: u64) -> Self {
        let mut random = Random::new(seed, [1, level.width as u64, 0]);
        let corner = |i: usize, size: usize| (i / 2).min(size - PATCH);
        Self::build(level, |x, y| {
            let (cx, cy) = (corner(x, coarse.width), corner(y, coarse.height));
            let source = self.at(cx, cy).source as usize;
            let shifted = |i: usize, to: usize, from: usize, size: usize| {
                (i as i64 + 2 * (to as i64 - from as i64)).clamp(0, (size - PATCH) as i64) as usize
            };
            let sx = shifted(x, source % coarse.width, cx, level.width);
            let sy = shifted(y, source / coarse.width, cy, level.height);
            let at = sy * level.width + sx;
            if level.is_source_patch[at] {
                return at;
            }
            level.source_patches[random.below(level.source_patches.len())] as usize
        })
    }

    fn build(level: &Level, mut source: impl FnMut(usize, usize) -> usize) -> Self {
        let (x, y, width, height) = corners_around_hole(level);
        let mut field = Self { x, y, width, height, matches: vec![Match::NONE; width * height] };
        let touches = touches_hole(level);
        for i in 0..width * height {
            let (px, py) = (x + i % width, y + i / width);
            if touches(px, py) {
                let source = source(px, py) as u32;
                field.matches[i] = Match { source, distance: u32::MAX };
            }
        }
        field
    }

    /// The match of the patch with its corner at (x, y) of the level.
    pub(super) fn at(&self, x: usize, y: usize) -> Match {
        self.matches[(y - self.y) * self.width + x - self.x]
    }

    /// Distances anew, after the hole's colours have changed.
    pub(super) fn measure(&mut self, level: &Level) {
        let (x0, y0, width) = (self.x, self.y, self.width);
        self.matches.par_iter_mut().enumerate().filter(|(_, m)| m.is_some()).for_each(|(i, m)| {
            let corner = (y0 + i / width) * level.width + x0 + i % width;
            m.distance = level.distance(corner, m.source as usize, u32::MAX);
        });
    }

    /// One scan: each patch tries its neighbours' shifts, then random sources within ever
    /// smaller windows, at most `reach` pixels away. Odd scans run backwards. Sources that were used
    /// again and again before this scan cost more than their distance.
    pub(super) fn search(&mut self, level: &Level, scan: u64, reach: usize, seed: u64) {
        let before = self.matches.clone();
        let penalties = usage::penalties(level, &before);
        let (x0, y0, width) = (self.x, self.y, self.width);
        self.matches.par_chunks_mut(BAND * width).enumerate().for_each(|(band, matches)| {
            let mut task = Scan {
                level,
                before: &before,
                penalties: &penalties,
                first: band * BAND * width,
                matches,
                origin: (x0, y0),
                width,
                step: if scan.is_multiple_of(2) { -1 } else { 1 },
                reach,
                random: Random::new(seed, [scan + 2, level.width as u64, band as u64]),
            };
            task.run();
        });
    }
}

/// The scan of one band.
struct Scan<'a> {
    level: &'a Level,
    /// The whole field before this scan, for neighbours in other bands.
    before: &'a [Match],
    /// By source patch, what its use costs on top of its distance.
    penalties: &'a [u32],
    /// Index of this band's first match in the field.
    first: usize,
    matches: &'a mut [Match],
    origin: (usize, usize),
    width: usize,
    /// Where the neighbours that were already visited lie: -1 left and above, 1 right and below.
    step: i64,
    reach: usize,
    random: Random,
}

impl Scan<'_> {
    fn run(&mut self) {
        let count = self.matches.len();
        for n in 0..count {
            let i = if self.step < 0 { n } else { count - 1 - n };
            if self.matches[i].is_some() {
                self.improve(i);
            }
        }
    }

    fn improve(&mut self, i: usize) {
        let at = self.first + i;
        let (x, y) = (self.origin.0 + at % self.width, self.origin.1 + at / self.width);
        let corner = y * self.level.width + x;
        let mut best = self.matches[i];
        let column = (at % self.width) as i64 + self.step;
        if (0..self.width as i64).contains(&column) {
            self.try_shift_of(at as i64 + self.step, self.step, 0, corner, &mut best);
        }
        self.try_shift_of(
            at as i64 + self.step * self.width as i64,
            0,
            self.step,
            corner,
            &mut best,
        );
        self.try_random(corner, &mut best);
        self.matches[i] = best;
    }

    /// The shift of the neighbour at field index `neighbour`, which lies (dx, dy) away.
    fn try_shift_of(&self, neighbour: i64, dx: i64, dy: i64, corner: usize, best: &mut Match) {
        let Ok(neighbour) = usize::try_from(neighbour) else { return };
        let Some(old) = self.before.get(neighbour) else { return };
        let inside = neighbour.checked_sub(self.first).and_then(|i| self.matches.get(i));
        let found = inside.unwrap_or(old);
        if !found.is_some() {
            return;
        }
        let x = i64::from(found.source) % self.level.width as i64 - dx;
        let y = i64::from(found.source) / self.level.width as i64 - dy;
        self.try_source(x, y, corner, best);
    }

    fn try_random(&mut self, corner: usize, best: &mut Match) {
        let mut reach = self.reach;
        while reach >= 1 {
            let source = best.source as usize;
            let mut jitter = || self.random.below(2 * reach + 1) as i64 - reach as i64;
            let x = (source % self.level.width) as i64 + jitter();
            let y = (source / self.level.width) as i64 + jitter();
            self.try_source(x, y, corner, best);
            reach /= 2;
        }
    }

    fn try_source(&self, x: i64, y: i64, corner: usize, best: &mut Match) {
        let level = self.level;
        if x < 0 || y < 0 || x >= level.width as i64 || y >= level.height as i64 {
            return;
        }
        let source = y as usize * level.width + x as usize;
        if !level.is_source_patch[source] || source == best.source as usize {
            return;
        }
        let penalty = self.penalties[source];
        let cost = best.distance.saturating_add(self.penalties[best.source as usize]);
        let Some(limit) = cost.checked_sub(penalty) else { return };
        let distance = level.distance(corner, source, limit);
        if distance < limit {
            *best = Match { source: source as u32, distance };
        }
    }
}

/// Corners of the patches that can touch the hole: first column and row, and size.
fn corners_around_hole(level: &Level) -> (usize, usize, usize, usize) {
    let (mut x0, mut y0, mut x1, mut y1) = (usize::MAX, usize::MAX, 0, 0);
    for (i, _) in level.kinds.iter().enumerate().filter(|(_, k)| **k == Kind::Hole) {
        let (x, y) = (i % level.width, i / level.width);
        (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x), y1.max(y));
    }
    let first = |v: usize, size: usize| v.saturating_sub(PATCH - 1).min(size - PATCH);
    let (x0, y0) = (first(x0, level.width), first(y0, level.height));
    let (x1, y1) = (x1.min(level.width - PATCH), y1.min(level.height - PATCH));
    (x0, y0, x1 + 1 - x0, y1 + 1 - y0)
}

/// Whether the patch with its corner at (x, y) covers a pixel of the hole.
fn touches_hole(level: &Level) -> impl Fn(usize, usize) -> bool {
    let (width, height) = (level.width, level.height);
    // Sums over the rectangle from the origin.
    let mut sums = vec![0_u32; (width + 1) * (height + 1)];
    for y in 0..height {
        let mut row = 0;
        for x in 0..width {
            row += u32::from(level.kinds[y * width + x] == Kind::Hole);
            sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
        }
    }
    move |x, y| {
        let at = |x: usize, y: usize| sums[y * (width + 1) + x];
        let (x1, y1) = (x + PATCH, y + PATCH);
        at(x1, y1) + at(x, y) > at(x1, y) + at(x, y1)
    }
}
