//! How much of the picture each training timestep keeps. In f32 where torch computes in f32: a
//! seed's picture depends on the last bits.

use super::config::Reader;
use crate::diffusion::Result;

/// The default that differs between classes.
pub(super) struct BetaDefaults {
    pub beta_start: f64,
    pub beta_end: f64,
    pub schedule: BetaSchedule,
}

/// What most classes default to.
pub(super) const DDPM_BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.0001, beta_end: 0.02, schedule: BetaSchedule::Linear };

/// Stable Diffusion's: what classes for distilled models default to.
pub(super) const STABLE_DIFFUSION_BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.00085, beta_end: 0.012, schedule: BetaSchedule::ScaledLinear };

/// What the classes that came from k-diffusion with two evaluations a step default to.
pub(super) const SECOND_ORDER_BETAS: BetaDefaults =
    BetaDefaults { beta_start: 0.00085, beta_end: 0.012, schedule: BetaSchedule::Linear };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BetaSchedule {
    Linear,
    ScaledLinear,
    SquaredCosine,
}

const SCHEDULES: &[(&str, BetaSchedule)] = &[
    ("linear", BetaSchedule::Linear),
    ("scaled_linear", BetaSchedule::ScaledLinear),
    ("squaredcos_cap_v2", BetaSchedule::SquaredCosine),
];

/// Below this alpha, sigma would be infinite at the end of a schedule with zero terminal
/// signal-to-noise ratio.
pub(super) const SMALLEST_ALPHA: f32 = 1.0 / (1 << 24) as f32;

/// The training schedule.
pub(super) struct TrainSchedule {
    /// Products of (1 - beta), one for each training timestep.
    pub alphas_cumprod: Vec<f32>,
    /// How much each timestep takes away.
    pub betas: Vec<f32>,
    pub schedule: BetaSchedule,
}

impl TrainSchedule {
    /// Reads the keys of betas. `zero_snr` says whether the class knows `rescale_betas_zero_snr`,
    /// and with which last alpha.
    pub fn read(
        reader: &mut Reader<'_>,
        defaults: &BetaDefaults,
        zero_snr: ZeroSnr,
    ) -> Result<Self> {
        let steps = reader.usize("num_train_timesteps", 1000)?;
        if steps < 2 {
            return Err(reader.error("num_train_timesteps", "2 or more"));
        }
        let start = reader.f64("beta_start", defaults.beta_start)?;
        let end = reader.f64("beta_end", defaults.beta_end)?;
        let schedule = reader.choice("beta_schedule", SCHEDULES, defaults.schedule)?;
        let trained = reader.optional_numbers("trained_betas")?;
        let mut betas = match trained {
            Some(betas) if betas.len() == steps => betas.iter().map(|&b| b as f32).collect(),
            Some(_) => {
                return Err(reader.error("trained_betas", format!("a list of {steps} numbers")));
            }
            None => betas(schedule, start, end, steps),
        };
        let rescale = match zero_snr {
            ZeroSnr::Unknown => false,
            _ => reader.bool("rescale_betas_zero_snr", false)?,
        };
        if rescale {
            betas = with_zero_terminal_snr(&betas);
        }
        let mut alphas_cumprod = cumulative_alphas(&betas);
        if rescale && zero_snr == ZeroSnr::Clamped {
            alphas_cumprod[steps - 1] = SMALLEST_ALPHA;
        }
        if alphas_cumprod.iter().any(|a| !(0.0..=1.0).contains(a)) {
            return Err(reader.error("beta_end", "such that every beta is between 0 and 1"));
        }
        Ok(Self { alphas_cumprod, betas, schedule })
    }

    /// `num_train_timesteps`.
    pub fn len(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// sqrt((1 - alpha) / alpha) for each training timestep, rising.
    pub fn sigmas(&self) -> Vec<f32> {
        self.alphas_cumprod.iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
    }
}

/// What a class does with `rescale_betas_zero_snr`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ZeroSnr {
    /// Does not have the key.
    Unknown,
    /// The last alpha becomes 0.
    Exact,
    /// The last alpha becomes [`SMALLEST_ALPHA`].
    Clamped,
}

