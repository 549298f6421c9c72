//! From a timestep to a vector that the blocks understand.

use candle_core::{DType, Device, Module, Result, Tensor};

use super::{Activation, Linear};
use crate::networks::{Result as LoadResult, Weights};

/// The longest period of the sinusoids, in timesteps.
const MAX_PERIOD: f64 = 10_000.0;

/// Sines and cosines at geometrically spaced frequencies, in f32: `get_timestep_embedding` of the
/// reference.
#[derive(Clone, Copy, Debug)]
pub struct Sinusoids {
    /// Of the result; an odd one ends in a zero.
    pub width: usize,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
}

impl Sinusoids {
    /// Of one number: [1, width].
    pub fn of(&self, number: f64, device: &Device) -> Result<Tensor> {
        self.rows(&[number as f32], device)
    }

    /// Of each number of [n]: [n, width].
    pub fn of_tensor(&self, numbers: &Tensor) -> Result<Tensor> {
        self.rows(&numbers.to_dtype(DType::F32)?.to_vec1()?, numbers.device())
    }

    fn rows(&self, numbers: &[f32], device: &Device) -> Result<Tensor> {
        let half = self.width / 2;
        let decay = -MAX_PERIOD.ln() as f32;
        let last = (half as f64 - self.freq_shift) as f32;
        let mut values = Vec::with_capacity(numbers.len() * self.width);
        for (row, number) in numbers.iter().enumerate() {
            let angle = |i: usize| number * (decay * i as f32 / last).exp();
            let sines = (0..half).map(|i| angle(i).sin());
            let cosines = (0..half).map(|i| angle(i).cos());
            match self.flip_sin_to_cos {
                true => values.extend(cosines.chain(sines)),
                false => values.extend(sines.chain(cosines)),
            }
            values.resize((row + 1) * self.width, 0.0);
        }
        Tensor::from_vec(values, (numbers.len(), self.width), device)
    }
}

/// What a [`TimestepEmbedding`] is made of.
#[derive(Clone, Copy, Debug)]
pub struct TimestepEmbeddingConfig {
    pub inputs: usize,
    pub outputs: usize,
    pub activation: Activation,
    /// Applied at the end.
    pub post_activation: Option<Activation>,
    /// Width of an additional condition, which is projected onto the input.
    pub condition: Option<usize>,
}

/// Two linear layers with an activation between.
#[derive(Clone, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    cond_proj: Option<Linear>,
    activation: Activation,
    post_activation: Option<Activation>,
    inputs: usize,
    dtype: DType,
}

impl TimestepEmbedding {
    pub fn load(weights: &Weights<'_>, config: TimestepEmbeddingConfig) -> LoadResult<Self> {
        let TimestepEmbeddingConfig { inputs, outputs, condition, .. } = config;
        let project = |width| Linear::load_no_bias(&weights.pp("cond_proj"), width, inputs);
        Ok(Self {
            linear_1: Linear::load(&weights.pp("linear_1"), inputs, outputs)?,
            linear_2: Linear::load(&weights.pp("linear_2"), outputs, outputs)?,
            cond_proj: condition.map(project).transpose()?,
            activation: config.activation,
            post_activation: config.post_activation,
            inputs,
            dtype: weights.dtype(),
        })
    }

    /// Width of what it takes.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// What it computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// [B, inputs] to [B, outputs]; `condition` [B, condition] where the network takes one.
    pub fn forward(&self, sample: &Tensor, condition: Option<&Tensor>) -> Result<Tensor> {
        let sample = match (&self.cond_proj, condition) {
            (Some(project), Some(condition)) => {
                sample.broadcast_add(&project.forward(condition)?)?
            }
            _ => sample.clone(),
        };
        let hidden = self.activation.forward(&self.linear_1.forward(&sample)?)?;
        let hidden = self.linear_2.forward(&hidden)?;
        match self.post_activation {
            Some(activation) => activation.forward(&hidden),
            None => Ok(hidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(timestep: f64, width: usize, flip: bool, shift: f64) -> Vec<f32> {
        let sinusoids = Sinusoids { width, flip_sin_to_cos: flip, freq_shift: shift };
        let one = sinusoids.of(timestep, &Device::Cpu).unwrap();
        let several = Tensor::new(&[1.0, timestep as f32], &Device::Cpu).unwrap();
        let several = sinusoids.of_tensor(&several).unwrap();
        assert_eq!(several.dims(), [2, width]);
        let second = several.get(1).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(one.get(0).unwrap().to_vec1::<f32>().unwrap(), second);
        one.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn sinusoids_as_the_reference_has_them() {
        // diffusers.models.embeddings.get_timestep_embedding(torch.tensor([317.4375]), ...)
        let cases: [(usize, bool, f64, &[f32]); 3] = [
            (
                6,
                true,
                0.0,
                &[-0.990_679, -0.562_145_1, 0.775_115_5, -0.136_217_2, 0.827_038_6, 0.631_819_5],
            ),
            (
                6,
                false,
                1.0,
                &[-0.136_217_2, -0.032_776_3, 0.031_738_4, -0.990_679, -0.999_462_7, 0.999_496_2],
            ),
            (5, true, 0.0, &[-0.990_679, -0.999_462_7, -0.136_217_2, -0.032_776_3, 0.0]),
        ];
        for (width, flip, shift, right) in cases {
            let got = embedding(317.4375, width, flip, shift);
            assert_eq!(got.len(), width);
            for (got, right) in got.iter().zip(right) {
                assert!((got - right).abs() < 2e-5, "{got} is not {right}");
            }
        }
    }
}
