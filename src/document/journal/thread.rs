//! The thread that writes a journal, so that the window never waits for a disk.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use super::{Folder, State, Writer};

/// How many answers may wait to be read; further ones are dropped.
const EVENT_CAPACITY: usize = 64;

/// Called after every answer, on the thread that writes.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What the thread says back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// So many states are safe.
    Written(u64),
    /// A state could not be written; the text says why. Not repeated until one was written again.
    Failed(String),
}

/// The handle of the thread. Dropping it leaves the journal on the disk.
pub struct Journal {
    pub(super) states: Option<SyncSender<Box<State>>>,
    pub(super) events: Receiver<JournalEvent>,
    pub(super) thread: JoinHandle<Option<Writer>>,
}

/// Where a journal goes.
pub enum Place {
    /// A new folder below this one.
    New(PathBuf),
    /// A folder that a document was restored from.
    Adopted(Folder),
}

impl Journal {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(place: Place, wake: Wake) -> io::Result<Self> {
        // One state is being written and one waits: older ones are of no interest.
        let (states, incoming) = sync_channel::<Box<State>>(1);
        let (sender, events) = sync_channel(EVENT_CAPACITY);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            let mut keeper = Keeper { place: Some(place), writer: None, failing: false };
            let mut written = 0;
            for state in incoming {
                let event = match keeper.write(&state) {
                    Ok(()) => {
                        written += 1;
                        keeper.failing = false;
                        JournalEvent::Written(written)
                    }
                    Err(_) if keeper.failing => continue,
                    Err(why) => {
                        keeper.failing = true;
                        JournalEvent::Failed(why.to_string())
                    }
                };
                // Nobody who reads: then nobody needs the answer.
                let _ = sender.try_send(event);
                wake();
            }
            keeper.writer
        })?;
        Ok(Self { states: Some(states), events, thread })
    }

    /// Hands a state over. Gives it back while two others are under way: offer it, or a newer one,
    /// again in a moment.
    pub fn offer(&self, state: Box<State>) -> Result<(), Box<State>> {
        let Some(states) = &self.states else { return Ok(()) };
        match states.try_send(state) {
            Ok(()) => Ok(()),
            // A thread that has ended takes nothing any more, now or later.
            Err(TrySendError::Full(state)) => Err(state),
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// What the thread said since the last call.
    pub fn events(&self) -> impl Iterator<Item = JournalEvent> {
        self.events.try_iter()
    }

    /// Waits until all that was handed over is written, and removes the journal: what it holds is
    /// saved elsewhere, or not wanted.
    pub fn remove(mut self) {
        self.states = None;
        if let Ok(Some(writer)) = self.thread.join()
            && let Err(why) = writer.remove()
        {
            log::warn!("a journal that is not needed could not be removed: {why}");
        }
    }
}

/// The journal, begun when its first state comes.
struct Keeper {
    place: Option<Place>,
    writer: Option<Writer>,
    failing: bool,
}

impl Keeper {
    fn write(&mut self, state: &State) -> io::Result<()> {
        if self.writer.is_none() {
            let folder = match self.place.take() {
                Some(Place::Adopted(folder)) => folder,
                Some(Place::New(root)) => {
                    let created = Folder::create(&root);
                    self.place = Some(Place::New(root));
                    created?
                }
                None => return Err(io::Error::other("the journal's folder is gone")),
            };
            self.writer = Some(Writer::new(folder));
        }
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(state))
    }
}
