//! The engine's threads and their handle: one generates, another selects, so that a click does not
//! wait behind a run. Each owns a backend, which owns the device and the weights; nothing is shared
//! but the preview slot and the switches that cancel.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Event, EventKind, JobId, Preview, Request, SelectRequest,
    backend::{Backend, EngineError},
    preview_slot::PreviewSlot,
    queue::{CancelToken, Job, Message, Queue, Work},
    reporter::{Outbox, Reporter, Wake},
};

/// How many jobs may wait.
const QUEUE_CAPACITY: usize = 256;
/// How many events may wait to be read before progress is dropped.
const EVENT_CAPACITY: usize = 1024;

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many jobs wait already.
    #[error("{QUEUE_CAPACITY} jobs are waiting already: let some finish, or cancel some")]
    Full,
    /// The thread has ended, which it does only when its backend cannot be built.
    #[error("the inference thread has ended: start the program again")]
    Ended,
}

/// Makes what a thread drives.
type MakeBackend = Arc<dyn Fn() -> Box<dyn Backend> + Send + Sync>;

/// The handle of the engine's threads. Dropping it stops what runs and joins them.
pub struct Engine {
    inference: Lane,
    selection: Lane,
    events: Option<Receiver<Event>>,
    /// Events that the handle itself makes; they come before the threads'.
    queued: VecDeque<Event>,
    tokens: HashMap<JobId, CancelToken>,
    preview: Arc<PreviewSlot>,
    shutdown: Arc<AtomicBool>,
    last_id: u64,
}

/// One thread, and the way to it.
struct Lane {
    messages: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    fn start(name: &str, make_backend: MakeBackend, outbox: Outbox) -> std::io::Result<Self> {
        let (messages, inbox) = sync_channel(QUEUE_CAPACITY);
        let queue = Queue::new(inbox, QUEUE_CAPACITY);
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || serve(&make_backend, queue, &outbox))?;
        Ok(Self { messages: Some(messages), thread: Some(thread) })
    }

    fn send(&self, message: Message) -> Result<(), SubmitError> {
        let Some(messages) = &self.messages else { return Err(SubmitError::Ended) };
        messages.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full,
            TrySendError::Disconnected(_) => SubmitError::Ended,
        })
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("a thread of the engine panicked outside a job");
        }
    }
}

