//! Brownian motion that a seed alone decides, wherever it is looked at: Levy's construction by
//! halves (Kidger et al. 2021, "Efficient and accurate gradients for neural SDEs", appendix E), with
//! the seeds and the grid of `torchsde.BrownianInterval(tol=1e-6, pool_size=24, halfway_tree=True)`.

use super::{NoiseSource, TorchNoise, seed_sequence::seed};

/// A path from `start` to `end`, for each of many values.
pub struct BrownianTree {
    start: f64,
    end: f64,
    entropy: u64,
    count: usize,
    /// The whole increment.
    whole: Vec<f32>,
}

/// A piece of the path: halves of halves.
#[derive(Clone, Copy)]
struct Piece {
    start: f64,
    end: f64,
    /// Left and right turns from the top, as binary digits.
    turns: u64,
    depth: u64,
}

impl Piece {
    fn middle(self) -> f64 {
        on_grid(0.5 * (self.end + self.start))
    }

    fn halves(self) -> [Self; 2] {
        let (middle, depth) = (self.middle(), self.depth + 1);
        [
            Self { end: middle, turns: 2 * self.turns, depth, ..self },
            Self { start: middle, turns: 2 * self.turns + 1, depth, ..self },
        ]
    }
}

impl BrownianTree {
    /// `count` paths over a stretch of time.
    pub fn new(start: f64, end: f64, entropy: u64, count: usize) -> Self {
        let deviation = (end - start).sqrt() as f32;
        let mut whole = normal(seed(entropy, &[]), count);
        whole.iter_mut().for_each(|value| *value *= deviation);
        Self { start: on_grid(start), end: on_grid(end), entropy, count, whole }
    }

    /// By how much each path rises from one time to a later one; times beyond the ends are taken
    /// for the ends.
    pub fn increment(&self, from: f64, to: f64) -> Vec<f32> {
        let inside = |time: f64| on_grid(time.clamp(self.start, self.end));
        let mut sum = vec![0.0; self.count];
        let top = Piece { start: self.start, end: self.end, turns: 0, depth: 0 };
        self.add(top, &self.whole, (inside(from), inside(to)), &mut sum);
        sum
    }

    /// Adds what a piece, whose increment is known, rises within the range.
    fn add(&self, piece: Piece, rise: &[f32], (from, to): (f64, f64), sum: &mut [f32]) {
        if from >= to {
            return;
        }
        let middle = piece.middle();
        let is_smallest = middle <= piece.start || middle >= piece.end;
        if is_smallest || (from <= piece.start && to >= piece.end) {
            sum.iter_mut().zip(rise).for_each(|(sum, rise)| *sum += rise);
            return;
        }
        let [left, right] = piece.halves();
        let (left_rise, right_rise) = self.split(piece, rise);
        self.add(left, &left_rise, (from.max(left.start), to.min(left.end)), sum);
        self.add(right, &right_rise, (from.max(right.start), to.min(right.end)), sum);
    }

    /// The bridge: where a piece is at half time, given where it ends.
    fn split(&self, piece: Piece, rise: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (before, after) = (piece.middle() - piece.start, piece.end - piece.middle());
        let per_time = 1.0 / (piece.end - piece.start);
        let deviation = (before * after * per_time).sqrt() as f32;
        let noise = normal(seed(self.entropy, &[piece.turns, piece.depth]), self.count);
        let left: Vec<f32> = rise
            .iter()
            .zip(noise)
            .map(|(rise, noise)| before as f32 * rise * per_time as f32 + deviation * noise)
            .collect();
        let right = rise.iter().zip(&left).map(|(rise, left)| rise - left).collect();
        (left, right)
    }
}

fn normal(seed: u32, count: usize) -> Vec<f32> {
    TorchNoise::new(seed.into()).fill(count)
}

/// Six decimals, as Python's `round` gives them: by the exact decimal digits.
fn on_grid(time: f64) -> f64 {
    format!("{time:.6}").parse().unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::BrownianTree;

    /// torchsde 0.2.6, (1, 2, 3, 4) values.
    #[test]
    fn increments_are_those_of_torchsde() {
        let tree = BrownianTree::new(0.029168, 14.614647, 7, 24);
        for ((from, to), expected) in [
            ((3.25, 9.5), [-0.515734, 0.813336, -0.330987, 1.384051]),
            // Below the start.
            ((0.029167, 0.4), [0.297286, -0.877003, -0.169672, -0.362877]),
            ((0.0, 20.0), [0.707175, -2.135622, -2.730175, 6.48867]),
        ] {
            let increment = tree.increment(from, to);
            for (ours, theirs) in increment.iter().zip(expected) {
                assert!((ours - theirs).abs() < 4e-6, "{from} to {to}: {increment:?}");
            }
        }
        assert_eq!(tree.increment(2.0, 2.0), [0.0; 24]);
    }
}
