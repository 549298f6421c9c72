//! Which training timesteps a short run visits (Lin et al. 2023, table 2), as numpy computes them.

use super::config::Reader;
use crate::diffusion::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    Linspace,
    Leading,
    Trailing,
}

const SPACINGS: &[(&str, Spacing)] = &[
    ("linspace", Spacing::Linspace),
    ("leading", Spacing::Leading),
    ("trailing", Spacing::Trailing),
];

impl Spacing {
    pub fn read(reader: &mut Reader<'_>, default: Self) -> Result<Self> {
        reader.choice("timestep_spacing", SPACINGS, default)
    }

    /// The standard deviation to start from, for schedulers that work in sigmas.
    pub fn init_noise_sigma(self, sigma_max: f32) -> f64 {
        match self {
            Self::Leading => f64::from((sigma_max * sigma_max + 1.0).sqrt()),
            _ => f64::from(sigma_max),
        }
    }
}

/// `numpy.linspace` in f64, both ends included.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    if count < 2 {
        return vec![start; count];
    }
    let step = (end - start) / (count - 1) as f64;
    let mut out: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    out[count - 1] = end;
    out
}

/// Whole multiples of `ratio` plus `offset`, falling, `count` of them.
pub(super) fn leading(count: usize, ratio: usize, offset: usize) -> Vec<f64> {
    (0..count).rev().map(|i| (i * ratio + offset) as f64).collect()
}

/// From `last` down in steps of `total / count`, rounded (half to even), less one: `numpy.arange`
/// with a fractional step, whose length the rounding of the division decides.
pub(super) fn trailing(last: usize, total: usize, count: usize) -> Vec<f64> {
    let start = last as f64;
    let delta = (start - total as f64 / count as f64) - start;
    let len = (-start / -(total as f64 / count as f64)).ceil() as usize;
    (0..len).map(|i| (start + i as f64 * delta).round_ties_even() - 1.0).collect()
}

/// Reads into how many steps the models for few steps were distilled.
pub(super) fn read_original_steps(reader: &mut Reader<'_>, total: usize) -> Result<usize> {
    let original = reader.usize("original_inference_steps", 50)?;
    if original == 0 || original > total {
        return Err(reader.error("original_inference_steps", format!("from 1 to {total}")));
    }
    Ok(original)
}

/// `count` of the `original` timesteps that a model was distilled with, about evenly spaced, from
/// `strength` (0 to 1) of them down.
pub(super) fn distilled(
    total: usize,
    original: usize,
    count: usize,
    strength: f64,
) -> Result<Vec<f64>> {
    let left = (original as f64 * strength) as usize;
    if count == 0 || count > left {
        let text = format!(
            "{count} steps are asked for; this scheduler takes 1 to {left} at strength {strength} \
             ({original} original_inference_steps)"
        );
        return Err(Error::Invalid(text));
    }
    let stride = total / original;
    let at = |i: usize| {
        let skipped = (i as f64 * (left as f64 / count as f64)).floor() as usize;
        ((left - skipped) * stride - 1) as f64
    };
    Ok((0..count).map(at).collect())
}

/// A list turned around.
pub(super) fn reversed(mut values: Vec<f64>) -> Vec<f64> {
    values.reverse();
    values
}

/// Rounded half to even, as numpy rounds.
pub(super) fn rounded(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(f64::round_ties_even).collect()
}
