//! Who watches the denoising loop, and may stop it.

use std::ops::ControlFlow;

use candle_core::Tensor;

/// The observer wants no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

/// The state after one evaluation of the network.
#[derive(Clone, Copy)]
pub struct StepInfo<'a> {
    /// Counts from 0.
    pub index: usize,
    /// Evaluations of the network in the whole loop. Second-order schedulers (Heun) need two for
    /// a step, and PNDM one more than its steps.
    pub total: usize,
    /// The noise level that was just left, in training timesteps; may be fractional.
    pub timestep: f64,
    /// [B, C, h, w], f32, scaled as the network sees them.
    pub latents: &'a Tensor,
    /// The picture as the scheduler now guesses it, same shape.
    pub predicted_x0: Option<&'a Tensor>,
}

/// Called by the pipelines; breaking ends the pipeline with [`Error::Cancelled`](super::Error).
pub trait Observer {
    /// After each evaluation of the network.
    fn step(&mut self, info: StepInfo<'_>) -> ControlFlow<Cancelled>;

    /// Between phases (before the first step, before the decoder), where a wish to stop is heard
    /// too.
    fn check(&mut self) -> ControlFlow<Cancelled> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing.
impl Observer for () {
    fn step(&mut self, _: StepInfo<'_>) -> ControlFlow<Cancelled> {
        ControlFlow::Continue(())
    }
}

/// A closure sees the steps.
impl<F: FnMut(StepInfo<'_>) -> ControlFlow<Cancelled>> Observer for F {
    fn step(&mut self, info: StepInfo<'_>) -> ControlFlow<Cancelled> {
        self(info)
    }
}
