//! Group and layer normalisation. Statistics are taken in f32 or better, whatever the dtype.

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{Activation, numeric, storage::numbers};
use crate::networks::{Result as LoadResult, Weights};

/// Normalises groups of neighbouring channels of [B, C, ...].
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    pub fn load(
        weights: &Weights<'_>,
        channels: usize,
        groups: usize,
        eps: f64,
    ) -> LoadResult<Self> {
        let (weight, bias) = (weights.get(channels, "weight")?, weights.get(channels, "bias")?);
        Ok(Self { weight, bias, groups, eps })
    }

    /// The normalisation, then the activation: SiLU in one pass where that is possible.
    pub fn forward_then(&self, activation: Activation, x: &Tensor) -> Result<Tensor> {
        if activation == Activation::Silu && is_fused(x) {
            return self.fused(x, true);
        }
        activation.forward(&self.forward(x)?)
    }

    fn fused(&self, x: &Tensor, silu: bool) -> Result<Tensor> {
        let op = Normalise { kind: Kind::Groups(self.groups), eps: self.eps, silu };
        x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &op)
    }

    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels) = (x.dim(0)?, x.dim(1)?);
        let rows = x.to_dtype(DType::F32)?.reshape((batch, self.groups, ()))?;
        let normal = normalised(&rows, self.eps)?.reshape(x.shape())?.to_dtype(x.dtype())?;
        let mut affine = vec![1; x.rank()];
        affine[1] = channels;
        let (weight, bias) = (self.weight.reshape(&*affine)?, self.bias.reshape(affine)?);
        normal.broadcast_mul(&weight)?.broadcast_add(&bias)
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) { self.fused(x, false) } else { self.plain(x) }
    }
}

/// Normalises the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub fn load(weights: &Weights<'_>, width: usize, eps: f64) -> LoadResult<Self> {
        let (weight, bias) = (weights.get(width, "weight")?, weights.get(width, "bias")?);
        Ok(Self { weight, bias, eps })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) {
            let op = Normalise { kind: Kind::Rows, eps: self.eps, silu: false };
            return x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &op);
        }
        let normal = normalised(&x.to_dtype(DType::F32)?, self.eps)?.to_dtype(x.dtype())?;
        normal.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

fn is_fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Each row of the last dimension to mean 0 and variance 1.
fn normalised(rows: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)
}

/// What shares one mean and variance.
#[derive(Clone, Copy)]
enum Kind {
    /// This many groups of the channels of [B, C, ...]; one weight a channel.
    Groups(usize),
    /// The last dimension; one weight an element.
    Rows,
}

/// Both normalisations in f32 on the processor.
struct Normalise {
    kind: Kind,
    eps: f64,
    silu: bool,
}

impl Normalise {
    /// One row: x * scale + shift, where these hold the row's statistics.
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let mean = numeric::sum(row, |v| v) / row.len() as f64;
        let centre = mean as f32;
        let variance = numeric::sum(row, |v| (v - centre) * (v - centre)) / row.len() as f64;
        (centre, (1.0 / (variance + self.eps).sqrt()) as f32)
    }

    fn groups(&self, groups: usize, x: &[f32], dims: &[usize], affine: Affine<'_>) -> Vec<f32> {
        let (channels, area) = (dims[1] / groups, dims[2..].iter().product::<usize>());
        let mut out = vec![0f32; x.len()];
        let rows = out.par_chunks_mut(channels * area).zip(x.par_chunks(channels * area));
        rows.enumerate().for_each(|(row, (out, x))| {
            let (mean, scale) = self.moments(x);
            let first = row % groups * channels;
            let planes = out.chunks_mut(area).zip(x.chunks(area));
            for (channel, (out, x)) in (first..).zip(planes) {
                let scale = scale * affine.weight[channel];
                let shift = affine.bias[channel] - mean * scale;
                if self.silu {
                    map(out, x, |v| numeric::silu(v * scale + shift));
                } else {
                    map(out, x, |v| v * scale + shift);
                }
            }
        });
        out
    }

    fn rows(&self, x: &[f32], affine: Affine<'_>) -> Vec<f32> {
        let width = affine.weight.len();
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(width).zip(x.par_chunks(width)).for_each(|(out, x)| {
            let (mean, scale) = self.moments(x);
            let affine = affine.weight.iter().zip(affine.bias);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(affine) {
                *out = (x - mean) * scale * weight + bias;
            }
        });
        out
    }
}

