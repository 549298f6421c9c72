//! From a [`Request`] to a picture: the inference thread, its events and previews, and the
//! composite of the result onto the picture.
//!
//! Knows neither egui nor wgpu: whoever starts it gives a wake callback.

pub mod event;
pub mod request;

pub use event::{Event, EventKind, Generated, JobId, Loading, Outcome, Preview, Progress};
pub use request::{Device, Dtype, FillMode, ImageSource, NoiseKind, PreviewMethod, Request, Task};
