//! Scaled dot-product attention that never holds all scores at once.
//!
//! Queries are taken in blocks; a block's scores against every key are computed, turned into
//! weights and used, then forgotten. The result is exact, since each query sees all of its keys.
//! Scratch memory: on the processor at most [`CPU_SCRATCH`] bytes in all (or one row of scores a
//! thread, where that is more); on accelerators about [`DEVICE_SCRATCH`] bytes a copy of the
//! scores, of which up to three are alive.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    numeric,
    product::{Layout as Matrix, product},
    storage::numbers,
};

const CPU_SCRATCH: usize = 64 << 20;

/// Blocks beyond this do not fit into a core's cache.
const CPU_BLOCK: usize = 4 << 20;

const DEVICE_SCRATCH: usize = 128 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionOptions {
    pub heads: usize,
    /// Scores are multiplied by it; 1 / sqrt(head width) as a rule.
    pub scale: f64,
    /// A query sees only the keys up to its own position.
    pub causal: bool,
    /// Scores are computed in f32 even where the tensors are in a half format.
    pub upcast: bool,
}

impl AttentionOptions {
    /// Plain attention of `heads` heads that share `width` channels.
    pub fn new(heads: usize, width: usize) -> Self {
        let scale = ((width / heads.max(1)) as f64).powf(-0.5);
        Self { heads, scale, causal: false, upcast: false }
    }
}

/// `query` [B, T, heads * d], `key` [B, S, heads * d], `value` [B, S, heads * e] to
/// [B, T, heads * e].
pub fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: AttentionOptions,
) -> Result<Tensor> {
    let shape = AttentionShape::new(query.dims(), key.dims(), value.dims(), options.heads)?;
    if !query.device().is_cpu() {
        return on_device(query, key, value, shape, options);
    }
    let dtype = query.dtype();
    let plain = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.contiguous();
    let op = CpuAttention { shape, options };
    plain(query)?.apply_op3_no_bwd(&plain(key)?, &plain(value)?, &op)?.to_dtype(dtype)
}

#[derive(Clone, Copy, Debug)]
struct AttentionShape {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    /// Channels of a head, in queries and keys.
    width: usize,
    /// Channels of a head, in values.
    value_width: usize,
}

impl AttentionShape {
    fn new(query: &[usize], key: &[usize], value: &[usize], heads: usize) -> Result<Self> {
        match (query, key, value) {
            (&[batch, queries, q], &[b, keys, k], &[c, values, v])
                if b == batch
                    && c == batch
                    && keys == values
                    && keys > 0
                    && q == k
                    && heads > 0
                    && q % heads == 0
                    && v % heads == 0 =>
            {
                let (width, value_width) = (q / heads, v / heads);
                Ok(Self { batch, queries, keys, heads, width, value_width })
            }
            _ => bail!("attention: {query:?}, {key:?} and {value:?} do not fit {heads} heads"),
        }
    }
}

fn on_device(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    shape: AttentionShape,
    options: AttentionOptions,
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
    let block = (DEVICE_SCRATCH / row_bytes).clamp(1, shape.queries.max(1));
    let mut parts = Vec::with_capacity(shape.queries.div_ceil(block));
    for start in (0..shape.queries).step_by(block) {
        let length = block.min(shape.queries - start);
        let scores = query.narrow(2, start, length)?.matmul(&key)?.to_dtype(DType::F32)?;
        let scores = if options.causal {
            scores.broadcast_add(&causal_mask(start, length, shape.keys, scores.device())?)?
        } else {
            scores
        };
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)?;
        parts.push(weights.matmul(&value)?);
    }
    let out = Tensor::cat(&parts, 2)?.transpose(1, 2)?;
    out.reshape((shape.batch, shape.queries, shape.heads * shape.value_width))
}

/// [length, keys]: 0 for what the queries from `start` on may see, minus infinity for the rest.
fn causal_mask(
    start: usize,
    length: usize,
    keys: usize,
    device: &candle_core::Device,
) -> Result<Tensor> {
    let entry = |i: usize| if i % keys > start + i / keys { f32::NEG_INFINITY } else { 0.0 };
    Tensor::from_vec((0..length * keys).map(entry).collect(), (length, keys), device)
}

