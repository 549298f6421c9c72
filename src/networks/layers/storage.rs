//! Access to tensors' numbers from kernels.

use candle_core::{CpuStorage, Layout, Result, bail};

/// The numbers of a contiguous f32 tensor; `op` is who asks.
pub fn numbers<'a>(op: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("{op}: not contiguous"),
    }
}
