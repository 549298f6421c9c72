//! The thread that fetches, and its handle: what is asked for goes in, ordered events come out,
//! with exactly one ending for each download. Nobody who asks ever waits.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Fetched, HubError, Progress, Settings, Stop, StopToken, Wanted,
    client::Client,
    download::{Report, download},
};

/// How many downloads may wait.
const QUEUE_CAPACITY: usize = 64;
/// How many events may wait to be read before progress is dropped.
const EVENT_CAPACITY: usize = 1024;

/// Called after every event, on the thread that fetches.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Names a download; later ones have larger ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloadId(pub u64);

#[derive(Clone, Debug)]
pub struct Event {
    pub download: DownloadId,
    pub kind: EventKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The hub is asked what `repository` holds.
    Listing {
        repository: String,
    },
    Progress(Progress),
    /// All files are here, with the right bytes. An ending.
    Finished(Fetched),
    /// It was stopped. An ending.
    Stopped(Stop),
    /// It failed. An ending.
    Failed(HubError),
}

impl EventKind {
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Stopped(_) | Self::Failed(_))
    }
}

/// Why a download was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("{QUEUE_CAPACITY} downloads are waiting already: let some finish, or cancel some")]
    Full,
    #[error("the downloads have ended by a defect: start the program again")]
    Ended,
}

struct Job {
    id: DownloadId,
    wanted: Wanted,
    stop: StopToken,
}

/// The handle of the thread. Dropping it pauses what runs; it is not waited for.
pub struct Downloads {
    jobs: SyncSender<Job>,
    events: Receiver<Event>,
    /// Of downloads without an ending so far.
    tokens: HashMap<DownloadId, StopToken>,
    thread: JoinHandle<()>,
    last_id: u64,
}

impl Downloads {
    /// Starts the thread; downloads run one after the other, each with several files at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: Settings, wake: Wake) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Job>(QUEUE_CAPACITY);
        let (outbox, events) = sync_channel(EVENT_CAPACITY);
        let mut server = Server { settings, inbox, waiting: VecDeque::new(), outbox, wake };
        let thread = std::thread::Builder::new().name("downloads".into()).spawn(move || {
            while let Some(job) = server.next() {
                server.run(&job);
            }
        })?;
        Ok(Self { jobs, events, tokens: HashMap::new(), thread, last_id: 0 })
    }

    /// Puts a download at the end of the queue.
    ///
    /// # Errors
    /// When too many wait already, or the thread has ended.
    pub fn get(&mut self, wanted: Wanted) -> Result<DownloadId, NotTaken> {
        let id = DownloadId(self.last_id + 1);
        let stop = StopToken::default();
        match self.jobs.try_send(Job { id, wanted, stop: stop.clone() }) {
            Ok(()) => {
                self.last_id = id.0;
                self.tokens.insert(id, stop);
                Ok(id)
            }
            Err(TrySendError::Full(_)) => Err(NotTaken::Full),
            Err(TrySendError::Disconnected(_)) => Err(NotTaken::Ended),
        }
    }

    /// Ends a download before its end; its ending comes as an event.
    pub fn stop(&self, id: DownloadId, stop: Stop) {
        if let Some(token) = self.tokens.get(&id) {
            token.set(stop);
        }
    }

    /// The switch of a download, to stop it from elsewhere.
    pub fn token(&self, id: DownloadId) -> Option<StopToken> {
        self.tokens.get(&id).cloned()
    }

    /// All events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        let events: Vec<Event> = self.events.try_iter().collect();
        self.forget_ended(&events);
        events
    }

    /// The next event, waited for.
    pub fn wait_event(&mut self, timeout: Duration) -> Option<Event> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => {
                self.forget_ended(std::slice::from_ref(&event));
                Some(event)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Whether the thread still runs; it ends before the handle only by a defect.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    fn forget_ended(&mut self, events: &[Event]) {
        for event in events.iter().filter(|event| event.kind.is_ending()) {
            self.tokens.remove(&event.download);
        }
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        // What has come is on the disk; a connection that is just being made may take its time.
        for token in self.tokens.values() {
            token.set(Stop::Pause);
        }
    }
}

/// The thread's side.
struct Server {
    settings: Settings,
    inbox: Receiver<Job>,
    waiting: VecDeque<Job>,
    outbox: SyncSender<Event>,
    wake: Wake,
}

impl Server {
    /// The next download, waited for; `None` once the handle is gone.
    fn next(&mut self) -> Option<Job> {
        match self.waiting.pop_front() {
            Some(job) => Some(job),
            None => self.inbox.recv().ok(),
        }
    }

    fn run(&mut self, job: &Job) {
        if let Some(stop) = job.stop.get() {
            return self.tell_ending(job.id, EventKind::Stopped(stop));
        }
        // A client of its own: interrupting one ends all that it does.
        let client = Client::new(&self.settings);
        let result = download(&client, &job.wanted, &job.stop, &mut |report| {
            self.end_stopped();
            let kind = match report {
                Report::Listing { repository } => EventKind::Listing { repository },
                Report::Progress(progress) => EventKind::Progress(progress),
            };
            // Progress that nobody reads is dropped.
            if self.outbox.try_send(Event { download: job.id, kind }).is_ok() {
                (self.wake)();
            }
        });
        let ending = match (result, job.stop.get()) {
            (Ok(fetched), _) => EventKind::Finished(fetched),
            (Err(HubError::Cancelled), Some(stop)) => EventKind::Stopped(stop),
            (Err(error), _) => EventKind::Failed(error),
        };
        self.tell_ending(job.id, ending);
    }

    /// Downloads that were stopped before their turn end now, not when it comes.
    fn end_stopped(&mut self) {
        self.waiting.extend(self.inbox.try_iter());
        let (stopped, waiting): (VecDeque<_>, _) =
            self.waiting.drain(..).partition(|job| job.stop.get().is_some());
        self.waiting = waiting;
        for job in stopped {
            if let Some(stop) = job.stop.get() {
                self.tell_ending(job.id, EventKind::Stopped(stop));
            }
        }
    }

    fn tell_ending(&self, download: DownloadId, kind: EventKind) {
        if self.outbox.send(Event { download, kind }).is_ok() {
            (self.wake)();
        }
    }
}
