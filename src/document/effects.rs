//! What a change to the document asks of those who show it.

use std::ops::BitOrAssign;

use crate::geometry::Bounds;

/// What changed. Join several with `|=`.
#[must_use = "whoever shows the document must learn what changed"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Mask pixels that may have changed; empty for none.
    pub dirty_mask: Bounds,
    /// Picture pixels that may have changed; empty for none.
    pub dirty_picture: Bounds,
    /// What can be undone or redone is not what it was.
    pub history_changed: bool,
    /// Results were staged, discarded, accepted, or another one is selected.
    pub staged_changed: bool,
    /// Another picture was opened: extent, mask and everything else are new.
    pub replaced: bool,
}

impl Effects {
    /// Nothing changed.
    pub const NONE: Self = Self {
        dirty_mask: Bounds::new(0, 0, 0, 0),
        dirty_picture: Bounds::new(0, 0, 0, 0),
        history_changed: false,
        staged_changed: false,
        replaced: false,
    };

    /// Only mask pixels changed.
    pub fn mask(dirty_mask: Bounds) -> Self {
        Self { dirty_mask, ..Self::NONE }
    }

    /// Whether anything changed at all.
    pub fn any(self) -> bool {
        self != Self::NONE
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        self.dirty_mask = self.dirty_mask.union(other.dirty_mask);
        self.dirty_picture = self.dirty_picture.union(other.dirty_picture);
        self.history_changed |= other.history_changed;
        self.staged_changed |= other.staged_changed;
        self.replaced |= other.replaced;
    }
}
