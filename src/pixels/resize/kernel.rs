//! The weights of one resampling pass.

use super::Filter;

/// Fractional bits of a weight: 32 minus 8 for the value, and 2 because weights can be negative
/// and sum past 1 on the way.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// For each new pixel along one axis, which source pixels count and by how much.
pub(in crate::pixels) struct Kernel {
    /// First source pixel and number of weights, for each new pixel.
    spans: Vec<(usize, usize)>,
    /// `size` weights for each new pixel, in units of 2^-22.
    weights: Vec<i32>,
    size: usize,
}

impl Kernel {
    /// Weights that take the part `start..end` of an axis of `from` pixels to `to` pixels.
    /// The filter widens with the scale when it shrinks (Pillow's `precompute_coeffs`).
    pub(in crate::pixels) fn new(
        from: u32,
        (start, end): (f32, f32),
        to: u32,
        filter: Filter,
    ) -> Self {
        let scale = f64::from(end - start) / f64::from(to);
        let widening = scale.max(1.0);
        let support = support(filter) * widening;
        let size = support.ceil() as usize * 2 + 1;
        let mut kernel = Self {
            spans: Vec::with_capacity(to as usize),
            weights: vec![0; size * to as usize],
            size,
        };
        let mut raw = Vec::with_capacity(size);
        for i in 0..to as usize {
            let centre = f64::from(start) + (i as f64 + 0.5) * scale;
            // Truncation of the rounded position is deliberate: it is toward zero.
            let first = ((centre - support + 0.5) as i64).max(0) as usize;
            let last = ((centre + support + 0.5) as i64).min(i64::from(from)) as usize;
            raw.clear();
            raw.extend(
                (first..last)
                    .map(|x| evaluate(filter, (x as f64 - centre + 0.5) * (1.0 / widening))),
            );
            let sum: f64 = raw.iter().sum();
            for (weight, value) in kernel.weights[i * size..].iter_mut().zip(&raw) {
                *weight = fixed_point(if sum == 0.0 { *value } else { value / sum });
            }
            kernel.spans.push((first, last - first));
        }
        kernel
    }

    /// First source pixel and weights of new pixel `i`.
    pub(super) fn at(&self, i: usize) -> (usize, &[i32]) {
        let (first, count) = self.spans[i];
        (first, &self.weights[i * self.size..i * self.size + count])
    }
}

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Half the filter's width, in source pixels at scale 1.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Nearest | Filter::Box => 0.5,
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

fn evaluate(filter: Filter, x: f64) -> f64 {
    match filter {
        Filter::Nearest | Filter::Box => f64::from(x > -0.5 && x <= 0.5),
        Filter::Bilinear => (1.0 - x.abs()).max(0.0),
        Filter::Bicubic => bicubic(x.abs()),
        Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Filter::Lanczos => 0.0,
    }
}

/// Keys' cubic convolution, a = -0.5, in Pillow's order of operations.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}
