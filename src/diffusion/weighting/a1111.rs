//! AUTOMATIC1111's weights ("Original" emphasis): a row's states are multiplied by the weights of
//! their tokens, and then by one number that brings their mean back to what it was.

use candle_core::Tensor;

use super::{Result, Text, column};
use crate::prompt::chunks::Rows;

/// The states [1, n, width] of rows.
pub fn weighted(text: &Text<'_>, rows: &Rows) -> Result<Tensor> {
    let length = text.encoder.frame().length;
    let mut parts = Vec::new();
    for (ids, weights) in rows.ids.chunks(length).zip(rows.weights.chunks(length)) {
        let states = text.encoder.encode(ids, None)?;
        parts.push(if weights.iter().all(|weight| *weight == 1.0) {
            states
        } else {
            restored(&states, &states.broadcast_mul(&column(weights, &states)?)?)?
        });
    }
    Ok(Tensor::cat(&parts, 1)?)
}

/// `weighted`, with the mean of `states`.
fn restored(states: &Tensor, weighted: &Tensor) -> Result<Tensor> {
    let ratio = (states.mean_all()? / weighted.mean_all()?)?;
    Ok(weighted.broadcast_mul(&ratio)?)
}