#[derive(Clone, Copy)]
struct Affine<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
}

#[inline(always)]
fn map(out: &mut [f32], x: &[f32], f: impl Fn(f32) -> f32) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = x_layout.dims();
        let x = numbers(self.name(), x, x_layout)?;
        let affine = Affine {
            weight: numbers(self.name(), weight, weight_layout)?,
            bias: numbers(self.name(), bias, bias_layout)?,
        };
        let width = match self.kind {
            Kind::Groups(groups) if dims.len() < 2 || !dims[1].is_multiple_of(groups) => {
                bail!("normalise: {dims:?} does not part into {groups} groups")
            }
            Kind::Groups(_) => dims[1],
            Kind::Rows => dims.last().copied().unwrap_or_default(),
        };
        if affine.weight.len() != width || affine.bias.len() != width {
            bail!("normalise: {} weights for {dims:?}", affine.weight.len());
        }
        let out = match self.kind {
            _ if x.is_empty() => Vec::new(),
            Kind::Groups(groups) => self.groups(groups, x, dims, affine),
            Kind::Rows => self.rows(x, affine),
        };
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn random(shape: impl Into<Shape>) -> Tensor {
        Tensor::randn(3f32, 2.0, shape, &Device::Cpu).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_fused_group_norm_is_the_plain_one() {
        let norm = GroupNorm { weight: random(12), bias: random(12), groups: 4, eps: 1e-5 };
        let x = random((2, 12, 5, 7));
        let plain = norm.plain(&x).unwrap();
        assert!(difference(&norm.forward(&x).unwrap(), &plain) < 1e-5);
        assert!(
            difference(&norm.forward_then(Activation::Silu, &x).unwrap(), &plain.silu().unwrap())
                < 1e-5
        );
        let strided = x.transpose(2, 3).unwrap();
        let plain = norm.plain(&strided).unwrap();
        assert!(difference(&norm.forward(&strided).unwrap(), &plain) < 1e-5);
    }

    #[test]
    fn a_large_mean_does_not_spoil_the_variance() {
        let norm = GroupNorm {
            weight: Tensor::ones(2, DType::F32, &Device::Cpu).unwrap(),
            bias: Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap(),
            groups: 1,
            eps: 0.0,
        };
        let x = Tensor::new(&[[[4096f32, 4097.0], [4098.0, 4099.0]]], &Device::Cpu).unwrap();
        let got = norm.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let right = [-1.341_640_8, -0.447_213_6, 0.447_213_6, 1.341_640_8];
        // The shift of 4097.5 costs the rest of the digits.
        assert!(got.iter().zip(right).all(|(g, r)| (g - r).abs() < 5e-4), "{got:?}");
    }

    #[test]
    fn layer_norm_by_hand() {
        let norm = LayerNorm {
            weight: Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu).unwrap(),
            bias: Tensor::new(&[0f32, 0.0, 1.0, 1.0], &Device::Cpu).unwrap(),
            eps: 0.0,
        };
        let x = Tensor::new(&[[1f32, 2.0, 3.0, 4.0]], &Device::Cpu).unwrap();
        let got = norm.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        let right = [-1.341_640_8, -0.894_427_2, 2.341_640_8, 6.366_563_1];
        assert!(got[0].iter().zip(right).all(|(g, r)| (g - r).abs() < 1e-5), "{got:?}");
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let norm = GroupNorm { weight: random(12), bias: random(12), groups: 5, eps: 1e-5 };
        assert!(norm.forward(&random((2, 12, 3))).is_err());
        let norm = LayerNorm { weight: random(12), bias: random(12), eps: 1e-5 };
        assert!(norm.forward(&random((2, 11))).is_err());
    }
}
