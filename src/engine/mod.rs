//! From a [`Request`] to a picture: the inference thread, its events and previews, and the
//! composite of the result onto the picture.
//!
//! Knows neither egui nor wgpu: whoever starts it gives a wake callback.

pub mod backend;
pub mod event;
mod preview_slot;
mod queue;
mod reporter;
pub mod request;
mod thread;

pub use backend::{Backend, EngineError, Monitor};
pub use event::{
    Event, EventKind, Generated, JobId, Loading, Outcome, Preview, Progress, Recorded, Recording,
};
pub use preview_slot::PreviewSlot;
pub use queue::CancelToken;
pub use reporter::Wake;
pub use request::{
    Deferred, Device, Dtype, FillMode, ImageSource, NoiseKind, PreviewMethod, Record, Request, Task,
};
pub use thread::{Engine, SubmitError};
