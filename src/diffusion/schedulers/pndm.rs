//! PNDM: Liu et al. 2022, "Pseudo numerical methods for diffusion models on manifolds". A linear
//! multi-step method (PLMS), warmed up with Runge-Kutta steps (PRK) or without.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    alpha_track::AlphaTrack,
    beta_schedule::{DDPM_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    prediction::{Prediction, combined},
    spacing::{Spacing, reversed},
};
use crate::diffusion::{Error, Result};

/// Steps that the Runge-Kutta warm-up covers; each takes four evaluations but the last, three.
const WARM_UP: usize = 4;

pub(super) struct Pndm {
    track: AlphaTrack,
    prediction: Prediction,
    spacing: Spacing,
    steps_offset: usize,
    skip_prk_steps: bool,
    /// How many timesteps belong to the warm-up.
    prk_len: usize,
    /// Training timesteps between two steps.
    stride: i64,
    /// Evaluations so far.
    counter: usize,
    /// The last predictions, newest last, four at most.
    history: Vec<Tensor>,
    /// The weighted sum of predictions within a Runge-Kutta step.
    partial: Option<Tensor>,
    /// The latents at the beginning of the current step.
    held: Option<Tensor>,
}

impl Pndm {
    pub const CLASS: &'static str = "PNDMScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &DDPM_BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            track: AlphaTrack::read(reader, train, false)?,
            prediction: Prediction::read_without_sample(reader)?,
            spacing: Spacing::read(reader, Spacing::Leading)?,
            steps_offset: reader.usize("steps_offset", 0)?,
            skip_prk_steps: reader.bool("skip_prk_steps", false)?,
            prk_len: 0,
            stride: 0,
            counter: 0,
            history: Vec::new(),
            partial: None,
            held: None,
        })
    }

    /// From `timestep` to `previous`: formula 9 of the paper.
    fn moved(
        &self,
        sample: &Tensor,
        timestep: i64,
        previous: i64,
        output: &Tensor,
    ) -> Result<Tensor> {
        let (alpha, alpha_prev) = (self.track.at(timestep), self.track.at(previous));
        let (beta, beta_prev) = (1.0 - alpha, 1.0 - alpha_prev);
        let noise = self.prediction.noise(output, sample, alpha.sqrt(), beta.sqrt())?;
        let denominator = alpha * beta_prev.sqrt() + (alpha * beta * alpha_prev).sqrt();
        let factors = ((alpha_prev / alpha).sqrt(), -(alpha_prev - alpha) / denominator);
        Ok(combined(&[(factors.0, sample), (factors.1, &noise)])?)
    }

    /// One evaluation of a Runge-Kutta step.
    fn step_prk(&mut self, output: &Tensor, timestep: i64, sample: &Tensor) -> Result<Tensor> {
        let half = if self.counter.is_multiple_of(2) { self.stride / 2 } else { 0 };
        let previous = timestep - half;
        let start = self.track.timesteps()[self.counter / 4 * 4] as i64;
        let sum = |partial: Option<Tensor>, weight: f64| match partial {
            Some(partial) => partial + (output * weight)?,
            None => output * weight,
        };
        let direction = match self.counter % 4 {
            0 => {
                self.partial = Some(sum(self.partial.take(), 1.0 / 6.0)?);
                self.history.push(output.clone());
                self.held = Some(sample.clone());
                output.clone()
            }
            1 | 2 => {
                self.partial = Some(sum(self.partial.take(), 1.0 / 3.0)?);
                output.clone()
            }
            _ => sum(self.partial.take(), 1.0 / 6.0)?,
        };
        let held = self.held.as_ref().unwrap_or(sample);
        let prev = self.moved(held, start, previous, &direction)?;
        self.counter += 1;
        Ok(prev)
    }

    /// One linear multi-step.
    fn step_plms(&mut self, output: &Tensor, timestep: i64, sample: &Tensor) -> Result<Tensor> {
        let mut span = (timestep, timestep - self.stride);
        let mut sample = sample.clone();
        if self.counter == 1 {
            span = (timestep + self.stride, timestep);
        } else {
            let excess = self.history.len().saturating_sub(3);
            self.history.drain(..excess);
            self.history.push(output.clone());
        }
        let direction = match (self.history.as_slice(), self.counter) {
            ([_], 0) => {
                self.held = Some(sample.clone());
                output.clone()
            }
            ([first], 1) => {
                sample = self.held.take().unwrap_or(sample);
                combined(&[(0.5, output), (0.5, first)])?
            }
            (history, _) => adams_bashforth(history)?,
        };
        let prev = self.moved(&sample, span.0, span.1, &direction)?;
        self.counter += 1;
        Ok(prev)
    }
}

/// The extrapolated prediction from up to four past ones, newest last.
fn adams_bashforth(history: &[Tensor]) -> candle_core::Result<Tensor> {
    match history {
        [b, a] => combined(&[(1.5, a), (-0.5, b)]),
        [c, b, a] => combined(&[(23.0 / 12.0, a), (-16.0 / 12.0, b), (5.0 / 12.0, c)]),
        [d, c, b, a] => {
            combined(&[(55.0 / 24.0, a), (-59.0 / 24.0, b), (37.0 / 24.0, c), (-9.0 / 24.0, d)])
        }
        other => combined(&[(1.0, &other[other.len() - 1])]),
    }
}

/// The warm-up's timesteps, falling: each of the last four twice with half steps between.
fn warm_up(timesteps: &[f64], half: f64) -> Vec<f64> {
    let last = &timesteps[timesteps.len() - WARM_UP..];
    let pairs: Vec<f64> = last.iter().flat_map(|&t| [t, t + half]).collect();
    let twice: Vec<f64> = pairs[..pairs.len() - 1].iter().flat_map(|&t| [t, t]).collect();
    reversed(twice[1..twice.len() - 1].to_vec())
}

impl Scheduler for Pndm {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let falling = self.track.spaced(self.spacing, self.steps_offset, steps)?;
        let total = self.track.len();
        self.stride = (total / steps) as i64;
        let timesteps = if self.skip_prk_steps {
            self.prk_len = 0;
            // The second is visited twice.
            let again = falling.get(1).copied();
            let (first, rest) = falling.split_at(1);
            first.iter().copied().chain(again).chain(rest.iter().copied()).collect()
        } else {
            if falling.len() < WARM_UP {
                let text = format!("PNDM with Runge-Kutta steps needs {WARM_UP} steps or more");
                return Err(Error::Invalid(text));
            }
            let rising = reversed(falling);
            let mut all = warm_up(&rising, (total / steps / 2) as f64);
            self.prk_len = all.len();
            all.extend(rising[..rising.len() - (WARM_UP - 1)].iter().rev());
            all
        };
        (self.counter, self.partial, self.held) = (0, None, None);
        self.history.clear();
        self.track.lay_out(timesteps)
    }

    fn track(&self) -> &dyn Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut dyn Track {
        &mut self.track
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        timestep: f64,
        sample: &Tensor,
        _: StepContext<'_>,
    ) -> Result<StepOutput> {
        let timestep = timestep as i64;
        let alpha = self.track.at(timestep);
        let roots = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let picture = self.prediction.picture(model_output, sample, roots.0, roots.1)?;
        let prev_sample = if self.counter < self.prk_len {
            self.step_prk(model_output, timestep, sample)?
        } else {
            self.step_plms(model_output, timestep, sample)?
        };
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
