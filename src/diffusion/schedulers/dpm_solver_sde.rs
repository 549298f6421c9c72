//! DPM-Solver++ as a stochastic differential equation, with a midpoint in each step: k-diffusion's
//! `sample_dpmpp_sde`, whose noise is a Brownian path over sigma, so that other steps walk the same
//! path. Every step but the last evaluates the network twice.

use candle_core::Tensor;

use super::{
    Scheduler, StepContext, StepOutput, Track,
    beta_schedule::{SECOND_ORDER_BETAS, TrainSchedule, ZeroSnr},
    config::Reader,
    midpoint::{doubled, scaled, with_middles},
    prediction::{Prediction, combined},
    sigma_track::SigmaTrack,
    sigmas::{Spread, interpolated, timesteps_of, with_final},
};
use crate::diffusion::{
    NoiseSource, Result,
    noise::{BrownianTree, first_integer},
};

pub(super) struct DpmSolverSde {
    /// Of training, rising.
    table: Vec<f32>,
    prediction: Prediction,
    spread: Spread,
    track: SigmaTrack,
    /// `noise_sampler_seed`; where it is not given, a number that follows from the run's seed.
    seed: Option<u64>,
    /// Sigmas that are not 0, from the smallest to the largest.
    range: (f32, f32),
    path: Option<BrownianTree>,
    /// Between the two evaluations of a step: the latents that it began with.
    first: Option<Tensor>,
}

impl DpmSolverSde {
    pub const CLASS: &'static str = "DPMSolverSDEScheduler";

    pub fn new(reader: &mut Reader<'_>) -> Result<Self> {
        let train = TrainSchedule::read(reader, &SECOND_ORDER_BETAS, ZeroSnr::Unknown)?;
        Ok(Self {
            table: train.sigmas(),
            prediction: Prediction::read_without_sample(reader)?,
            spread: Spread::read(reader)?,
            track: SigmaTrack::read(reader)?,
            seed: reader.optional_u64("noise_sampler_seed")?,
            range: (0.0, 0.0),
            path: None,
            first: None,
        })
    }

    /// Where the current step begins and where it leads.
    fn ends(&self) -> (f32, f32) {
        let begin = self.track.current() - usize::from(self.first.is_some());
        (self.track.sigma(begin), self.track.sigma(begin + 1))
    }

    /// The sigma of the current evaluation: where a step begins, or its midpoint.
    fn sigma(&self) -> f32 {
        let (sigma, next) = self.ends();
        if self.first.is_none() { sigma } else { between(sigma, next) }
    }

    /// Standard normal noise: how the path rises on the way down from one sigma to another.
    fn noise(
        &mut self,
        (from, to): (f32, f32),
        like: &Tensor,
        source: &dyn NoiseSource,
    ) -> Result<Tensor> {
        let path = self.path.get_or_insert_with(|| {
            let seed = self.seed.unwrap_or_else(|| first_integer(source.seed()));
            let (start, end) = self.range;
            BrownianTree::new(start.into(), end.into(), seed, like.elem_count())
        });
        let scale = -f64::from((from - to).abs().sqrt()).recip();
        let rise = Tensor::from_vec(
            path.increment(to.into(), from.into()),
            like.shape(),
            &candle_core::Device::Cpu,
        )?;
        Ok((rise.to_device(like.device())? * scale)?)
    }

    /// From one sigma to a lower one: down further than that, and up again by noise.
    fn fallen(
        &mut self,
        (from, to): (f32, f32),
        sample: &Tensor,
        picture: &Tensor,
        source: &dyn NoiseSource,
    ) -> Result<Tensor> {
        let (power, to_power) = (from * from, to * to);
        let up = to.min((to_power * (power - to_power) / power).sqrt());
        let down = time((to_power - up * up).sqrt());
        let (begin, end) = (time(from), sigma_at(down));
        let noise = self.noise((from, to), sample, source)?;
        let kept = end / sigma_at(begin);
        Ok(combined(&[(kept, sample), (-(begin - down).exp_m1(), picture), (up, &noise)])?)
    }
}

/// Time is minus the logarithm of sigma.
fn time(sigma: f32) -> f32 {
    -(f64::from(sigma).ln() as f32)
}

fn sigma_at(time: f32) -> f32 {
    f64::from(-time).exp() as f32
}

/// Halfway in time.
fn between(a: f32, b: f32) -> f32 {
    let (a, b) = (time(a), time(b));
    sigma_at(a + (b - a) * 0.5)
}

/// As [`between`], for the timesteps, in f64.
fn middle(pair: &[f64]) -> f64 {
    let (a, b) = (-pair[0].ln(), -pair[1].ln());
    (-(a + (b - a) * 0.5)).exp()
}

impl Scheduler for DpmSolverSde {
    fn class_name(&self) -> &'static str {
        Self::CLASS
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, steps: usize) -> Result<()> {
        let mut timesteps = self.track.spaced_in_double(steps, self.table.len())?;
        let mut sigmas = interpolated(&timesteps, &self.table);
        if let Some(spread) = self.spread.sigmas(sigmas[0], sigmas[sigmas.len() - 1], steps) {
            timesteps = timesteps_of(&spread, &self.table);
            sigmas = spread;
        }
        let middles: Vec<f64> = sigmas.windows(2).map(middle).collect();
        let middles = timesteps_of(&middles, &self.table);
        let timesteps = with_middles(&timesteps, &middles);
        let sigmas = doubled(with_final(&sigmas, 0.0).into_iter());
        let positive = sigmas.iter().copied().filter(|sigma| *sigma > 0.0);
        self.range = (positive.clone().fold(f32::MAX, f32::min), positive.fold(0.0, f32::max));
        self.track.lay_out(&timesteps, sigmas);
        (self.path, self.first) = (None, None);
        Ok(())
    }

    fn track(&self) -> &dyn Track {
        &self.track
    }

    fn track_mut(&mut self) -> &mut dyn Track {
        &mut self.track
    }

    /// Half of the evaluations are at midpoints, which are not on the track.
    fn scale_model_input(&self, sample: &Tensor) -> Result<Tensor> {
        scaled(sample, self.sigma())
    }

    fn step(
        &mut self,
        model_output: &Tensor,
        _: f64,
        sample: &Tensor,
        context: StepContext<'_>,
    ) -> Result<StepOutput> {
        let ((sigma, next), current) = (self.ends(), self.sigma());
        let picture = self.prediction.picture_from_sigma(model_output, sample, current)?;
        let prev_sample = match self.first.take() {
            _ if next == 0.0 => {
                let slope = ((sample - &picture)? / f64::from(sigma))?;
                combined(&[(1.0, sample), (-sigma, &slope)])?
            }
            None => {
                self.first = Some(sample.clone());
                let ends = (sigma_at(time(sigma)), between(sigma, next));
                self.fallen(ends, sample, &picture, context.noise)?
            }
            Some(first) => {
                let ends = (sigma_at(time(sigma)), sigma_at(time(next)));
                self.fallen(ends, &first, &picture, context.noise)?
            }
        };
        self.track.advance();
        Ok(StepOutput { prev_sample, pred_original_sample: Some(picture) })
    }
}
