//! Attention in blocks of queries from candle's operations, for accelerators.

use candle_core::{DType, Device, Result, Tensor};

use super::{AttentionOptions, AttentionShape};

/// Bytes of one copy of a block's scores, in f32.
const SCRATCH: usize = 128 << 20;

/// `bias` [keys] is added to every query's scores.
pub fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    shape: AttentionShape,
    options: AttentionOptions,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let dtype = query.dtype();
    let score_dtype = if options.upcast { DType::F32 } else { dtype };
    let heads = |tensor: &Tensor, dtype: DType| {
        let (batch, length, width) = tensor.dims3()?;
        let parts = tensor.reshape((batch, length, shape.heads, width / shape.heads))?;
        parts.transpose(1, 2)?.to_dtype(dtype)?.contiguous()
    };
    // Scaled before the product, so that it does not overflow in f16.
    let query = (heads(query, score_dtype)? * options.scale)?;
    let key = heads(key, score_dtype)?.transpose(2, 3)?;
    let value = heads(value, dtype)?;
    let row_bytes = shape.batch * shape.heads * shape.keys * DType::F32.size_in_bytes();
    let block = (SCRATCH / row_bytes).clamp(1, shape.queries.max(1));
    let mut parts = Vec::with_capacity(shape.queries.div_ceil(block));
    for start in (0..shape.queries).step_by(block) {
        let length = block.min(shape.queries - start);
        let scores = query.narrow(2, start, length)?.matmul(&key)?.to_dtype(DType::F32)?;
        let scores = if options.causal {
            scores.broadcast_add(&causal_mask(start, length, shape.keys, scores.device())?)?
        } else {
            scores
        };
        let scores = match bias {
            Some(bias) => scores.broadcast_add(bias)?,
            None => scores,
        };
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)?;
        parts.push(weights.matmul(&value)?);
    }
    let out = Tensor::cat(&parts, 2)?.transpose(1, 2)?;
    out.reshape((shape.batch, shape.queries, shape.heads * shape.value_width))
}

/// [length, keys]: 0 for what the queries from `start` on may see, minus infinity for the rest.
pub fn causal_mask(start: usize, length: usize, keys: usize, device: &Device) -> Result<Tensor> {
    let entry = |i: usize| if i % keys > start + i / keys { f32::NEG_INFINITY } else { 0.0 };
    Tensor::from_vec((0..length * keys).map(entry).collect(), (length, keys), device)
}
