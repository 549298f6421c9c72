//! Compel's weights (2.5, its default `DownweightMode.MASK`).
//!
//! The state of a token with weight w is moved along the line from an empty text's state through
//! its own, to w times the distance. A text with fragments of less weight than 1 is then blended
//! with its states when attention passes over such a fragment: the less weight, the more of those.

use std::f64::consts::PI;

use candle_core::Tensor;

use super::{Error, Result, Text, column};
use crate::prompt::chunks::{LongText, Rows};

/// Weights below count as this: at 0 nothing of the text with the fragment would be left.
const LEAST: f64 = 1e-5;

/// The states [1, n, width] of rows; one weight for each fragment.
pub fn weighted(text: &Text<'_>, rows: &Rows, fragments: &[f64]) -> Result<Tensor> {
    let mut parts = vec![(states(text, rows, None)?, 1.0)];
    for (span, weight) in rows.spans.iter().zip(fragments) {
        if *weight < 1.0 && span.start < span.end {
            let without = states(text, rows, Some(&seen_without(text, rows, span.clone())))?;
            let share = ((1.0 - weight.max(LEAST)) * PI / 2.0).tan();
            parts.push((without, share));
        }
    }
    blended(&parts, true)
}

/// All places but those of a fragment. What frames a row stays in sight where texts are long.
fn seen_without(text: &Text<'_>, rows: &Rows, span: std::ops::Range<usize>) -> Vec<bool> {
    let length = text.encoder.frame().length;
    let is_frame = |at: usize| at.is_multiple_of(length) || (at + 1).is_multiple_of(length);
    let keep = |at: usize| text.long != LongText::Cut && is_frame(at);
    (0..rows.ids.len()).map(|at| !span.contains(&at) || keep(at)).collect()
}

/// All rows with their tokens' weights, attending to the places that `seen` says.
fn states(text: &Text<'_>, rows: &Rows, seen: Option<&[bool]>) -> Result<Tensor> {
    let length = text.encoder.frame().length;
    let mut parts = Vec::new();
    for (row, ids) in rows.ids.chunks(length).enumerate() {
        let places = row * length..(row + 1) * length;
        let seen = seen.map(|seen| &seen[places.clone()]).filter(|seen| !seen.iter().all(|s| *s));
        let states = text.encoder.encode(ids, seen)?;
        let weights = &rows.weights[places];
        parts.push(if weights.iter().all(|weight| *weight == 1.0) {
            states
        } else {
            let further: Vec<f64> = weights.iter().map(|weight| weight - 1.0).collect();
            let line = (&states - text.empty(length)?)?;
            (&states + line.broadcast_mul(&column(&further, &states)?)?)?
        });
    }
    Ok(Tensor::cat(&parts, 1)?)
}

/// `states` moved to `weight` times their distance from those of an empty text.
pub fn moved(states: &Tensor, empty: &Tensor, weight: f64) -> Result<Tensor> {
    Ok((states + ((states - empty)? * (weight - 1.0))?)?)
}

/// The weighted sum of states of one shape; with `normalize`, weights are divided by their sum.
pub fn blended(parts: &[(Tensor, f64)], normalize: bool) -> Result<Tensor> {
    let sum: f64 = parts.iter().map(|(_, weight)| weight).sum();
    let divisor = if normalize { sum } else { 1.0 };
    if divisor == 0.0 {
        let text = "the weights of .blend() add up to 0; change one, or add no_normalize";
        return Err(Error::Invalid(text.into()));
    }
    let mut blended: Option<Tensor> = None;
    for (states, weight) in parts {
        let share = (states * (weight / divisor))?;
        blended = Some(match blended {
            Some(blended) => (blended + share)?,
            None => share,
        });
    }
    blended.ok_or_else(|| Error::Invalid("there is nothing to blend".into()))
}
