//! The numbers of one UniPC step. Everything in f32, as the reference computes them.

use super::{config::Reader, lambda_track::Level};
use crate::diffusion::Result;

/// The paper's B(h): h itself, or exp(h) - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SolverType {
    Bh1,
    Bh2,
}

impl SolverType {
    /// Other schedulers' solver types are read as bh2, as the reference reads them.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [
            ("bh1", Self::Bh1),
            ("bh2", Self::Bh2),
            ("midpoint", Self::Bh2),
            ("heun", Self::Bh2),
            ("logrho", Self::Bh2),
        ];
        reader.choice("solver_type", &choices, Self::Bh2)
    }
}

/// `next = sample * s + newest * n + step * (weighted differences of predictions)`.
pub(super) struct Coefficients {
    pub sample: f32,
    pub newest: f32,
    pub step: f32,
    /// Where in lambda the older predictions were made: (lambda_i - lambda_0) / h, newest first.
    pub ratios: Vec<f32>,
    /// Right-hand side of the order conditions, `order` entries.
    b: Vec<f32>,
}

impl Coefficients {
    /// A step from `levels[0]` to `next`; `levels[1..]` are where the earlier predictions were
    /// made, newest first.
    pub fn new(solver: SolverType, predict_x0: bool, next: Level, levels: &[Level]) -> Self {
        let here = levels[0];
        let h = next.lambda - here.lambda;
        let hh = if predict_x0 { -h } else { h };
        let phi_1 = hh.exp_m1();
        let b_h = if solver == SolverType::Bh1 { hh } else { phi_1 };
        let (sample, scale) = if predict_x0 {
            (next.sigma / here.sigma, next.alpha)
        } else {
            (next.alpha / here.alpha, next.sigma)
        };
        Self {
            sample,
            newest: -(scale * phi_1),
            step: -(scale * b_h),
            ratios: levels[1..].iter().map(|l| (l.lambda - here.lambda) / h).collect(),
            b: order_conditions(hh, b_h, levels.len()),
        }
    }

    /// The order conditions' matrix: row i holds the ratios (and 1) to the power of i.
    fn matrix(&self, size: usize) -> Vec<Vec<f32>> {
        let points: Vec<f32> = self.ratios.iter().copied().chain([1.0]).take(size).collect();
        (0..size as i32).map(|i| points.iter().map(|p| p.powi(i)).collect()).collect()
    }
}

fn order_conditions(hh: f32, b_h: f32, order: usize) -> Vec<f32> {
    let mut phi = hh.exp_m1() / hh - 1.0;
    let mut factorial = 1.0;
    let mut b = Vec::with_capacity(order);
    for i in 1..=order {
        b.push(phi * factorial / b_h);
        factorial *= (i + 1) as f32;
        phi = phi / hh - 1.0 / factorial;
    }
    b
}

/// One weight for each older prediction.
pub(super) fn predictor_weights(coefficients: &Coefficients) -> Vec<f32> {
    match coefficients.ratios.len() {
        0 => Vec::new(),
        1 => vec![0.5],
        older => solve(coefficients.matrix(older), coefficients.b[..older].to_vec()),
    }
}

/// One weight for each older prediction, and one for the new.
pub(super) fn corrector_weights(coefficients: &Coefficients) -> Vec<f32> {
    match coefficients.ratios.len() {
        0 => vec![0.5],
        older => solve(coefficients.matrix(older + 1), coefficients.b.clone()),
    }
}

/// Gaussian elimination with the largest pivot, for two or three unknowns.
fn solve(mut matrix: Vec<Vec<f32>>, mut right: Vec<f32>) -> Vec<f32> {
    let size = right.len();
    for column in 0..size {
        let magnitude = |row: &usize| matrix[*row][column].abs();
        let pivot =
            (column..size).max_by(|a, b| magnitude(a).total_cmp(&magnitude(b))).unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..size {
            let factor = matrix[row][column] / matrix[column][column];
            let above = matrix[column].clone();
            matrix[row].iter_mut().zip(above).for_each(|(v, a)| *v -= factor * a);
            right[row] -= factor * right[column];
        }
    }
    for row in (0..size).rev() {
        let known: f32 = (row + 1..size).map(|k| matrix[row][k] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}
