//! Attention in blocks of queries on the processor, in f32.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use rayon::prelude::*;

use super::{AttentionOptions, AttentionShape};
use crate::networks::layers::{
    numeric,
    product::{Layout as Matrix, product},
    storage::numbers,
};

/// Bytes of scores that all threads together hold.
pub const SCRATCH: usize = 64 << 20;

/// Bytes of scores of one block; more do not fit into a core's cache.
const BLOCK: usize = 4 << 20;

pub struct CpuAttention {
    pub shape: AttentionShape,
    pub options: AttentionOptions,
}

impl CpuAttention {
    /// Queries a block: as many as fit the scratch, but enough blocks for all threads.
    pub fn block(&self) -> usize {
        let threads = rayon::current_num_threads().max(1);
        let budget = BLOCK.min(SCRATCH / threads) / size_of::<f32>() / self.shape.keys;
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
