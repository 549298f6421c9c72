//! What it costs to use a source again: without a price on repetition, a few flat patches, which
//! are never far from a blurred target, end up all over the hole (Kaspar, Neubert, Lischinski,
//! Pauly, Kopf, "Self tuning texture optimization", 2015).

use super::{
    field::Match,
    level::{Level, PATCH},
};

/// Price of each use beyond a source's fair share, in mean distances of the field.
const PRICE: f32 = 0.5;

/// For every patch corner of the level, `PRICE * max(usage / fair - 1, 0)` mean distances. Usage is
/// how often the patch's surroundings are copied; the fair share is 1, so that a region may be
/// copied once as a whole, or more where there are fewer sources than patches to fill.
pub(super) fn penalties(level: &Level, matches: &[Match]) -> Vec<u32> {
    let (mut uses, mut total, mut measured) = (vec![0_u32; level.kinds.len()], 0_u64, 0_u64);
    let mut count = 0_usize;
    for found in matches.iter().filter(|m| m.is_some()) {
        uses[found.source as usize] += 1;
        count += 1;
        // Patches about which nothing is known yet say nothing about distances.
        if found.distance < u32::MAX - 1 {
            total += u64::from(found.distance);
            measured += 1;
        }
    }
    let mean = total.checked_div(measured).unwrap_or(0) as f32;
    let fair = (count as f32 / level.source_patches.len() as f32).max(1.0);
    let around = box_means(&uses, level.width, level.height);
    around.into_iter().map(|u| (PRICE * mean * (u / fair - 1.0).max(0.0)) as u32).collect()
}

/// Means over the window of a patch's size around each place; beyond the border there is nothing.
fn box_means(values: &[u32], width: usize, height: usize) -> Vec<f32> {
    const HALF: usize = PATCH / 2;
    let mut across = vec![0; values.len()];
    for (row, out) in values.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        let mut sum: u32 = row[..HALF.min(width)].iter().sum();
        for (x, window) in out.iter_mut().enumerate() {
            sum += row.get(x + HALF).copied().unwrap_or(0);
            *window = sum;
            sum -= x.checked_sub(HALF).map_or(0, |x| row[x]);
        }
    }
    let mut sums: Vec<u32> = vec![0; width];
    let add = |sums: &mut [u32], y: usize, sign: bool| {
        for (sum, v) in sums.iter_mut().zip(&across[y * width..][..width]) {
            *sum = if sign { *sum + v } else { *sum - v };
        }
    };
    (0..HALF.min(height)).for_each(|y| add(&mut sums, y, true));
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        if y + HALF < height {
            add(&mut sums, y + HALF, true);
        }
        out.extend(sums.iter().map(|&s| s as f32 / (PATCH * PATCH) as f32));
        if y >= HALF {
            add(&mut sums, y - HALF, false);
        }
    }
    out
}