struct CpuAttention {
    shape: AttentionShape,
    options: AttentionOptions,
}

impl CpuAttention {
    /// Queries a block: as many as fit the scratch, but enough blocks for all threads.
    fn block(&self) -> usize {
        let threads = rayon::current_num_threads().max(1);
        let budget = CPU_BLOCK.min(CPU_SCRATCH / threads) / size_of::<f32>() / self.shape.keys;
        let share = self.shape.queries.div_ceil(threads.div_ceil(self.shape.batch));
        budget.min(share.max(16)).clamp(1, self.shape.queries)
    }

    fn run(&self, query: &[f32], key: &[f32], value: &[f32]) -> Vec<f32> {
        let AttentionShape { batch, queries, keys, heads, width, value_width } = self.shape;
        let mut out = vec![0f32; batch * queries * heads * value_width];
        if out.is_empty() {
            return out;
        }
        let block = self.block();
        let (row, out_row) = (heads * width, heads * value_width);
        let entries = out.chunks_mut(queries * out_row).enumerate();
        let tasks: Vec<_> = entries
            .flat_map(|(entry, out)| {
                let blocks = out.chunks_mut(block * out_row).enumerate();
                blocks.map(move |(index, out)| (entry, index * block, out))
            })
            .collect();
        tasks.into_par_iter().for_each(|(entry, start, out)| {
            let count = out.len() / out_row;
            let task = Block {
                start,
                count,
                query: &query[(entry * queries + start) * row..][..count * row],
                key: &key[entry * keys * row..][..keys * row],
                value: &value[entry * keys * out_row..][..keys * out_row],
            };
            self.block_of_queries(&task, out);
        });
        out
    }

    fn block_of_queries(&self, block: &Block<'_>, out: &mut [f32]) {
        let AttentionShape { keys, heads, width, value_width, .. } = self.shape;
        let mut scores = vec![0f32; block.count * keys];
        let mut sums = vec![0f32; block.count];
        let row = heads * width;
        let out_row = heads * value_width;
        for head in 0..heads {
            product(
                (&mut scores, Matrix::rows(block.count, keys, keys)),
                (&block.query[head * width..], Matrix::rows(block.count, width, row)),
                (&block.key[head * width..], Matrix::rows(keys, width, row).transposed()),
                self.options.scale as f32,
            );
            for (index, (scores, sum)) in scores.chunks_mut(keys).zip(&mut sums).enumerate() {
                let seen = if self.options.causal { block.start + index + 1 } else { keys };
                *sum = exponentials(scores, seen.min(keys));
            }
            let columns = head * value_width;
            product(
                (&mut out[columns..], Matrix::rows(block.count, value_width, out_row)),
                (&scores, Matrix::rows(block.count, keys, keys)),
                (&block.value[columns..], Matrix::rows(keys, value_width, out_row)),
                1.0,
            );
            for (out, sum) in out.chunks_mut(out_row).zip(&sums) {
                out[columns..columns + value_width].iter_mut().for_each(|v| *v /= sum);
            }
        }
    }
}

/// Some queries of one batch entry, with all of its keys and values.
struct Block<'a> {
    /// Position of the first query.
    start: usize,
    count: usize,
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
}

/// Turns the first `seen` scores into e^(score - largest) and the rest into 0; gives their sum.
fn exponentials(scores: &mut [f32], seen: usize) -> f32 {
    let (scores, unseen) = scores.split_at_mut(seen);
    unseen.fill(0.0);
    let largest = numeric::max(scores);
    scores.iter_mut().for_each(|score| *score = numeric::exp(*score - largest));
    numeric::sum(scores, |score| score) as f32
}

