//! A glance at the picture while it forms: a linear map from latents to colours, at the size of
//! the latents. Costs nothing beside a step, unlike the decoder.

use candle_core::{DType, Device, Result as TensorResult, Tensor};

use super::{Error, Result};

/// `colour = latents . factors + bias`, in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct LinearPreview {
    /// One row for each latent channel, to red, green, blue.
    factors: Vec<[f32; 3]>,
    bias: [f32; 3],
}

impl LinearPreview {
    pub fn new(factors: Vec<[f32; 3]>, bias: [f32; 3]) -> Self {
        Self { factors, bias }
    }

    /// For the autoencoder of Stable Diffusion 1 and 2. Origin: Hugging Face forum thread 23204,
    /// as refined in stable-diffusion.cpp (MIT).
    pub fn sd1() -> Self {
        let factors = vec![
            [0.3374, 0.2163, 0.2574],
            [0.1656, 0.3868, 0.0470],
            [-0.2678, 0.2370, 0.2235],
            [-0.1780, -0.2009, -0.6785],
        ];
        Self::new(factors, [-0.0175, -0.0558, -0.1058])
    }

    /// For the autoencoder of SDXL. Same origin.
    pub fn sdxl() -> Self {
        let factors = vec![
            [0.2583, 0.2776, 0.3297],
            [-0.2997, 0.1054, 0.0142],
            [0.0505, 0.1862, -0.1433],
            [-0.2119, -0.1499, -0.0800],
        ];
        Self::new(factors, [0.1444, -0.0333, 0.0071])
    }

    /// For any other autoencoder: the least-squares map from `latents` [1, C, h, w] (scaled, as
    /// the network sees them) to the picture `rgb` [1, 3, h, w] in [-1, 1] that they encode, shrunk
    /// to their size. A slight ridge keeps flat pictures from breaking it.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn fit(latents: &Tensor, rgb: &Tensor) -> Result<Self> {
        let (inputs, targets) = (pixels(latents)?, pixels(rgb)?);
        if inputs.len() != targets.len() || targets.first().is_none_or(|row| row.len() != 3) {
            let text = format!("cannot fit {:?} to {:?}", latents.shape(), rgb.shape());
            return Err(Error::Invalid(text));
        }
        let solution = least_squares(&inputs, &targets);
        let Some((bias, factors)) = solution.split_last() else {
            return Err(Error::Invalid("there are no latents to fit".into()));
        };
        let rgb = |row: &[f64; 3]| row.map(|v| v as f32);
        Ok(Self::new(factors.iter().map(rgb).collect(), rgb(bias)))
    }

    /// Latents [B, C, h, w] to colours [B, 3, h, w] in [-1, 1], not clamped.
    ///
    /// # Errors
    /// If the number of channels is not that of the factors.
    pub fn apply(&self, latents: &Tensor) -> TensorResult<Tensor> {
        let device = latents.device();
        let flat = self.factors.concat();
        let rows = Tensor::from_vec(flat, (self.factors.len(), 3), device)?;
        let bias = Tensor::new(&self.bias, device)?;
        let pixels = latents.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?;
        let (batch, height, width, channels) = pixels.dims4()?;
        let flat = pixels.reshape((batch * height * width, channels))?;
        let colours = flat.matmul(&rows)?.broadcast_add(&bias)?;
        colours.reshape((batch, height, width, 3))?.permute((0, 3, 1, 2))
    }

    /// Each picture of the batch as RGB bytes, rows from the top, h * w * 3.
    pub fn bytes(&self, latents: &Tensor) -> TensorResult<Vec<Vec<u8>>> {
        let colours = ((self.apply(latents)? * 127.5)? + 127.5)?.round()?.clamp(0f32, 255f32)?;
        let bytes = colours.permute((0, 2, 3, 1))?.to_dtype(DType::U8)?.to_device(&Device::Cpu)?;
        (0..bytes.dim(0)?).map(|i| bytes.get(i)?.flatten_all()?.to_vec1()).collect()
    }
}

