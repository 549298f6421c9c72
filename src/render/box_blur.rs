//! The numbers of a Gaussian blur made of three extended box blurs, as Pillow makes it.
//!
//! Formula: Gwosdek, Grewenig, Bruhn, Weickert, "Theoretical Foundations of Gaussian Convolution
//! by Extended Box Filtering" (2011).

/// How many box passes each direction gets.
pub const PASSES: usize = 3;

/// A box of `2 * radius + 1` pixels and a fraction of one more at both ends, in 8.24 fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedBox {
    pub radius: i32,
    /// Weight of a pixel of the box.
    pub weight: u32,
    /// Weight of the two pixels at its ends.
    pub edge_weight: u32,
}

impl ExtendedBox {
    /// The box whose [`PASSES`]-fold repetition has the standard deviation `sigma` (pixels, > 0).
    pub fn for_gaussian(sigma: f32) -> Self {
        let variance = sigma * sigma / PASSES as f32;
        let length = (12.0 * variance + 1.0).sqrt();
        let whole = ((length - 1.0) / 2.0).floor();
        let fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
        let radius = whole + fraction;
        let width = radius.floor() * 2.0 + 1.0;
        let one = (1u32 << 24) as f32;
        let weight = (one / (radius * 2.0 + 1.0)) as u32;
        let edge_weight = ((1 << 24) - width as u32 * weight) / 2;
        Self { radius: radius.floor() as i32, weight, edge_weight }
    }

    /// How far, in pixels, all passes together reach.
    pub fn reach(self) -> u32 {
        PASSES as u32 * (self.radius as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_has_the_variance_it_is_made_for() {
        for sigma in [0.3_f32, 1.0, 2.5, 4.0, 17.3, 120.0] {
            let b = ExtendedBox::for_gaussian(sigma);
            let one = f64::from(1u32 << 24);
            let inner: f64 = (-b.radius..=b.radius).map(|x| f64::from(x * x)).sum();
            let ends = 2.0 * f64::from(b.radius + 1).powi(2) * f64::from(b.edge_weight) / one;
            let variance = 3.0 * (inner * f64::from(b.weight) / one + ends);
            let found = variance.sqrt() as f32;
            assert!((found - sigma).abs() < 0.01 * sigma, "{sigma}: {found}");
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        for sigma in [0.5_f32, 3.0, 64.0, 500.0] {
            let b = ExtendedBox::for_gaussian(sigma);
            let sum = (2 * b.radius as u32 + 1) * b.weight + 2 * b.edge_weight;
            assert!((1 << 24) - sum <= 1, "{sigma}: {sum}");
        }
    }
}
