//! Smooth interpolation of scattered colours: push-pull over a pyramid (Gortler et al., "The
//! Lumigraph", 1996). Linear in the number of pixels, and without texture.

/// A grid of colours of which some are known: weight 1 known, 0 unknown, between for a mixture.
#[derive(Clone)]
pub(super) struct Scattered {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) colors: Vec<[f32; 3]>,
    pub(super) weights: Vec<f32>,
}

impl Scattered {
    /// Colours everywhere: the known ones as they are, the others from those around them. Zero
    /// when nothing is known.
    pub(super) fn interpolated(self) -> Vec<[f32; 3]> {
        let unknown = self.weights.iter().any(|&w| w < 1.0);
        if !unknown || (self.width == 1 && self.height == 1) {
            return self.colors;
        }
        let half = self.halved();
        let (width, height) = (half.width, half.height);
        let coarse = half.interpolated();
        let Self { width: full_width, mut colors, weights, .. } = self;
        for (i, (color, &weight)) in colors.iter_mut().zip(&weights).enumerate() {
            if weight < 1.0 {
                let below = bilinear(&coarse, width, height, i % full_width, i / full_width);
                (0..3).for_each(|c| color[c] = color[c] * weight + below[c] * (1.0 - weight));
            }
        }
        colors
    }

    /// Means of 2x2 blocks, by weight. One known pixel makes its block known.
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut half = Self {
            width,
            height,
            colors: vec![[0.0; 3]; width * height],
            weights: vec![0.0; width * height],
        };
        for (i, (color, &weight)) in self.colors.iter().zip(&self.weights).enumerate() {
            let to = i / self.width / 2 * width + i % self.width / 2;
            half.weights[to] += weight;
            (0..3).for_each(|c| half.colors[to][c] += color[c] * weight);
        }
        for (color, weight) in half.colors.iter_mut().zip(&mut half.weights) {
            if *weight > 0.0 {
                color.iter_mut().for_each(|c| *c /= *weight);
            }
            *weight = weight.min(1.0);
        }
        half
    }
}

/// The half-size grid at pixel (x, y) of the full one.
fn bilinear(half: &[[f32; 3]], width: usize, height: usize, x: usize, y: usize) -> [f32; 3] {
    // Pixel centres of the full grid lie a quarter of a half-size pixel off.
    let near = |i: usize, size: usize| {
        let other = if i.is_multiple_of(2) { (i / 2).saturating_sub(1) } else { i / 2 + 1 };
        (i / 2, other.min(size - 1))
    };
    let ((x0, x1), (y0, y1)) = (near(x, width), near(y, height));
    let at = |x: usize, y: usize| half[y * width + x];
    let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
    std::array::from_fn(|i| (9.0 * a[i] + 3.0 * b[i] + 3.0 * c[i] + d[i]) / 16.0)
}
