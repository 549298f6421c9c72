//! Group and layer normalisation. Statistics are taken in f32 or better, whatever the dtype.

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{Activation, numeric, storage::numbers};
use crate::networks::{Result as LoadResult, Weights};

/// Mean and spread of numbers that come in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: f64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    /// Of both together (Chan et al. 1979).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let (gap, share) = (other.mean - self.mean, other.count / count);
        Self {
            count,
            mean: self.mean + gap * share,
            squares: self.squares + other.squares + gap * gap * self.count * share,
        }
    }

    /// The mean, and what a distance from it is multiplied by.
    fn scaling(self, eps: f64) -> (f32, f32) {
        let variance = self.squares / self.count.max(1.0);
        (self.mean as f32, (1.0 / (variance + eps).sqrt()) as f32)
    }
}

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
        let op = Normalise { kind: Kind::Groups(self.groups), eps: self.eps, silu, given: None };
        x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &op)
    }

    /// Statistics of every entry's groups, entry by entry, for [`Self::forward_given`].
    pub fn moments(&self, x: &Tensor) -> Result<Vec<Moments>> {
        let rows = x.to_dtype(DType::F32)?.reshape((x.dim(0)? * self.groups, ()))?;
        let count = rows.dim(1)? as f64;
        let mean = rows.mean_keepdim(D::Minus1)?;
        let squares = rows.broadcast_sub(&mean)?.sqr()?.sum(D::Minus1)?.to_vec1::<f32>()?;
        let means = mean.flatten_all()?.to_vec1::<f32>()?;
        let of = |(mean, squares)| Moments { count, mean, squares };
        Ok(means
            .into_iter()
            .map(f64::from)
            .zip(squares.into_iter().map(f64::from))
            .map(of)
            .collect())
    }

    /// As [`Self::forward_then`] with statistics taken elsewhere: `x` is a part of what they are of.
    pub fn forward_given(
        &self,
        activation: Activation,
        x: &Tensor,
        moments: &[Moments],
    ) -> Result<Tensor> {
        let given: Vec<_> = moments.iter().map(|moments| moments.scaling(self.eps)).collect();
        if is_fused(x) {
            let silu = activation == Activation::Silu;
            let op = Normalise {
                kind: Kind::Groups(self.groups),
                eps: self.eps,
                silu,
                given: Some(given),
            };
            let out = x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &op)?;
            return if silu { Ok(out) } else { activation.forward(&out) };
        }
        let rows = x.to_dtype(DType::F32)?.reshape((given.len(), ()))?;
        let column = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_vec(values, (count, 1), x.device())
        };
        let (means, scales) = given.into_iter().unzip();
        let centred = rows.broadcast_sub(&column(means)?)?;
        let normal = centred.broadcast_mul(&column(scales)?)?;
        activation.forward(&self.affine(&normal.reshape(x.shape())?.to_dtype(x.dtype())?)?)
    }

    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.to_dtype(DType::F32)?.reshape((x.dim(0)?, self.groups, ()))?;
        self.affine(&normalised(&rows, self.eps)?.reshape(x.shape())?.to_dtype(x.dtype())?)
    }

    fn affine(&self, normal: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; normal.rank()];
        shape[1] = normal.dim(1)?;
        let (weight, bias) = (self.weight.reshape(&*shape)?, self.bias.reshape(shape)?);
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
            let op = Normalise { kind: Kind::Rows, eps: self.eps, silu: false, given: None };
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
    /// Mean and scale of each group, where they are known already.
    given: Option<Vec<(f32, f32)>>,
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
            let known = self.given.as_ref().map(|given| given[row]);
            let (mean, scale) = known.unwrap_or_else(|| self.moments(x));
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
            Kind::Groups(groups)
                if self.given.as_ref().is_some_and(|given| given.len() != dims[0] * groups) =>
            {
                bail!("normalise: statistics of other groups than those of {dims:?}")
            }
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
    fn parts_with_the_statistics_of_the_whole_are_parts_of_the_whole() {
        let norm = GroupNorm { weight: random(12), bias: random(12), groups: 4, eps: 1e-5 };
        let x = random((2, 12, 9, 7));
        let parts = [x.narrow(2, 0, 5).unwrap(), x.narrow(2, 5, 4).unwrap()];
        let of_parts = parts.each_ref().map(|part| norm.moments(part).unwrap());
        let [first, second] = &of_parts;
        let moments: Vec<_> = first.iter().zip(second).map(|(a, b)| a.and(*b)).collect();
        for activation in [Activation::Silu, Activation::Gelu] {
            let whole = norm.forward_then(activation, &x).unwrap();
            let given = norm.forward_given(activation, &parts[1], &moments).unwrap();
            assert!(difference(&given, &whole.narrow(2, 5, 4).unwrap()) < 1e-5);
        }
        assert!(norm.forward_given(Activation::Silu, &x, &moments[1..]).is_err());
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
