//! What the inference thread says back. Events are ordered and each job has exactly one ending;
//! previews are not events: only the latest is kept, in a slot beside them.

use std::{sync::Arc, time::Duration};

use crate::{
    geometry::Bounds,
    pixels::{
        Mask, Picture,
        blend::{Blend, Inlay},
    },
};

/// Names a submitted job; later jobs have larger ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

#[derive(Clone, Debug)]
pub struct Event {
    pub job: JobId,
    pub kind: EventKind,
}

#[derive(Clone, Debug)]
pub enum EventKind {
    Queued,
    Loading(Loading),
    Step(Progress),
    /// The job is done. An ending.
    Finished(Arc<Outcome>),
    /// A selection is done. An ending.
    Selected(Arc<super::Selected>),
    /// The job was cancelled. An ending.
    Cancelled,
    /// The job failed; the text says what, where, and what to do. An ending.
    Failed(String),
}

impl EventKind {
    pub fn is_ending(&self) -> bool {
        !matches!(self, Self::Queued | Self::Loading(_) | Self::Step(_))
    }
}

/// A pass of a run, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassNumber {
    pub number: usize,
    /// How many passes the run has.
    pub of: usize,
}

impl PassNumber {
    /// That of a run without a chain.
    pub const ONLY: Self = Self { number: 1, of: 1 };
}

/// What happens before (or between) sampling steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Loading {
    pub pass: PassNumber,
    /// For a person: "Loading the U-Net", "Reading the prompt", "Encoding the picture".
    pub what: String,
    /// 0 to 1, where known.
    pub fraction: Option<f32>,
}

/// One sampling step is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub pass: PassNumber,
    /// Steps done in all passes, 1 to `total`.
    pub step: usize,
    /// Of all passes.
    pub total: usize,
    /// Since sampling started.
    pub elapsed: Duration,
    /// Estimate, from the steps that this pass has done.
    pub remaining: Duration,
}

/// The picture as it stands after a step, through the same composite as the final one.
#[derive(Clone, Debug)]
pub struct Preview {
    pub job: JobId,
    /// As in [`Progress`].
    pub step: usize,
    /// Where `picture` belongs in the document.
    pub bounds: Bounds,
    /// Composited: outside the mask these are the document's own pixels.
    pub picture: Arc<Picture>,
}

/// What a finished job made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed that was used (drawn if none was asked for).
    pub seed: u64,
    pub images: Vec<Generated>,
    /// Wall-clock time of the whole job.
    pub elapsed: Duration,
    /// The request as it ran, seed filled in.
    pub request: super::Request,
    /// What a person should know about how it ran, a sentence each.
    pub notes: Vec<String>,
    /// What [`super::request::Record`] asked to keep.
    pub recording: Recording,
    /// The memory that was foreseen for the run, in bytes; nothing where no network ran.
    pub foreseen_bytes: Option<u64>,
    /// The models that stay loaded, the last used first.
    pub loaded: Vec<Loaded>,
}

/// A model in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// For a person.
    pub name: String,
    /// Of its weights.
    pub bytes: u64,
}

/// Tensors kept for comparison with other programs, as f32 in row-major order.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The decoder's output before clamping, (images, 3, height, width), about -1 to 1.
    pub decoded: Option<Recorded>,
    /// The latents after each step, (images, channels, height / 8, width / 8).
    pub latents: Vec<Recorded>,
}

/// One kept tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub shape: Vec<usize>,
    pub values: Arc<Vec<f32>>,
}

/// One picture of a job, and what is needed to blend it anew.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Where it belongs in the document.
    pub bounds: Bounds,
    /// What is laid over the document there, its colours and shade matched. Same extent.
    pub layer: Arc<Picture>,
    /// How much of `layer` the composite takes, same extent; absent for whole pictures.
    pub composite_mask: Option<Arc<Mask>>,
    /// As the model made it, and the blend that gave the two above; absent for whole pictures.
    pub inlay: Option<(Inlay, Blend)>,
    /// `layer` over the original through `composite_mask`: bytes outside the mask are the original's.
    pub picture: Arc<Picture>,
}
