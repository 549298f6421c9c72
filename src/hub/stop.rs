//! The switch that ends a download from another thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{HubError, Result};

/// How a download is ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What has come stays, and the next download goes on from there.
    Pause,
    /// What has come of unfinished files is thrown away.
    Cancel,
}

/// Set from any thread; clones share the switch.
#[derive(Clone, Debug, Default)]
pub struct StopToken(Arc<AtomicU8>);

impl StopToken {
    pub fn set(&self, stop: Stop) {
        self.0.store(1 + stop as u8, Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Stop> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Stop::Pause),
            _ => Some(Stop::Cancel),
        }
    }

    /// [`HubError::Cancelled`] once the switch is set.
    pub fn check(&self) -> Result<()> {
        if self.get().is_some() { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// Sleeps, but not longer than until the switch is set.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
