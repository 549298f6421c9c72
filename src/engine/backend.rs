//! What the engine's threads drive: something that runs one request and reports as it goes.

use std::sync::Arc;

use super::{Outcome, PassNumber, Request, SelectRequest, Selected};
use crate::{diffusion, geometry::Bounds, pixels::Picture};

/// Runs requests on the inference thread, or selections on a thread of their own, one after the
/// other. Built there, one for each, so it need not be `Send`: it may own a device and its weights.
pub trait Backend {
    /// Runs one request to its end.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] once the monitor says so; otherwise what went wrong.
    fn run(&mut self, request: &Request, monitor: &mut dyn Monitor)
    -> Result<Outcome, EngineError>;

    /// Finds what was clicked on.
    ///
    /// # Errors
    /// As [`Backend::run`].
    fn select(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        let _ = (request, monitor);
        Err(EngineError::invalid("nothing can be selected here"))
    }
}

/// Takes the reports of a running job. Each report is also a point of cancellation: it answers
/// [`EngineError::Cancelled`] once the job should stop, to be passed on with `?`.
pub trait Monitor {
    /// Whether the job should stop.
    fn is_cancelled(&mut self) -> bool;

    /// Something other than sampling is going on: `what` is for a person, `fraction` 0 to 1.
    fn loading(&mut self, what: &str, fraction: Option<f32>) -> Result<(), EngineError>;

    /// A pass of a chain begins. A run that never says so is one pass.
    fn pass(&mut self, pass: PassNumber) -> Result<(), EngineError>;

    /// `step` of `total` is over, counted over all passes. The first call of a pass says that its
    /// sampling starts now.
    fn step(&mut self, step: usize, total: usize) -> Result<(), EngineError>;

    /// The picture as it stands after `step`, already composited, and where it belongs.
    fn preview(&mut self, step: usize, bounds: Bounds, picture: Arc<Picture>);
}

/// Why a job ended without a picture. The texts are for a person: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Somebody asked for it.
    #[error("cancelled")]
    Cancelled,
    /// The request cannot be run as it is, whatever the machine.
    #[error("{0}")]
    Invalid(String),
    /// Reading a model, or running it, went wrong.
    #[error("{0}")]
    Failed(String),
}

impl EngineError {
    /// The request cannot be run as it is.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self::Invalid(message.to_string())
    }

    /// Something went wrong while running it.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// The same, and in which of `count` passes it was; `index` counts from 0.
    pub(super) fn in_pass(self, index: usize, count: usize) -> Self {
        let named = |text: String| match count {
            0 | 1 => text,
            _ => format!("pass {} of the chain: {text}", index + 1),
        };
        match self {
            Self::Cancelled => Self::Cancelled,
            Self::Invalid(text) => Self::Invalid(named(text)),
            Self::Failed(text) => Self::Failed(named(text)),
        }
    }
}

impl From<diffusion::Error> for EngineError {
    fn from(error: diffusion::Error) -> Self {
        match error {
            diffusion::Error::Cancelled => Self::Cancelled,
            diffusion::Error::Tensor(error) => Self::failed(error),
            other => Self::invalid(other),
        }
    }
}
