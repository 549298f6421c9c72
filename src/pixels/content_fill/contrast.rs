//! How grainy the picture is: a feature by which a flat patch is a poor match for a grainy place.
//!
//! In the hole it does not follow the fill as that stands, which voting blurs, but continues that
//! of the surroundings. So the search looks for the grain that belongs there from the start.

use super::{level::Kind, push_pull::Scattered};

/// Weight of a contrast against a colour.
const WEIGHT: f32 = 1.5;
/// Half the side of the window that contrast is measured in.
const HALF: usize = 2;

/// Writes the contrast of all pixels into the fourth channel: the mean absolute difference of
/// lightness from the window's mean, among sources; elsewhere a smooth continuation of that.
pub(super) fn guide(lab: &mut [[i16; 4]], width: usize, height: usize, kinds: &[Kind]) {
    let measured: Vec<Option<f32>> = (0..lab.len())
        .map(|i| (kinds[i] == Kind::Source).then(|| contrast(lab, width, height, kinds, i)))
        .collect();
    let smooth = Scattered {
        width,
        height,
        colors: measured.iter().map(|c| [c.unwrap_or(0.0); 3]).collect(),
        weights: measured.iter().map(|c| f32::from(u8::from(c.is_some()))).collect(),
    }
    .interpolated();
    for ((pixel, own), around) in lab.iter_mut().zip(measured).zip(smooth) {
        pixel[3] = (WEIGHT * own.unwrap_or(around[0])).round() as i16;
    }
}

/// Mean absolute deviation of lightness among the sources in the window around pixel `i`.
fn contrast(lab: &[[i16; 4]], width: usize, height: usize, kinds: &[Kind], i: usize) -> f32 {
    let (x, y) = (i % width, i / width);
    let columns = x.saturating_sub(HALF)..(x + HALF + 1).min(width);
    let window = || {
        (y.saturating_sub(HALF)..(y + HALF + 1).min(height))
            .flat_map(|y| columns.clone().map(move |x| y * width + x))
            .filter(|&j| kinds[j] == Kind::Source)
            .map(|j| f32::from(lab[j][0]))
    };
    let (sum, count) = window().fold((0.0, 0.0), |(sum, count), l| (sum + l, count + 1.0));
    window().map(|l| (l - sum / count).abs()).sum::<f32>() / count
}
