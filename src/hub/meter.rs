//! How far a download has come, and how fast: written by the threads that fetch, read by the one
//! that reports.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Speed is measured over this time.
const WINDOW: Duration = Duration::from_secs(5);
/// Before this much of it there is no speed to tell.
const SETTLING: Duration = Duration::from_millis(800);

/// Counts bytes that are here.
#[derive(Debug, Default)]
pub struct Meter {
    bytes: AtomicU64,
    note: Mutex<&'static str>,
}

impl Meter {
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was counted as `before` bytes is `after` bytes.
    pub fn correct(&self, before: u64, after: u64) {
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What holds it up, for a person; empty for nothing.
    pub fn note(&self, note: &'static str) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = note;
    }

    pub fn current_note(&self) -> &'static str {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Speed from counts over the last seconds.
#[derive(Debug, Default)]
pub struct Speed {
    counts: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Notes a count; gives bytes per second, once that can be told.
    pub fn note(&mut self, now: Instant, bytes: u64) -> Option<u64> {
        if self.counts.back().is_some_and(|(_, last)| *last > bytes) {
            self.counts.clear();
        }
        self.counts.push_back((now, bytes));
        while self.counts.len() > 2 && now.duration_since(self.counts[1].0) >= WINDOW {
            self.counts.pop_front();
        }
        let (since, before) = *self.counts.front()?;
        let passed = now.duration_since(since);
        (passed >= SETTLING).then(|| ((bytes - before) as f64 / passed.as_secs_f64()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut speed = Speed::default();
        assert_eq!(speed.note(at(0), 0), None);
        assert_eq!(speed.note(at(1), 100), Some(100));
        for second in 2..20 {
            speed.note(at(second), 100 + (second - 1) * 1000);
        }
        assert_eq!(speed.note(at(20), 19_100), Some(1000));
        // Wrong bytes were thrown away: it starts over, and never counts below zero.
        assert_eq!(speed.note(at(21), 50), None);
        assert_eq!(speed.note(at(23), 250), Some(100));
    }
}