impl Engine {
    /// Starts the threads. `make_backend` is called on each before its first job, and again after
    /// one that panicked. `wake` is called there after every event and preview.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        make_backend: impl Fn() -> Box<dyn Backend> + Send + Sync + 'static,
        wake: Wake,
    ) -> std::io::Result<Self> {
        let (event_sender, events) = sync_channel(EVENT_CAPACITY);
        let preview = Arc::new(PreviewSlot::default());
        let shutdown = Arc::new(AtomicBool::new(false));
        let outbox = Outbox {
            events: event_sender,
            preview: Arc::clone(&preview),
            wake,
            shutdown: Arc::clone(&shutdown),
        };
        let make_backend: MakeBackend = Arc::new(make_backend);
        Ok(Self {
            inference: Lane::start("inference", Arc::clone(&make_backend), outbox.clone())?,
            selection: Lane::start("selection", make_backend, outbox)?,
            events: Some(events),
            queued: VecDeque::new(),
            tokens: HashMap::new(),
            preview,
            shutdown,
            last_id: 0,
        })
    }

    /// Puts a request at the end of the queue.
    ///
    /// # Errors
    /// When too many wait already, or the thread has ended.
    pub fn submit(&mut self, request: Request) -> Result<JobId, SubmitError> {
        self.enqueue(Work::Generate(Box::new(request)))
    }

    /// Puts a selection at the end of a queue of its own. Its ending is [`EventKind::Selected`].
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn select(&mut self, request: SelectRequest) -> Result<JobId, SubmitError> {
        self.enqueue(Work::Select(request))
    }

    fn enqueue(&mut self, work: Work) -> Result<JobId, SubmitError> {
        let id = JobId(self.last_id + 1);
        let cancel = CancelToken::default();
        let lane = match &work {
            Work::Generate(_) => &self.inference,
            Work::Select(_) => &self.selection,
        };
        lane.send(Message::Run(Box::new(Job { id, work, cancel: cancel.clone() })))?;
        self.last_id = id.0;
        self.tokens.insert(id, cancel);
        self.queued.push_back(Event { job: id, kind: EventKind::Queued });
        Ok(id)
    }

    /// Stops a job: a running one within a step, a waiting one before it starts. Its ending is
    /// [`EventKind::Cancelled`], unless it ended before this took effect.
    pub fn cancel(&self, job: JobId) {
        if let Some(token) = self.tokens.get(&job) {
            token.cancel();
            for lane in [&self.inference, &self.selection] {
                // Only hurries the ending of a job that waits; a full channel is looked through anyway.
                let _full_or_ended = lane.send(Message::Sweep);
            }
        }
    }

    /// The switch that stops a job, for another thread (a signal handler); `None` once it ended.
    pub fn cancel_token(&self, job: JobId) -> Option<CancelToken> {
        self.tokens.get(&job).cloned()
    }

    /// Takes what has happened since the last call, in order, without waiting.
    pub fn events(&mut self) -> Vec<Event> {
        let mut all: Vec<Event> = self.queued.drain(..).collect();
        all.extend(self.events.iter().flat_map(Receiver::try_iter));
        self.forget_ended(&all);
        all
    }

    /// Waits for the next event, at most `timeout`.
    pub fn wait_event(&mut self, timeout: Duration) -> Option<Event> {
        if let Some(event) = self.queued.pop_front() {
            return Some(event);
        }
        match self.events.as_ref()?.recv_timeout(timeout) {
            Ok(event) => {
                self.forget_ended(std::slice::from_ref(&event));
                Some(event)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Whether the thread that generates still runs; it ends before the handle only by a defect.
    pub fn is_alive(&self) -> bool {
        self.inference.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// The newest preview that nobody took.
    pub fn take_preview(&self) -> Option<Preview> {
        self.preview.take()
    }

    /// The slot of the previews, for whoever must see each of them (from the wake callback).
    pub fn preview_slot(&self) -> Arc<PreviewSlot> {
        Arc::clone(&self.preview)
    }

    fn forget_ended(&mut self, events: &[Event]) {
        for event in events.iter().filter(|event| event.kind.is_ending()) {
            self.tokens.remove(&event.job);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown.store(true, Ordering::Relaxed);
        // Closed channels end every wait of the threads.
        (self.inference.messages, self.selection.messages, self.events) = (None, None, None);
        self.inference.join();
        self.selection.join();
    }
}

/// A thread's life: one job after the other until the handle is gone.
fn serve(make_backend: &MakeBackend, mut queue: Queue, outbox: &Outbox) {
    let mut backend = None;
    while let Some(job) = queue.wait_next() {
        if outbox.shutdown.load(Ordering::Relaxed) {
            return;
        }
        let ending = if job.cancel.is_cancelled() {
            EventKind::Cancelled
        } else {
            run_one(make_backend, &mut backend, &job, &mut queue, outbox)
        };
        outbox.ending(job.id, ending);
    }
}

/// Runs a job, whatever happens in it. After a panic the backend may be half changed: it is
/// dropped, and the next job gets a new one.
fn run_one(
    make_backend: &MakeBackend,
    backend: &mut Option<Box<dyn Backend>>,
    job: &Job,
    queue: &mut Queue,
    outbox: &Outbox,
) -> EventKind {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut reporter = Reporter::new(job.id, job.cancel.clone(), outbox, queue);
        let backend = backend.get_or_insert_with(|| make_backend());
        match &job.work {
            Work::Generate(request) => backend
                .run(request, &mut reporter)
                .map(|outcome| EventKind::Finished(outcome.into())),
            Work::Select(request) => backend
                .select(request, &mut reporter)
                .map(|found| EventKind::Selected(found.into())),
        }
    }));
    match result {
        Ok(result) => ending_of(result),
        Err(panic) => {
            *backend = None;
            EventKind::Failed(format!(
                "the job hit a defect in the program and was stopped: {}",
                panic_text(panic.as_ref())
            ))
        }
    }
}

fn ending_of(result: Result<EventKind, EngineError>) -> EventKind {
    match result {
        Ok(ending) => ending,
        Err(EngineError::Cancelled) => EventKind::Cancelled,
        Err(error) => EventKind::Failed(error.to_string()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
