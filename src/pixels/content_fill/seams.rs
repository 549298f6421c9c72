//! Takes the steps out where regions copied from different places meet, and at the hole's edge:
//! the differences between neighbours are voted on like colours, and a smooth correction brings
//! the picture's differences to those (Perez, Gangnet, Blake, "Poisson image editing", 2003, with
//! a screening term that keeps the correction local).

use super::{
    field::Field,
    level::{Kind, Level},
    vote::vote_on,
};

/// How far a correction reaches, in pixels.
const REACH: f32 = 24.0;
/// Sweeps of the solver; enough for corrections that reach this far.
const SWEEPS: usize = 60;
/// Over-relaxation of the solver.
const OMEGA: f32 = 1.8;

/// Steps well below this, in levels of 255, count as seams.
const SEAM_HEIGHT: f32 = 14.0;

const NEIGHBOURS: [(i64, i64); 4] = [(1, 0), (-1, 0), (0, 1), (0, -1)];

/// Adds the correction to the hole's colours. `colors` are those of the hole, by index, as voted with the
/// same `sharpness`.
pub(super) fn remove(
    level: &Level,
    field: &Field,
    sharpness: f32,
    colors: &mut [(usize, [f32; 3])],
) {
    let mut system = System::new(level, field, sharpness, colors);
    for _ in 0..SWEEPS {
        system.sweep();
    }
    for ((_, color), correction) in colors.iter_mut().zip(&system.correction) {
        (0..3).for_each(|c| color[c] += correction[c]);
    }
}

/// Marks a neighbour whose correction is zero.
const FIXED: u32 = u32::MAX;

/// One equation for each pixel of the hole.
struct System {
    /// What is missing from the differences with the neighbours.
    residual: Vec<[f32; 3]>,
    /// The neighbours as places in `correction`, or [`FIXED`].
    neighbours: Vec<[u32; 4]>,
    /// How many neighbours count.
    degree: Vec<f32>,
    correction: Vec<[f32; 3]>,
}

impl System {
    fn new(level: &Level, field: &Field, sharpness: f32, colors: &[(usize, [f32; 3])]) -> Self {
        let mut place = vec![FIXED; level.kinds.len()];
        colors.iter().enumerate().for_each(|(n, &(i, _))| place[i] = n as u32);
        let wanted = NEIGHBOURS.map(|step| wanted_differences(level, field, sharpness, step));
        let mut system = Self {
            residual: vec![[0.0; 3]; colors.len()],
            neighbours: vec![[FIXED; 4]; colors.len()],
            degree: vec![0.0; colors.len()],
            correction: vec![[0.0; 3]; colors.len()],
        };
        for (n, &(i, color)) in colors.iter().enumerate() {
            for (d, &step) in NEIGHBOURS.iter().enumerate() {
                let Some(j) = neighbour(level, i, step) else { continue };
                let (mut difference, mut other) = (wanted[d][n].1, level.rgb[j].map(f32::from));
                if let Some(&(_, color)) = colors.get(place[j] as usize) {
                    // Both pixels have a say on the difference between them.
                    let back = wanted[d ^ 1][place[j] as usize].1;
                    difference = std::array::from_fn(|c| (difference[c] - back[c]) / 2.0);
                    other = color;
                    system.neighbours[n][d] = place[j];
                }
                system.degree[n] += 1.0;
                let step = std::array::from_fn(|c| difference[c] - (color[c] - other[c]));
                let share = share_of_seam(step);
                (0..3).for_each(|c| system.residual[n][c] += step[c] * share);
            }
        }
        system
    }

    /// One sweep of successive over-relaxation.
    fn sweep(&mut self) {
        const SCREEN: f32 = 1.0 / (REACH * REACH);
        for n in 0..self.correction.len() {
            let mut sum = self.residual[n];
            for &m in &self.neighbours[n] {
                if m != FIXED {
                    let other = self.correction[m as usize];
                    (0..3).for_each(|c| sum[c] += other[c]);
                }
            }
            let own = &mut self.correction[n];
            for c in 0..3 {
                own[c] += OMEGA * (sum[c] / (self.degree[n] + SCREEN) - own[c]);
            }
        }
    }
}

/// How much of an unwanted step between two pixels is taken out: small ones are seams in what
/// should be smooth, large ones are edges of things, which would smear.
fn share_of_seam(step: [f32; 3]) -> f32 {
    let squared: f32 = step.iter().map(|v| v * v).sum();
    (-squared / (SEAM_HEIGHT * SEAM_HEIGHT)).exp()
}

/// For each pixel of the hole, how much it should differ from its neighbour one `step` away: as
/// the source pixels differ from theirs.
fn wanted_differences(
    level: &Level,
    field: &Field,
    sharpness: f32,
    step: (i64, i64),
) -> Vec<(usize, [f32; 3])> {
    vote_on(level, field, sharpness, |source| match neighbour(level, source, step) {
        Some(other) if level.kinds[other] == Kind::Source => std::array::from_fn(|c| {
            f32::from(level.rgb[source][c]) - f32::from(level.rgb[other][c])
        }),
        _ => [0.0; 3],
    })
}

/// The pixel one `step` from pixel `i`, unless it lies outside or is transparent.
fn neighbour(level: &Level, i: usize, (dx, dy): (i64, i64)) -> Option<usize> {
    let x = (i % level.width) as i64 + dx;
    let y = (i / level.width) as i64 + dy;
    let inside = (0..level.width as i64).contains(&x) && (0..level.height as i64).contains(&y);
    let j = inside.then(|| y as usize * level.width + x as usize)?;
    (level.kinds[j] != Kind::Void).then_some(j)
}
