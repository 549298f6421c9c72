//! Weights that are made up instead of read.

use candle_core::{DType, Device, Result, Shape, Tensor};
use rayon::prelude::*;

/// Numbers made by one task.
const CHUNK: usize = 1 << 16;

/// Evenly distributed numbers of variance 1 / inputs where the shape is that of a layer; ones and
/// zeros for what has one dimension, as normalisations and biases begin. The name is the seed.
pub fn tensor(name: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
    let dims = shape.dims();
    if dims.len() < 2 {
        let value = if name.ends_with("bias") { 0.0 } else { 1.0 };
        return Tensor::full(value, shape, device)?.to_dtype(dtype);
    }
    let inputs: usize = dims[1..].iter().product();
    let limit = (3.0 / inputs.max(1) as f32).sqrt();
    let seed = name.bytes().fold(0u64, |seed, byte| mixed(seed ^ u64::from(byte)));
    let mut values = vec![0f32; shape.elem_count()];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let first = seed.wrapping_add((chunk * CHUNK) as u64);
        for (index, value) in values.iter_mut().enumerate() {
            *value = limit * unit(mixed(first.wrapping_add(index as u64)));
        }
    });
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// From -1 to 1.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// SplitMix64 (Steele et al. 2014): neighbouring numbers to unrelated ones.
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
