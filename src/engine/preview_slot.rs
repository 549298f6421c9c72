//! A place for one preview: the latest wins, so that whoever paints never works through stale ones.

use std::sync::{Mutex, PoisonError};

use super::Preview;

/// Holds the newest preview until somebody takes it.
#[derive(Default)]
pub struct PreviewSlot(Mutex<Option<Preview>>);

impl PreviewSlot {
    /// Puts a preview in; one that nobody took is dropped.
    pub fn put(&self, preview: Preview) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(preview);
    }

    /// Takes the newest preview, if there is one that nobody took.
    pub fn take(&self) -> Option<Preview> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
