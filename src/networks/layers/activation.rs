//! Activation functions, by the names that configurations give them.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Module, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{numeric, storage::numbers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Silu,
    /// With the error function.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    /// x sigmoid(1.702 x).
    QuickGelu,
    Mish,
    Relu,
}

impl Activation {
    /// By diffusers' names (`get_activation`).
    pub fn from_diffusers(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "silu" | "swish" => Some(Self::Silu),
            "gelu" => Some(Self::Gelu),
            "mish" => Some(Self::Mish),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }

    /// By transformers' names (`ACT2FN`).
    pub fn from_transformers(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Self::QuickGelu),
            "gelu" | "gelu_python" => Some(Self::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            "silu" | "swish" => Some(Self::Silu),
            "mish" => Some(Self::Mish),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }
}

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Mish => x * softplus(x)?.tanh()?,
            Self::Relu => x.relu(),
        }
    }
}

/// ln(1 + e^x), written so that it does not overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

/// The gated unit of the transformers: [..., 2 D] is a value and a gate, value * gelu(gate)
/// [..., D].
pub fn geglu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        return x.contiguous()?.apply_op1_no_bwd(&Geglu);
    }
    let halves = x.chunk(2, D::Minus1)?;
    &halves[0] * halves[1].gelu_erf()?
}

struct Geglu;

impl CustomOp1 for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = numbers(self.name(), storage, layout)?;
        let mut dims = layout.dims().to_vec();
        let Some(last) = dims.last_mut().filter(|last| **last > 0 && **last % 2 == 0) else {
            bail!("geglu: the last dimension of {:?} is not even", layout.dims())
        };
        *last /= 2;
        let width = *last;
        let mut out = vec![0f32; x.len() / 2];
        out.par_chunks_mut(width).zip(x.par_chunks(2 * width)).for_each(|(out, x)| {
            let (values, gates) = x.split_at(width);
            for ((out, value), gate) in out.iter_mut().zip(values).zip(gates) {
                *out = value * numeric::gelu(*gate);
            }
        });
        Ok((CpuStorage::F32(out), dims.into()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn activations_at_known_points() {
        // From torch.nn.functional and transformers.activations, in float64.
        let x = Tensor::new(&[-30.0f32, -1.5, 0.25, 2.0], &Device::Cpu).unwrap();
        let cases = [
            (Activation::Silu, [-2.807e-12, -0.273_638_3, 0.140_544_1, 1.761_594_2]),
            (Activation::Gelu, [0.0, -0.100_210_8, 0.149_676_6, 1.954_5]),
            (Activation::GeluTanh, [0.0, -0.100_428_4, 0.149_675_4, 1.954_598]),
            (Activation::QuickGelu, [0.0, -0.108_337_8, 0.151_199_6, 1.935_659]),
            (Activation::Mish, [-2.807e-12, -0.298_099_7, 0.169_572_4, 1.943_959]),
            (Activation::Relu, [0.0, 0.0, 0.25, 2.0]),
        ];
        for (activation, right) in cases {
            let got = activation.forward(&x).unwrap().to_vec1::<f32>().unwrap();
            for (got, right) in got.iter().zip(right) {
                assert!((got - right).abs() < 1e-6, "{activation:?}: {got} is not {right}");
            }
        }
    }

    #[test]
    fn the_fused_gate_is_the_plain_one() {
        let x = Tensor::randn(0f32, 2.0, (3, 5, 14), &Device::Cpu).unwrap();
        let halves = x.chunk(2, 2).unwrap();
        let plain = (&halves[0] * halves[1].gelu_erf().unwrap()).unwrap();
        let difference = (geglu(&x).unwrap() - plain).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 2e-6);
        assert!(geglu(&x.narrow(2, 0, 13).unwrap()).is_err());
    }
}
