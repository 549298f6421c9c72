//! The picture being edited: tiles, mask, tools, patches (results) and history.
//! Pure data: no window, no graphics card, no inference.
//!
//! Every change goes through a method that returns [`Effects`]. An edit of the mask that takes a
//! while (a stroke) is begun, then committed as one undoable step or aborted without trace.

mod brush;
mod effects;
mod history;
pub mod journal;
mod mask_operations;
mod patch;
mod stroke;
mod sweep;
mod tiles;
pub mod tools;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use brush::{Brush, PressureTarget, SIZE_RANGE_PX};
pub use effects::Effects;
pub use history::{DEFAULT_CAP_BYTES, History};
pub use mask_operations::Combine;
pub use patch::{Patch, Staged};
pub use tiles::{MaskTiles, PictureTiles, TILE_SIDE, Tile, TileGrid};

use self::history::Entry;
use crate::{
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// The longest side of a picture that can be edited, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// Why the document refused something. It is then unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The picture has no pixels.
    #[error("the picture is {0} pixels: there is nothing to edit")]
    Empty(Extent),
    /// The picture is larger than [`MAX_SIDE`].
    #[error(
        "the picture is {0} pixels: at most {MAX_SIDE} a side can be edited, so scale it down first"
    )]
    TooLarge(Extent),
    /// A mask of another size than the picture.
    #[error(
        "the mask is {found} pixels, the picture {expected}: scale the mask to the picture first"
    )]
    MaskExtent { found: Extent, expected: Extent },
    /// A result whose buffers do not fit its place.
    #[error("the result's {what} is {found} pixels, its place in the picture {expected}")]
    PatchExtent { what: &'static str, found: Extent, expected: Extent },
}

/// Where a picture came from and the settings that belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The file it was opened from or last saved to.
    pub path: Option<PathBuf>,
    /// Settings found in the file or to be written to it, as text.
    pub settings: String,
}

/// The picture and the mask at one moment. Cheap to make and to send; flattened where it is needed.
#[derive(Clone)]
pub struct Snapshot {
    /// Without any staged result.
    pub picture: PictureTiles,
    /// Same extent as the picture; a stroke that is being drawn is in it.
    pub mask: MaskTiles,
}

impl Snapshot {
    /// The whole picture in one buffer (copies every pixel).
    pub fn picture(&self) -> Picture {
        self.picture.to_picture()
    }

    /// The whole mask in one buffer (copies every pixel).
    pub fn mask(&self) -> Mask {
        self.mask.to_mask()
    }
}

/// What is being edited.
pub struct Document {
    picture: PictureTiles,
    mask: MaskTiles,
    /// The mask before the edit that is going on, if one is.
    mask_before_edit: Option<MaskTiles>,
    staged: Option<Staged>,
    history: History,
    saved_revision: u64,
    /// Free to change; not part of the history.
    pub metadata: Metadata,
}

impl Document {
    /// A picture with nothing masked and no history.
    ///
    /// # Errors
    /// When the picture is empty or larger than [`MAX_SIDE`].
    pub fn new(picture: &Picture) -> Result<Self, DocumentError> {
        let extent = picture.extent();
        if extent.is_empty() {
            return Err(DocumentError::Empty(extent));
        }
        if extent.width > MAX_SIDE || extent.height > MAX_SIDE {
            return Err(DocumentError::TooLarge(extent));
        }
        Ok(Self {
            picture: PictureTiles::from_picture(picture),
            mask: MaskTiles::new(extent),
            mask_before_edit: None,
            staged: None,
            history: History::new(DEFAULT_CAP_BYTES),
            saved_revision: 0,
            metadata: Metadata::default(),
        })
    }

    /// Opens another picture in place of this one: mask, results and history go.
    ///
    /// # Errors
    /// As [`Document::new`]; this document is then unchanged.
    pub fn set_picture(&mut self, picture: &Picture) -> Result<Effects, DocumentError> {
        let cap_bytes = self.history.cap_bytes();
        *self = Self::new(picture)?;
        self.history.set_cap(cap_bytes);
        let all = self.extent().bounds();
        Ok(Effects {
            dirty_mask: all,
            dirty_picture: all,
            history_changed: true,
            staged_changed: true,
            replaced: true,
        })
    }

    /// Size of the picture and of the mask.
    pub fn extent(&self) -> Extent {
        self.picture.extent()
    }

    /// The picture without any staged result.
    pub fn picture(&self) -> &PictureTiles {
        &self.picture
    }

    /// The mask, the stroke that is being drawn included.
    pub fn mask(&self) -> &MaskTiles {
        &self.mask
    }

    /// Picture and mask as they are now. Copies handles, not pixels.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { picture: self.picture.clone(), mask: self.mask.clone() }
    }

    /// What can be undone and redone.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many bytes of tiles the history may keep. The newest step stays in any case.
    pub fn set_history_cap(&mut self, cap_bytes: usize) {
        self.history.set_cap(cap_bytes);
    }

    /// Takes the newest step back. A stroke that is being drawn is aborted first.
    pub fn undo(&mut self) -> Effects {
        let mut effects = self.abort_mask_edit();
        effects |= self.history.undo(&mut self.picture, &mut self.mask);
        effects
    }

    /// Repeats the step that was taken back last. A stroke that is being drawn is aborted first.
    pub fn redo(&mut self) -> Effects {
        let mut effects = self.abort_mask_edit();
        effects |= self.history.redo(&mut self.picture, &mut self.mask);
        effects
    }

    /// Names the present state of picture and mask; undoing brings the earlier number back.
    pub fn revision(&self) -> u64 {
        self.history.revision()
    }

    /// Whether something changed since the last [`Document::mark_saved`]. Undoing back to the saved
    /// state counts as unchanged.
    pub fn is_modified(&self) -> bool {
        self.history.revision() != self.saved_revision
    }

    /// The present state is what the file holds.
    pub fn mark_saved(&mut self) {
        self.saved_revision = self.history.revision();
    }

    /// Whether a stroke is being drawn.
    pub fn is_mask_edit_open(&self) -> bool {
        self.mask_before_edit.is_some()
    }

    /// Begins an edit of the mask; one that is still open is aborted.
    fn begin_mask_edit(&mut self) -> Effects {
        let effects = self.abort_mask_edit();
        self.mask_before_edit = Some(self.mask.clone());
        effects
    }

    /// Ends the open edit as one undoable step; none if no tile was touched.
    fn commit_mask_edit(&mut self, name: &'static str) -> Effects {
        let Some(before) = self.mask_before_edit.take() else { return Effects::NONE };
        let entry = Entry::of_mask(name, &before, &self.mask);
        Effects { history_changed: self.commit(entry), ..Effects::NONE }
    }

    /// Ends the open edit as if it had never begun: not a step, and what could be redone still can.
    fn abort_mask_edit(&mut self) -> Effects {
        let Some(before) = self.mask_before_edit.take() else { return Effects::NONE };
        let dirty = before.differing_tiles(&self.mask);
        self.mask = before;
        Effects::mask(dirty)
    }

    /// The mask before the open edit, and the mask to draw on; `None` when no edit is open.
    fn mask_edit(&mut self) -> Option<(&MaskTiles, &mut MaskTiles)> {
        self.mask_before_edit.as_ref().map(|before| (before, &mut self.mask))
    }

    /// Adds a step to the history unless it changed nothing; says whether it did.
    fn commit(&mut self, entry: Entry) -> bool {
        let changed = !entry.is_empty();
        if changed {
            self.history.commit(entry);
        }
        changed
    }
}
