//! The numbers of one DPM-Solver step. Everything in f32, as the reference computes them.

use candle_core::{Result as TensorResult, Tensor};

use super::{config::Reader, lambda_track::Level, past::Integrand, prediction::combined};
use crate::diffusion::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// DPM-Solver: integrates the noise.
    Noise,
    /// DPM-Solver++: integrates the picture.
    Picture,
    SdeNoise,
    SdePicture,
}

impl Algorithm {
    /// DEIS is read as DPM-Solver++, as the reference reads it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [
            ("dpmsolver++", Self::Picture),
            ("dpmsolver", Self::Noise),
            ("sde-dpmsolver++", Self::SdePicture),
            ("sde-dpmsolver", Self::SdeNoise),
            ("deis", Self::Picture),
        ];
        reader.choice("algorithm_type", &choices, Self::Picture)
    }

    pub fn integrand(self) -> Integrand {
        if self.predicts_pictures() { Integrand::Picture } else { Integrand::Noise }
    }

    pub fn predicts_pictures(self) -> bool {
        matches!(self, Self::Picture | Self::SdePicture)
    }

    pub fn is_stochastic(self) -> bool {
        matches!(self, Self::SdeNoise | Self::SdePicture)
    }
}

/// How a second-order step takes its derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SolverType {
    Midpoint,
    Heun,
}

impl SolverType {
    /// Other schedulers' solver types are read as midpoint, as the reference reads them.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [
            ("midpoint", Self::Midpoint),
            ("heun", Self::Heun),
            ("logrho", Self::Midpoint),
            ("bh1", Self::Midpoint),
            ("bh2", Self::Midpoint),
        ];
        reader.choice("solver_type", &choices, Self::Midpoint)
    }
}

/// `next = sample * s + D0 * d[0] + D1 * d[1] + D2 * d[2] + noise * n`, where the Ds are the last
/// prediction and its finite differences in lambda.
pub(super) struct Coefficients {
    sample: f32,
    differences: [f32; 3],
    pub noise: f32,
    /// Distances in lambda between past predictions, relative to this step's.
    ratios: Vec<f32>,
}

impl Coefficients {
    /// A step from `levels[0]` to `next`; `levels[1..]` are where the earlier predictions were
    /// made, newest first, as many as the order takes.
    pub fn new(algorithm: Algorithm, solver: SolverType, next: Level, levels: &[Level]) -> Self {
        let here = levels[0];
        let h = next.lambda - here.lambda;
        let ratios = levels.windows(2).map(|pair| (pair[0].lambda - pair[1].lambda) / h).collect();
        let order = levels.len();
        let Terms { sample, first, half, linear, quadratic, noise } =
            Terms::new(algorithm, here, next);
        let second = if order == 2 && solver == SolverType::Midpoint { half } else { linear };
        Self { sample, differences: [first, second, quadratic], noise, ratios }
    }

    /// The latents after the step, without noise; `history` holds predictions, newest first.
    pub fn apply(&self, sample: &Tensor, history: &[Tensor]) -> TensorResult<Tensor> {
        let [d0, d1, d2] = self.differences;
        let slope = |newer: usize, ratio: f32| {
            combined(&[(1.0 / ratio, &history[newer]), (-1.0 / ratio, &history[newer + 1])])
        };
        let start = combined(&[(self.sample, sample), (d0, &history[0])])?;
        match self.ratios[..] {
            [] => Ok(start),
            [r0] => combined(&[(1.0, &start), (d1, &slope(0, r0)?)]),
            [r0, r1, ..] => {
                let (newer, older) = (slope(0, r0)?, slope(1, r1)?);
                let bend = (&newer - older)?;
                let first = combined(&[(1.0, &newer), (r0 / (r0 + r1), &bend)])?;
                combined(&[(1.0, &start), (d1, &first), (d2 / (r0 + r1), &bend)])
            }
        }
    }
}

/// The factors of a step from one level to another.
pub(super) struct Terms {
    pub sample: f32,
    /// Of the prediction where the step begins.
    pub first: f32,
    /// Of its slope in a second-order step by the midpoint.
    pub half: f32,
    /// Of its slope by Heun's method, and in third-order steps.
    pub linear: f32,
    pub quadratic: f32,
    pub noise: f32,
}

impl Terms {
    pub fn new(algorithm: Algorithm, here: Level, next: Level) -> Self {
        let h = next.lambda - here.lambda;
        let [sample, first, half, linear, quadratic, noise] = match algorithm {
            Algorithm::Picture => picture_terms(here, next, h),
            Algorithm::Noise => noise_terms(here, next, h),
            Algorithm::SdePicture => sde_picture_terms(here, next, h),
            Algorithm::SdeNoise => sde_noise_terms(here, next, h),
        };
        Self { sample, first, half, linear, quadratic, noise }
    }
}

fn picture_terms(here: Level, next: Level, h: f32) -> [f32; 6] {
    let a = next.alpha;
    let phi = (-h).exp() - 1.0;
    [
        next.sigma / here.sigma,
        -(a * phi),
        -0.5 * (a * phi),
        a * (phi / h + 1.0),
        -(a * ((phi + h) / (h * h) - 0.5)),
        0.0,
    ]
}

fn noise_terms(here: Level, next: Level, h: f32) -> [f32; 6] {
    let s = next.sigma;
    let phi = h.exp() - 1.0;
    [
        next.alpha / here.alpha,
        -(s * phi),
        -0.5 * (s * phi),
        -(s * (phi / h - 1.0)),
        -(s * ((phi - h) / (h * h) - 0.5)),
        0.0,
    ]
}

fn sde_picture_terms(here: Level, next: Level, h: f32) -> [f32; 6] {
    let a = next.alpha;
    let psi = 1.0 - (-2.0 * h).exp();
    [
        next.sigma / here.sigma * (-h).exp(),
        a * psi,
        0.5 * (a * psi),
        a * (psi / (-2.0 * h) + 1.0),
        a * ((psi - 2.0 * h) / (4.0 * h * h) - 0.5),
        next.sigma * psi.sqrt(),
    ]
}

/// Has no third order.
fn sde_noise_terms(here: Level, next: Level, h: f32) -> [f32; 6] {
    let s = next.sigma;
    let phi = h.exp() - 1.0;
    [
        next.alpha / here.alpha,
        -2.0 * (s * phi),
        -(s * phi),
        -2.0 * (s * (phi / h - 1.0)),
        0.0,
        s * ((2.0 * h).exp() - 1.0).sqrt(),
    ]
}
