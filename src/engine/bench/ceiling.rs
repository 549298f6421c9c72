//! What the machine can do at all: one large product of matrices.

use candle_core::{DType, Device, Tensor};

use super::Timing;
use crate::engine::EngineError;

/// Rows and columns: large enough to keep the machine busy, small enough to be done in a moment.
const SIDE_CPU: usize = 1024;
const SIDE_DEVICE: usize = 8192;
const RUNS: usize = 5;

/// Floating-point operations a second of the fastest of several products in `dtype`.
pub fn flops_per_second(device: &Device, dtype: DType) -> Result<f64, EngineError> {
    let side = if device.is_cpu() { SIDE_CPU } else { SIDE_DEVICE };
    let matrix = Tensor::randn(0f32, 1.0, (side, side), device);
    let matrix = matrix.and_then(|matrix| matrix.to_dtype(dtype)).map_err(EngineError::failed)?;
    let product = || matrix.matmul(&matrix).map(drop).map_err(EngineError::failed);
    let (fastest, _) = Timing::of(device, RUNS, product)?.spread();
    Ok(2.0 * (side as f64).powi(3) / fastest.as_secs_f64())
}
