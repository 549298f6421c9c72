//! The inverse of the cumulative Beta(0.6, 0.6) distribution, to double precision.

/// Both parameters of the distribution.
const SHAPE: f64 = 0.6;
/// ln B(0.6, 0.6).
const LN_BETA: f64 = 0.881_841_806_141_785_9;

/// The x below which `probability` of the distribution lies; both in [0, 1].
pub(super) fn beta_quantile(probability: f64) -> f64 {
    if probability <= 0.0 || probability >= 1.0 {
        return probability.clamp(0.0, 1.0);
    }
    // Symmetric: work in the lower half, where the precision is.
    if probability > 0.5 {
        return 1.0 - beta_quantile(1.0 - probability);
    }
    let (mut low, mut high) = (0.0, 0.5);
    while high - low > f64::EPSILON * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if cumulative(middle) < probability { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function at x <= 0.5, by Lentz's method on its continued
/// fraction (DLMF 8.17.22).
fn cumulative(x: f64) -> f64 {
    let front = (SHAPE * (x.ln() + (-x).ln_1p()) - LN_BETA).exp() / SHAPE;
    let guard = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut d = 1.0 / guard(1.0 - 2.0 * SHAPE * x / (SHAPE + 1.0));
    let (mut c, mut fraction) = (1.0, d);
    for m in 1..200 {
        let m = f64::from(m);
        let even = m * (SHAPE - m) * x / ((SHAPE + 2.0 * m - 1.0) * (SHAPE + 2.0 * m));
        let odd =
            -(SHAPE + m) * (2.0 * SHAPE + m) * x / ((SHAPE + 2.0 * m) * (SHAPE + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            fraction *= d * c;
        }
        if (fraction - before).abs() <= f64::EPSILON * fraction.abs() {
            break;
        }
    }
    front * fraction
}

#[cfg(test)]
mod tests {
    use super::beta_quantile;

    #[test]
    fn agrees_with_scipy() {
        let reference = [
            (0.01, 0.0008612388215429059),
            (0.25, 0.17568037865269498),
            (0.5, 0.5),
            (0.9, 0.9604155944112192),
            (0.999, 0.9999814412614826),
        ];
        for (probability, quantile) in reference {
            assert!((beta_quantile(probability) / quantile - 1.0).abs() < 1e-12, "{probability}");
        }
        assert_eq!((beta_quantile(0.0), beta_quantile(1.0)), (0.0, 1.0));
    }
}
