//! Other ways to spread noise levels over the steps, and the timesteps that they mean.

use super::{beta_quantile::beta_quantile, config::Reader, spacing::linspace};
use crate::diffusion::Result;

/// How sigmas fall from the largest to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// As the timesteps say.
    Plain,
    /// Karras et al. 2022, "Elucidating the design space", equation 5, rho 7.
    Karras,
    /// Even steps of the logarithm.
    Exponential,
    /// Even steps of lambda, which is minus that logarithm (Lu et al. 2022); the same sigmas as
    /// [`Spread::Exponential`], whose timesteps the reference rounds only under this name.
    Lu,
    /// Lee et al. 2024, "Beta sampling is all you need": quantiles of Beta(0.6, 0.6).
    Beta,
}

impl Spread {
    /// Reads the three switches, of which at most one may be on.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let karras = reader.bool("use_karras_sigmas", false)?;
        let exponential = reader.bool("use_exponential_sigmas", false)?;
        let beta = reader.bool("use_beta_sigmas", false)?;
        match (karras, exponential, beta) {
            (false, false, false) => Ok(Self::Plain),
            (true, false, false) => Ok(Self::Karras),
            (false, true, false) => Ok(Self::Exponential),
            (false, false, true) => Ok(Self::Beta),
            _ => {
                let key = if karras { "use_karras_sigmas" } else { "use_beta_sigmas" };
                Err(reader.error(
                    key,
                    "the only one switched on of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas",
                ))
            }
        }
    }

    /// As [`Self::read`], where `use_lu_lambdas` counts too, after the Karras switch.
    pub fn read_with_lu(reader: &mut Reader<'_>) -> Result<Self> {
        let lu = reader.bool("use_lu_lambdas", false)?;
        let spread = Self::read(reader)?;
        Ok(if lu && spread != Self::Karras { Self::Lu } else { spread })
    }

    /// `count` sigmas from `max` down to `min`; nothing for [`Spread::Plain`].
    pub fn sigmas(self, max: f64, min: f64, count: usize) -> Option<Vec<f64>> {
        match self {
            Self::Plain => None,
            Self::Karras => Some(karras(max, min, count)),
            Self::Exponential | Self::Lu => {
                let logs = linspace(max.ln(), min.ln(), count);
                Some(logs.into_iter().map(f64::exp).collect())
            }
            Self::Beta => {
                let at = |x: f64| min + beta_quantile(1.0 - x) * (max - min);
                Some(linspace(0.0, 1.0, count).into_iter().map(at).collect())
            }
        }
    }
}

fn karras(max: f64, min: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (min_root, max_root) = (min.powf(1.0 / RHO), max.powf(1.0 / RHO));
    let at = |ramp: f64| (max_root + ramp * (min_root - max_root)).powf(RHO);
    linspace(0.0, 1.0, count).into_iter().map(at).collect()
}

/// Sigmas at fractional timesteps, `numpy.interp` over the training table.
pub(super) fn interpolated(timesteps: &[f64], table: &[f32]) -> Vec<f64> {
    let last = table.len() - 1;
    let at = |&t: &f64| {
        let low = (t.max(0.0) as usize).min(last);
        if t <= 0.0 || low == last {
            return f64::from(table[low]);
        }
        let (a, b) = (f64::from(table[low]), f64::from(table[low + 1]));
        (b - a) * (t - low as f64) + a
    };
    timesteps.iter().map(at).collect()
}

/// The fractional training timesteps whose (interpolated, logarithmic) sigma is each of `sigmas`.
pub(super) fn timesteps_of(sigmas: &[f64], table: &[f32]) -> Vec<f64> {
    let logs: Vec<f32> = table.iter().map(|sigma| sigma.ln()).collect();
    sigmas.iter().map(|sigma| timestep_of(*sigma, &logs)).collect()
}

fn timestep_of(sigma: f64, logs: &[f32]) -> f64 {
    let log = sigma.max(1e-10).ln();
    // The table rises, so the last entry that is not above is where their count ends.
    let at_or_below = logs.iter().filter(|&&entry| log - f64::from(entry) >= 0.0).count();
    let low = at_or_below.saturating_sub(1).min(logs.len() - 2);
    let span = f64::from(logs[low] - logs[low + 1]);
    let weight = ((f64::from(logs[low]) - log) / span).clamp(0.0, 1.0);
    (1.0 - weight) * low as f64 + weight * (low + 1) as f64
}

/// What comes after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinalSigma {
    Zero,
    SigmaMin,
}

impl FinalSigma {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let choices = [("zero", Self::Zero), ("sigma_min", Self::SigmaMin)];
        reader.choice("final_sigmas_type", &choices, Self::Zero)
    }

    /// As [`Self::read`] for DPM-Solver, whose forms that do not predict the picture cannot go to
    /// sigma 0.
    pub fn read_for(reader: &mut Reader<'_>, predicts_pictures: bool) -> Result<Self> {
        let read = Self::read(reader)?;
        if !predicts_pictures && read == Self::Zero {
            let expected = "\"sigma_min\" with this algorithm_type";
            return Err(reader.error("final_sigmas_type", expected));
        }
        Ok(read)
    }

    /// `sigma_min` is what this class takes as the smallest.
    pub fn value(self, sigma_min: f64) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::SigmaMin => sigma_min,
        }
    }
}

/// The list that the steps run on: f32, the final sigma last.
pub(super) fn with_final(sigmas: &[f64], last: f64) -> Vec<f32> {
    sigmas.iter().chain([&last]).map(|&sigma| sigma as f32).collect()
}
