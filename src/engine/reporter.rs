//! The monitor of a job on the inference thread: turns its reports into events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    time::{Duration, Instant},
};

use super::{
    Event, EventKind, JobId, Loading, Preview, Progress,
    backend::{EngineError, Monitor},
    preview_slot::PreviewSlot,
    queue::{CancelToken, Queue},
};
use crate::{geometry::Bounds, pixels::Picture};

/// Called after every event and preview, on the inference thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The thread's way out.
pub struct Outbox {
    pub events: SyncSender<Event>,
    pub preview: Arc<PreviewSlot>,
    pub wake: Wake,
    /// The handle is gone: stop whatever runs.
    pub shutdown: Arc<AtomicBool>,
}

impl Outbox {
    /// Reports progress; dropped if nobody has read the last thousand events.
    pub fn progress(&self, job: JobId, kind: EventKind) {
        if self.events.try_send(Event { job, kind }).is_ok() {
            (self.wake)();
        }
    }

    /// Reports an ending. Never dropped while the handle lives: waits for room.
    pub fn ending(&self, job: JobId, kind: EventKind) {
        if self.events.send(Event { job, kind }).is_ok() {
            (self.wake)();
        }
    }
}

/// Reports on one running job, and looks after those that wait behind it.
pub struct Reporter<'a> {
    pub job: JobId,
    pub cancel: CancelToken,
    pub outbox: &'a Outbox,
    pub queue: &'a mut Queue,
    sampling_since: Option<Instant>,
}

impl<'a> Reporter<'a> {
    pub fn new(job: JobId, cancel: CancelToken, outbox: &'a Outbox, queue: &'a mut Queue) -> Self {
        Self { job, cancel, outbox, queue, sampling_since: None }
    }

    fn check(&mut self) -> Result<(), EngineError> {
        if self.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

impl Monitor for Reporter<'_> {
    fn is_cancelled(&mut self) -> bool {
        for job in self.queue.take_cancelled() {
            self.outbox.ending(job, EventKind::Cancelled);
        }
        self.cancel.is_cancelled() || self.outbox.shutdown.load(Ordering::Relaxed)
    }

    fn loading(&mut self, what: &str, fraction: Option<f32>) -> Result<(), EngineError> {
        self.check()?;
        let loading = Loading { what: what.to_owned(), fraction };
        self.outbox.progress(self.job, EventKind::Loading(loading));
        Ok(())
    }

    fn step(&mut self, step: usize, total: usize) -> Result<(), EngineError> {
        if step == 0 {
            // The next pass of a chain counts anew.
            self.sampling_since = None;
        }
        let elapsed = self.sampling_since.get_or_insert_with(Instant::now).elapsed();
        if step > 0 {
            let progress = Progress { step, total, elapsed, remaining: left(elapsed, step, total) };
            self.outbox.progress(self.job, EventKind::Step(progress));
        }
        self.check()
    }

    fn preview(&mut self, step: usize, bounds: Bounds, picture: Arc<Picture>) {
        self.outbox.preview.put(Preview { job: self.job, step, bounds, picture });
        (self.outbox.wake)();
    }
}

/// Time left, if the steps to come take as long as those done.
fn left(elapsed: Duration, step: usize, total: usize) -> Duration {
    elapsed.mul_f64(total.saturating_sub(step) as f64 / step.max(1) as f64)
}