/// The first picture's pixels, one row of channels each.
fn pixels(tensor: &Tensor) -> TensorResult<Vec<Vec<f32>>> {
    let pixels = tensor.get(0)?.to_dtype(DType::F32)?.permute((1, 2, 0))?;
    let (height, width, channels) = pixels.dims3()?;
    pixels.reshape((height * width, channels))?.to_vec2()
}

/// Solves the normal equations of `[inputs, 1] x = targets`; the last row is the constant.
fn least_squares(inputs: &[Vec<f32>], targets: &[Vec<f32>]) -> Vec<[f64; 3]> {
    let size = inputs.first().map_or(0, Vec::len) + 1;
    let mut normal = vec![vec![0.0; size]; size];
    let mut right = vec![[0.0; 3]; size];
    for (input, target) in inputs.iter().zip(targets) {
        let row: Vec<f64> = input.iter().map(|&v| f64::from(v)).chain([1.0]).collect();
        for i in 0..size {
            (0..size).for_each(|j| normal[i][j] += row[i] * row[j]);
            (0..3).for_each(|c| right[i][c] += row[i] * f64::from(target[c]));
        }
    }
    (0..size).for_each(|i| normal[i][i] += 1e-6 * (1.0 + normal[i][i]));
    solve(normal, right)
}

/// Gauss-Jordan; the matrix is positive definite, so no pivot is sought.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<[f64; 3]>) -> Vec<[f64; 3]> {
    for i in 0..matrix.len() {
        let pivot = matrix[i][i];
        matrix[i].iter_mut().for_each(|v| *v /= pivot);
        right[i].iter_mut().for_each(|v| *v /= pivot);
        let (row, value) = (matrix[i].clone(), right[i]);
        for k in (0..matrix.len()).filter(|&k| k != i) {
            let factor = matrix[k][i];
            matrix[k].iter_mut().zip(&row).for_each(|(v, r)| *v -= factor * r);
            right[k].iter_mut().zip(&value).for_each(|(v, r)| *v -= factor * r);
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{NoiseSource, noise::TorchNoise};

    fn latents() -> Tensor {
        TorchNoise::new(3).randn((1, 4, 6, 5).into(), &Device::Cpu, DType::F32).unwrap()
    }

    #[test]
    fn a_fit_finds_the_map_that_made_the_colours() {
        let latents = latents();
        let made = LinearPreview::sd1();
        let fitted = LinearPreview::fit(&latents, &made.apply(&latents).unwrap()).unwrap();
        for (a, b) in fitted.factors.as_flattened().iter().zip(made.factors.as_flattened()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        assert!(fitted.bias.iter().zip(made.bias).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn flat_latents_still_fit() {
        let flat = Tensor::ones((1, 4, 3, 3), DType::F32, &Device::Cpu).unwrap();
        let rgb = (Tensor::ones((1, 3, 3, 3), DType::F32, &Device::Cpu).unwrap() * 0.5).unwrap();
        let fitted = LinearPreview::fit(&flat, &rgb).unwrap();
        let colours: Vec<f32> =
            fitted.apply(&flat).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(colours.iter().all(|c| (c - 0.5).abs() < 1e-3), "{colours:?}");
    }

    #[test]
    fn sizes_must_agree() {
        let rgb = Tensor::zeros((1, 3, 4, 5), DType::F32, &Device::Cpu).unwrap();
        assert!(LinearPreview::fit(&latents(), &rgb).is_err());
    }

    #[test]
    fn bytes_are_rows_of_rgb() {
        let preview = LinearPreview::new(vec![[1.0, 0.0, -1.0]], [0.0, 1.0, 0.0]);
        let latents = Tensor::new(&[[[[1f32, -1.0], [0.0, 9.0]]]], &Device::Cpu).unwrap();
        let expected: [u8; 12] = [255, 255, 0, 0, 255, 255, 128, 255, 128, 255, 255, 0];
        assert_eq!(preview.bytes(&latents).unwrap(), [expected]);
    }
}