fn betas(schedule: BetaSchedule, start: f64, end: f64, steps: usize) -> Vec<f32> {
    match schedule {
        BetaSchedule::Linear => linspace(start as f32, end as f32, steps),
        BetaSchedule::ScaledLinear => {
            let roots = linspace(start.sqrt() as f32, end.sqrt() as f32, steps);
            roots.iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredCosine => squared_cosine(steps),
    }
}

/// `torch.linspace` in f32: each half is counted from its own end, with fused multiply-adds.
fn linspace(start: f32, end: f32, steps: usize) -> Vec<f32> {
    let step = (end - start) / (steps - 1) as f32;
    let at = |i: usize| {
        if i < steps / 2 {
            step.mul_add(i as f32, start)
        } else {
            step.mul_add(-((steps - 1 - i) as f32), end)
        }
    };
    (0..steps).map(at).collect()
}

/// Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", capped.
fn squared_cosine(steps: usize) -> Vec<f32> {
    let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::PI / 2.0).cos().powi(2);
    let at = |i: usize| {
        let (t1, t2) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
        (1.0 - alpha_bar(t2) / alpha_bar(t1)).min(0.999) as f32
    };
    (0..steps).map(at).collect()
}

/// `torch.cumprod` on the processor: accumulated in f64, stored in f32.
fn cumulative_alphas(betas: &[f32]) -> Vec<f32> {
    let accumulate = |product: &mut f64, beta: &f32| {
        *product *= f64::from(1.0 - beta);
        Some(*product as f32)
    };
    betas.iter().scan(1.0, accumulate).collect()
}

/// Lin et al. 2023, algorithm 1: shift and scale sqrt(alpha) so that the last is 0.
fn with_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let mut roots: Vec<f32> = cumulative_alphas(betas).iter().map(|a| a.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    roots.iter_mut().for_each(|root| *root = (*root - last) * scale);
    let bars: Vec<f32> = roots.iter().map(|root| root * root).collect();
    let rest = bars.windows(2).map(|pair| 1.0 - pair[1] / pair[0]);
    std::iter::once(1.0 - bars[0]).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::SchedulerConfig;

    fn table(text: &str) -> Vec<f32> {
        let config = SchedulerConfig::parse("test", text).unwrap();
        let mut reader = Reader::new(&config);
        TrainSchedule::read(&mut reader, &DDPM_BETAS, ZeroSnr::Exact).unwrap().alphas_cumprod
    }

    /// One number for all bits of a table.
    fn fingerprint(table: &[f32]) -> u32 {
        table.iter().fold(0, |hash: u32, a| hash.wrapping_mul(31).wrapping_add(a.to_bits()))
    }

    #[test]
    fn tables_are_torch_s_to_the_last_bit() {
        // alphas_cumprod of DDIMScheduler, torch 2.15.
        let sd = r#""beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear""#;
        let cases = [
            (format!("{{{sd}}}"), 0x66e3_178f),
            ("{}".into(), 0x66e6_d5fe),
            (r#"{"beta_schedule": "squaredcos_cap_v2"}"#.into(), 0x7463_43d4),
        ];
        for (config, reference) in cases {
            assert_eq!(fingerprint(&table(&config)), reference, "{config}");
        }
    }

    /// Not to the last bit: torch takes these square roots with a library that rounds its own way.
    #[test]
    fn zero_terminal_snr_is_close_to_torch_s() {
        let table = table(
            r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                "rescale_betas_zero_snr": true}"#,
        );
        for (at, bits) in [(1, 0x3f7f_8c3b), (500, 0x3e76_cd97), (998, 0x3453_4ef7)] {
            let reference = f32::from_bits(bits);
            assert!((table[at] / reference - 1.0).abs() < 1e-4, "{} {reference}", table[at]);
        }
        assert_eq!(table[999], 0.0);
    }
}
