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
    Event, EventKind, JobId, Loading, PassNumber, Preview, Progress,
    backend::{EngineError, Monitor},
    preview_slot::PreviewSlot,
    queue::{CancelToken, Queue},
};
use crate::{geometry::Bounds, pixels::Picture};

/// Called after every event and preview, on the inference thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A thread's way out.
#[derive(Clone)]
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
    pass: PassNumber,
    sampling_since: Option<Instant>,
    /// When the sampling of this pass started, and how many steps were over by then.
    pass_since: Option<(Instant, usize)>,
}

impl<'a> Reporter<'a> {
    pub fn new(job: JobId, cancel: CancelToken, outbox: &'a Outbox, queue: &'a mut Queue) -> Self {
        let (pass, sampling_since, pass_since) = (PassNumber::ONLY, None, None);
        Self { job, cancel, outbox, queue, pass, sampling_since, pass_since }
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
        let loading = Loading { pass: self.pass, what: what.to_owned(), fraction };
        self.outbox.progress(self.job, EventKind::Loading(loading));
        Ok(())
    }

    fn pass(&mut self, pass: PassNumber) -> Result<(), EngineError> {
        (self.pass, self.pass_since) = (pass, None);
        self.check()
    }

    fn step(&mut self, step: usize, total: usize) -> Result<(), EngineError> {
        let elapsed = self.sampling_since.get_or_insert_with(Instant::now).elapsed();
        match self.pass_since {
            None => self.pass_since = Some((Instant::now(), step)),
            Some((since, before)) => {
                // The models of a chain differ: only this pass tells how long its steps take.
                let done = step.saturating_sub(before);
                let remaining = left(since.elapsed(), done, total.saturating_sub(step));
                let progress = Progress { pass: self.pass, step, total, elapsed, remaining };
                self.outbox.progress(self.job, EventKind::Step(progress));
            }
        }
        self.check()
    }

    fn preview(&mut self, step: usize, bounds: Bounds, picture: Arc<Picture>) {
        self.outbox.preview.put(Preview { job: self.job, step, bounds, picture });
        (self.outbox.wake)();
    }
}

/// The time that `ahead` steps take, if they take as long as those `done`.
fn left(elapsed: Duration, done: usize, ahead: usize) -> Duration {
    elapsed.mul_f64(ahead as f64 / done.max(1) as f64)
}
