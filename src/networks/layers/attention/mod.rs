//! Scaled dot-product attention that never holds all scores at once.
//!
//! Queries are taken in blocks; a block's scores against every key are computed, turned into
//! weights and used, then forgotten. The result is exact, since each query sees all of its keys.
//! Scratch memory: on the processor at most 64 MiB in all (or one row of scores a thread, where
//! that is more); on accelerators about 128 MiB a copy of the scores, of which up to three are alive.

mod device;
mod processor;

use candle_core::{DType, Result, Tensor, bail};

use self::processor::CpuAttention;

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
        return device::attention(query, key, value, shape, options, None);
    }
    let dtype = query.dtype();
    let plain = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.contiguous();
    let op = CpuAttention { shape, options };
    plain(query)?.apply_op3_no_bwd(&plain(key)?, &plain(value)?, &op)?.to_dtype(dtype)
}

/// [`attention`] to the keys that `seen` says, one entry for each: for short sequences only.
pub fn attention_to(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: AttentionOptions,
    seen: &[bool],
) -> Result<Tensor> {
    let shape = AttentionShape::new(query.dims(), key.dims(), value.dims(), options.heads)?;
    let bias = seen.iter().map(|seen| if *seen { 0.0 } else { f32::NEG_INFINITY }).collect();
    let bias = Tensor::from_vec(bias, seen.len(), query.device())?;
    device::attention(query, key, value, shape, options, Some(&bias))
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

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

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
            let mask = device::causal_mask(0, queries, keys, &Device::Cpu).unwrap();
            scores.broadcast_add(&mask).unwrap()
        } else {
            scores
        };
        let weights = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
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
                let device = device::attention(&query, &key, &value, shape, options, None).unwrap();
                assert!(difference(&device, &right) < 1e-5);
            }
        }
    }

    #[test]
    fn keys_that_are_not_seen_have_no_part() {
        let (query, key, value) = (random((1, 3, 4)), random((1, 3, 4)), random((1, 3, 4)));
        let options = AttentionOptions::new(2, 4);
        let all = attention_to(&query, &key, &value, options, &[true; 3]).unwrap();
        assert!(difference(&all, &attention(&query, &key, &value, options).unwrap()) < 1e-5);
        let some = attention_to(&query, &key, &value, options, &[true, true, false]).unwrap();
        let first = |tensor: &Tensor| tensor.narrow(1, 0, 2).unwrap();
        let right = attention(&query, &first(&key), &first(&value), options).unwrap();
        assert!(difference(&some, &right) < 1e-5);
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
        assert!(threads * op.block() * shape.keys * size_of::<f32>() <= processor::SCRATCH);
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
