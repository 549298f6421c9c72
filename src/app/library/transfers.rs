//! The downloads that the window knows of, as far as their events told.

use std::collections::VecDeque;

use crate::hub::{DownloadId, Event, EventKind, HubError, Progress, Stop, Wanted};

/// All of them, in the order in which they were asked for. A finished one is dropped.
#[derive(Debug, Default)]
pub struct Transfers {
    list: Vec<Transfer>,
}

/// Something that the person asked for: one or several downloads, one after the other.
#[derive(Debug)]
pub struct Transfer {
    /// The preset's id, or the repository's name.
    pub key: String,
    /// For a person.
    pub name: String,
    /// What is still to be fetched, the present one first.
    wanted: VecDeque<Wanted>,
    current: Option<DownloadId>,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Another one is being fetched.
    Waiting,
    /// The hub is asked.
    Listing,
    Coming(Progress),
    Stopping(Stop),
    /// As far as it had come, if that is known.
    Paused(Option<Progress>),
    Failed(HubError),
}

/// What follows from an event.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Nothing,
    /// The next part is wanted.
    Next(String),
    /// All of it is here.
    Finished {
        key: String,
        name: String,
    },
}

impl Transfers {
    pub fn get(&self, key: &str) -> Option<&Transfer> {
        self.list.iter().find(|transfer| transfer.key == key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Transfer> {
        self.list.iter_mut().find(|transfer| transfer.key == key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Transfer> {
        self.list.iter()
    }

    /// The one whose bytes are coming.
    pub fn coming(&self) -> Option<(&Transfer, &Progress)> {
        self.list.iter().find_map(|transfer| match &transfer.state {
            State::Coming(progress) => Some((transfer, progress)),
            _ => None,
        })
    }

    /// Adds one that has nothing fetched yet.
    pub fn add(&mut self, key: String, name: String, wanted: Vec<Wanted>) {
        let wanted = wanted.into();
        self.list.push(Transfer { key, name, wanted, current: None, state: State::Waiting });
    }

    pub fn remove(&mut self, key: &str) {
        self.list.retain(|transfer| transfer.key != key);
    }

    /// Notes an event.
    pub fn note(&mut self, event: Event) -> Outcome {
        let ours = |transfer: &&mut Transfer| transfer.current == Some(event.download);
        let Some(transfer) = self.list.iter_mut().find(ours) else { return Outcome::Nothing };
        let (key, name) = (transfer.key.clone(), transfer.name.clone());
        match event.kind {
            EventKind::Listing { .. } => transfer.show(State::Listing),
            EventKind::Progress(progress) => transfer.show(State::Coming(progress)),
            EventKind::Finished(_) => {
                transfer.wanted.pop_front();
                transfer.current = None;
                if !transfer.wanted.is_empty() {
                    transfer.state = State::Waiting;
                    return Outcome::Next(key);
                }
                self.remove(&key);
                return Outcome::Finished { key, name };
            }
            EventKind::Stopped(Stop::Cancel) => self.remove(&key),
            EventKind::Stopped(Stop::Pause) => {
                transfer.current = None;
                transfer.state = State::Paused(transfer.progress().cloned());
            }
            EventKind::Failed(error) => {
                transfer.current = None;
                transfer.state = State::Failed(error);
            }
        }
        Outcome::Nothing
    }
}

impl Transfer {
    /// What to fetch now.
    pub fn next(&self) -> Option<&Wanted> {
        self.wanted.front()
    }

    /// It was handed over for fetching.
    pub fn started(&mut self, id: DownloadId) {
        self.current = Some(id);
        self.state = State::Waiting;
    }

    pub fn current(&self) -> Option<DownloadId> {
        self.current
    }

    /// It is asked to stop; its ending will say so.
    pub fn stopping(&mut self, stop: Stop) {
        self.state = State::Stopping(stop);
    }

    /// How far it has come, where known.
    pub fn progress(&self) -> Option<&Progress> {
        match &self.state {
            State::Coming(progress) | State::Paused(Some(progress)) => Some(progress),
            _ => None,
        }
    }

    /// What a person reads beside the bar.
    pub fn words(&self) -> String {
        let rest = match self.wanted.len() {
            0 | 1 => String::new(),
            left => format!(" · {} more to come", left - 1),
        };
        match &self.state {
            State::Waiting => "Waiting for its turn".into(),
            State::Listing => "Asking the hub ...".into(),
            State::Coming(progress) => format!("{}{rest}", progress.words()),
            State::Stopping(Stop::Pause) => "Pausing ...".into(),
            State::Stopping(Stop::Cancel) => "Cancelling ...".into(),
            State::Paused(None) => "Paused".into(),
            State::Paused(Some(progress)) => {
                let paused = Progress {
                    bytes_per_second: None,
                    remaining: None,
                    note: "",
                    ..progress.clone()
                };
                format!("Paused at {}", paused.words())
            }
            State::Failed(error) => error.to_string(),
        }
    }

    /// Progress that comes while it is being stopped does not hide that.
    fn show(&mut self, state: State) {
        if !matches!(self.state, State::Stopping(_)) {
            self.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Fetched;

    fn fetched() -> EventKind {
        EventKind::Finished(Fetched {
            repository: "a/b".into(),
            commit: String::new(),
            folder: Default::default(),
            files: Vec::new(),
            bytes: 0,
        })
    }

    fn event(id: u64, kind: EventKind) -> Event {
        Event { download: DownloadId(id), kind }
    }

    #[test]
    fn parts_come_one_after_the_other() {
        let mut all = Transfers::default();
        let wanted = vec![Wanted::repository("a/b"), Wanted::repository("a/c")];
        all.add("k".into(), "K".into(), wanted);
        all.get_mut("k").unwrap().started(DownloadId(1));
        let progress = Progress { done: 1, total: 2, ..Progress::default() };
        all.note(event(1, EventKind::Progress(progress)));
        assert!(all.get("k").unwrap().words().contains("1 more to come"));
        assert_eq!(all.note(event(9, fetched())), Outcome::Nothing, "of somebody else");
        assert_eq!(all.note(event(1, fetched())), Outcome::Next("k".into()));
        assert_eq!(all.get("k").unwrap().next(), Some(&Wanted::repository("a/c")));
        all.get_mut("k").unwrap().started(DownloadId(2));
        let finished = Outcome::Finished { key: "k".into(), name: "K".into() };
        assert_eq!(all.note(event(2, fetched())), finished);
        assert!(all.iter().next().is_none());
    }

    #[test]
    fn a_pause_stays_and_a_cancel_goes() {
        let mut all = Transfers::default();
        all.add("k".into(), "K".into(), vec![Wanted::repository("a/b")]);
        let transfer = all.get_mut("k").unwrap();
        transfer.started(DownloadId(1));
        transfer.stopping(Stop::Pause);
        all.note(event(1, EventKind::Progress(Progress::default())));
        assert_eq!(all.get("k").unwrap().state, State::Stopping(Stop::Pause));
        all.note(event(1, EventKind::Stopped(Stop::Pause)));
        assert_eq!(all.get("k").unwrap().state, State::Paused(None));
        all.get_mut("k").unwrap().started(DownloadId(2));
        all.note(event(2, EventKind::Stopped(Stop::Cancel)));
        assert!(all.get("k").is_none());
    }
}