impl CustomOp3 for CpuAttention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        query_layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let AttentionShape { batch, queries, heads, value_width, .. } = self.shape;
        let out = self.run(
            numbers(self.name(), query, query_layout)?,
            numbers(self.name(), key, key_layout)?,
            numbers(self.name(), value, value_layout)?,
        );
        Ok((CpuStorage::F32(out), (batch, queries, heads * value_width).into()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn random(shape: (usize, usize, usize)) -> Tensor {
        Tensor::randn(0f32, 1.5, shape, &Device::Cpu).unwrap()
    }

    /// By the definition, all scores at once.
    fn plain(query: &Tensor, key: &Tensor, value: &Tensor, options: AttentionOptions) -> Tensor {
        let heads = |x: &Tensor| {
            let (batch, length, width) = x.dims3().unwrap();
            let parts = (batch, length, options.heads, width / options.heads);
            x.reshape(parts).unwrap().transpose(1, 2).unwrap().contiguous().unwrap()
        };
        let (query, key, value) = (heads(query), heads(key), heads(value));
        let scores = query.matmul(&key.t().unwrap()).unwrap().affine(options.scale, 0.0).unwrap();
        let scores = if options.causal {
            let (_, _, queries, keys) = scores.dims4().unwrap();
            let mask = causal_mask(0, queries, keys, &Device::Cpu).unwrap();
            scores.broadcast_add(&mask).unwrap()
        } else {
            scores
        };
        let weights = candle_nn::ops::softmax(&scores, candle_core::D::Minus1).unwrap();
        let out = weights.matmul(&value).unwrap().transpose(1, 2).unwrap();
        out.flatten_from(2).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.shape(), b.shape());
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn blocks_make_up_the_whole() {
        for (queries, keys, heads, width) in [(1, 1, 1, 1), (70, 77, 3, 5), (300, 300, 2, 40)] {
            let (query, key) =
                (random((2, queries, heads * width)), random((2, keys, heads * width)));
            let value = random((2, keys, heads * (width + 1)));
            let mut options = AttentionOptions::new(heads, heads * width);
            for causal in [false, true] {
                options.causal = causal;
                let right = plain(&query, &key, &value, options);
                let got = attention(&query, &key, &value, options).unwrap();
                assert!(difference(&got, &right) < 1e-5, "{queries} {keys} {heads} {width}");
                let shape =
                    AttentionShape::new(query.dims(), key.dims(), value.dims(), heads).unwrap();
                let device = on_device(&query, &key, &value, shape, options).unwrap();
                assert!(difference(&device, &right) < 1e-5);
            }
        }
    }

    #[test]
    fn strided_inputs_are_understood() {
        let wide = random((1, 20, 3 * 8));
        let parts = wide.chunk(3, 2).unwrap();
        let options = AttentionOptions::new(2, 8);
        let plain: Vec<_> = parts.iter().map(|part| part.contiguous().unwrap()).collect();
        let got = attention(&parts[0], &parts[1], &parts[2], options).unwrap();
        let right = attention(&plain[0], &plain[1], &plain[2], options).unwrap();
        assert!(difference(&got, &right) == 0.0);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let query = (random((1, 9, 4)) * 1e4).unwrap();
        let options = AttentionOptions::new(1, 4);
        let out = attention(&query, &query, &random((1, 9, 4)), options).unwrap();
        assert!(out.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 10.0);
    }

    #[test]
    fn scratch_is_bounded() {
        let shape = AttentionShape {
            batch: 1,
            queries: 65536,
            keys: 65536,
            heads: 1,
            width: 512,
            value_width: 512,
        };
        let op = CpuAttention { shape, options: AttentionOptions::new(1, 512) };
        let threads = rayon::current_num_threads();
        assert!(threads * op.block() * shape.keys * size_of::<f32>() <= CPU_SCRATCH);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let options = AttentionOptions::new(3, 12);
        assert!(
            attention(&random((1, 4, 12)), &random((1, 5, 12)), &random((1, 4, 12)), options)
                .is_err()
        );
        assert!(
            attention(&random((1, 4, 13)), &random((1, 4, 13)), &random((1, 4, 13)), options)
                .is_err()
        );
    }
}
