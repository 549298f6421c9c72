//! From a [`Request`] to a picture: the inference thread, its events and previews, and the
//! composite of the result onto the picture.
//!
//! Knows neither egui nor wgpu: whoever starts it gives a wake callback.

mod autoencoder;
pub mod backend;
pub mod bench;
mod calibration;
pub mod compositing;
mod conditions;
mod content_aware;
mod context_area;
mod control;
mod conventions;
mod device;
pub mod event;
mod fill;
mod generate;
mod hand_on;
mod handover;
mod inversions;
mod job;
mod kandinsky;
mod later_mask;
mod local;
mod loras;
mod memo;
pub mod memory;
pub mod metadata;
mod micro_conditions;
mod models;
mod networks;
mod pass;
mod plan;
mod preview;
mod preview_slot;
mod prior;
pub mod prompts;
mod queue;
mod reporter;
pub mod request;
mod residents;
mod sampling;
mod select;
mod source;
mod stage;
mod tensors;
mod text;
mod thread;
mod transform;
mod validate;
mod watcher;

pub use autoencoder::lacks_tiny_preview;
pub use backend::{Backend, EngineError, Monitor};
pub use control::ControlNet;
pub use device::{device_name, this_machine};
pub use event::{
    Event, EventKind, Generated, JobId, Loaded, Loading, Outcome, PassNumber, Preview, Progress,
    Recorded, Recording,
};
pub use handover::{Handover, handovers};
pub use local::{diffusion_backend, preflight};
pub use micro_conditions::MicroConditions;
pub use preview_slot::PreviewSlot;
pub use prior::PriorUse;
pub use prompts::PromptReader;
pub use queue::CancelToken;
pub use reporter::Wake;
pub use request::{
    Deferred, Device, Dtype, EmbeddingUse, FillMode, ImageSource, LoraUse, NoiseKind,
    PreviewMethod, Record, Request, Task,
};
pub use select::{Click, SelectRequest, Selected};
pub use stage::Stage;
pub use thread::{Engine, SubmitError};

pub use crate::prompt::Syntax as PromptSyntax;
