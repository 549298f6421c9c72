//! The jobs that wait, as the inference thread sees them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
};

use super::{JobId, Request, SelectRequest};

/// Set from any thread to stop one job; clones share the switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A submitted request.
pub struct Job {
    pub id: JobId,
    pub work: Work,
    pub cancel: CancelToken,
}

/// What is to be done.
pub enum Work {
    Generate(Box<Request>),
    Select(SelectRequest),
}

/// What the handle tells the thread.
pub enum Message {
    Run(Box<Job>),
    /// A token was set: look through the jobs that wait.
    Sweep,
}

/// The thread's end of the channel, and what has come through it.
pub struct Queue {
    inbox: Receiver<Message>,
    waiting: VecDeque<Box<Job>>,
    capacity: usize,
}

impl Queue {
    pub fn new(inbox: Receiver<Message>, capacity: usize) -> Self {
        Self { inbox, waiting: VecDeque::new(), capacity }
    }

    /// The next job, waiting for one; `None` once the handle is gone.
    pub fn wait_next(&mut self) -> Option<Box<Job>> {
        loop {
            if let Some(job) = self.waiting.pop_front() {
                return Some(job);
            }
            if let Message::Run(job) = self.inbox.recv().ok()? {
                return Some(job);
            }
        }
    }

    /// Takes out the waiting jobs that were cancelled, without blocking.
    pub fn take_cancelled(&mut self) -> Vec<JobId> {
        while self.waiting.len() < self.capacity {
            match self.inbox.try_recv() {
                Ok(Message::Run(job)) => self.waiting.push_back(job),
                Ok(Message::Sweep) => {}
                Err(_) => break,
            }
        }
        let (cancelled, waiting) =
            self.waiting.drain(..).partition::<VecDeque<_>, _>(|job| job.cancel.is_cancelled());
        self.waiting = waiting;
        cancelled.into_iter().map(|job| job.id).collect()
    }
}
