//! What can go wrong while sampling, in words for the person at the canvas.

use super::observer::Cancelled;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value in a scheduler's configuration that its class does not support.
    #[error("{origin}: `{key}` is {value}, but it must be {expected}")]
    Config { origin: String, key: String, value: String, expected: String },
    /// A scheduler configuration that is not a JSON object.
    #[error("{origin}: not a scheduler configuration: {reason}")]
    ConfigFile { origin: String, reason: String },
    /// An override that the chosen scheduler has no use for.
    #[error("scheduler option `{key}` means nothing to {scheduler}; it knows {known}")]
    UnknownOption { key: String, scheduler: String, known: String },
    #[error("there is no scheduler `{name}`; there is {known}")]
    UnknownScheduler { name: String, known: String },
    /// A scheduler that exists elsewhere, but not in this program.
    #[error("the scheduler `{name}` is not here yet; there is {known}")]
    SchedulerNotYet { name: String, known: String },
    /// Settings that do not fit each other or the model.
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The observer asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
