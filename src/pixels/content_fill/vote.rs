//! Colours from matches: every patch over a pixel proposes its source's colour (Wexler,
//! Shechtman, Irani, "Space-time completion of video", 2007).

use rayon::prelude::*;

use super::{
    field::Field,
    level::{Kind, Level, PATCH},
};

/// How much a patch loses for each pixel that its centre lies further inside the hole.
const DEPTH_FALLOFF: f32 = 1.3;

/// Colours of the hole's pixels by index, from the weighted votes of all patches over them.
/// `sharpness` 1 weighs as published; more leans on the best patches and keeps texture crisp.
pub(super) fn vote(level: &Level, field: &Field, sharpness: f32) -> Vec<(usize, [f32; 3])> {
    vote_on(level, field, sharpness, |source| level.rgb[source].map(f32::from))
}

/// As [`vote`], on whatever `value` says about a source pixel, by its index.
pub(super) fn vote_on(
    level: &Level,
    field: &Field,
    sharpness: f32,
    value: impl Fn(usize) -> [f32; 3] + Sync,
) -> Vec<(usize, [f32; 3])> {
    let value = &value;
    (0..level.height)
        .into_par_iter()
        .flat_map_iter(|y| {
            (0..level.width).filter(move |x| level.kinds[y * level.width + x] == Kind::Hole).map(
                move |x| {
                    let mut ballots = [Ballot::default(); PATCH * PATCH];
                    let count = collect(level, field, x, y, value, &mut ballots);
                    (y * level.width + x, weighted_mean(&mut ballots[..count], sharpness))
                },
            )
        })
        .collect()
}

/// The ballots' mean; there is at least one.
fn weighted_mean(ballots: &mut [Ballot], sharpness: f32) -> [f32; 3] {
    // The published bandwidth: the 75th percentile of the distances here.
    let middle = ballots.len() * 3 / 4;
    let percentile = ballots.select_nth_unstable_by_key(middle, |b| b.distance).1.distance;
    let scale = sharpness / (2.0 * (percentile as f32).max(1.0));
    let nearest = ballots.iter().map(|b| b.distance).min().unwrap_or(0);
    let (mut sum, mut total) = ([0.0; 3], 0.0);
    for ballot in ballots.iter() {
        // Relative to the nearest, so that the weights never all vanish.
        let weight = ballot.confidence * (-((ballot.distance - nearest) as f32) * scale).exp();
        (0..3).for_each(|c| sum[c] += weight * ballot.value[c]);
        total += weight;
    }
    sum.map(|s| s / total)
}

/// What one patch says about a pixel.
#[derive(Clone, Copy, Default)]
struct Ballot {
    value: [f32; 3],
    distance: u32,
    confidence: f32,
}

/// Fills `ballots` for the pixel at (x, y) and says how many there are.
fn collect(
    level: &Level,
    field: &Field,
    x: usize,
    y: usize,
    value: &impl Fn(usize) -> [f32; 3],
    ballots: &mut [Ballot],
) -> usize {
    let from = |v: usize, first: usize| (v + 1).saturating_sub(PATCH).max(first);
    let mut count = 0;
    for py in from(y, field.y)..(y + 1).min(field.y + field.height) {
        for px in from(x, field.x)..(x + 1).min(field.x + field.width) {
            let found = field.at(px, py);
            if !found.is_some() {
                continue;
            }
            let shift = (y - py) * level.width + x - px;
            let centre = (py + PATCH / 2) * level.width + px + PATCH / 2;
            ballots[count] = Ballot {
                value: value(found.source as usize + shift),
                distance: found.distance,
                confidence: DEPTH_FALLOFF.powi(-i32::from(level.depth[centre].min(60))),
            };
            count += 1;
        }
    }
    count
}
