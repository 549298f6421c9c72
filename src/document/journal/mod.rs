//! The journal: what is being edited, written down as it changes, so that a program that ends without
//! warning loses at most the last moment.
//!
//! ```text
//! journal/SESSION/lock            held by the window that writes there
//!                 3.journal       records, appended
//!                 4.journal.part  the next, smaller one, while it is made
//! ```
//!
//! A file is a row of checked records: tiles and pictures once each, the history's steps once each,
//! and states, which name them. A state is complete when its record is: what it names was written
//! before it. When most of a file is no longer named, what still is goes into a new file, which
//! replaces the old one once it is whole. So a file is never larger than twice what its last state
//! needs, or 64 MiB.

mod folder;
mod manifest;
mod png_bytes;
mod reader;
mod record;
mod restore;
mod thread;
mod writer;

#[cfg(test)]
mod tests;

pub use folder::{Folder, left_behind};
pub use reader::{Damage, JournalError};
pub use restore::{Restored, restore};
pub use thread::{Journal, JournalEvent, Place, Wake};
pub use writer::Writer;

use super::{Document, History, MaskTiles, Metadata, PictureTiles, Staged};

/// A document at one moment, as the journal keeps it. Holds handles, not pixels.
#[derive(Clone)]
pub struct State {
    picture: PictureTiles,
    mask: MaskTiles,
    mask_before_edit: Option<MaskTiles>,
    staged: Option<Staged>,
    history: History,
    saved_revision: u64,
    metadata: Metadata,
    /// What the window keeps beside the document, as text that only the window reads.
    session: String,
}

impl State {
    /// `document` as it is now, and `session` beside it.
    pub fn of(document: &Document, session: String) -> Self {
        Self {
            picture: document.picture.clone(),
            mask: document.mask.clone(),
            mask_before_edit: document.mask_before_edit.clone(),
            staged: document.staged.clone(),
            history: document.history.clone(),
            saved_revision: document.saved_revision,
            metadata: document.metadata.clone(),
            session,
        }
    }

    /// Whether nothing that the journal keeps differs. Compares handles, not pixels.
    pub fn is_same(&self, other: &Self) -> bool {
        let edits = match (&self.mask_before_edit, &other.mask_before_edit) {
            (Some(a), Some(b)) => a.is_same(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let staged = match (&self.staged, &other.staged) {
            (Some(a), Some(b)) => a.is_same(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        edits
            && staged
            && self.picture.is_same(&other.picture)
            && self.mask.is_same(&other.mask)
            && self.history.is_same(&other.history)
            && self.saved_revision == other.saved_revision
            && self.metadata == other.metadata
            && self.session == other.session
    }
}
