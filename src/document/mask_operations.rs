//! Operations on the whole mask; each is one undoable step.

use super::{Document, DocumentError, effects::Effects, history::Entry, tiles::MaskTiles};
use crate::pixels::Mask;

impl Document {
    /// Nothing masked.
    pub fn clear_mask(&mut self) -> Effects {
        self.replace_mask("Clear mask", MaskTiles::new(self.extent()))
    }

    /// Everything masked.
    pub fn fill_mask(&mut self) -> Effects {
        self.replace_mask("Mask everything", MaskTiles::full(self.extent()))
    }

    /// What was masked is not, and the other way round; grey turns to its complement.
    pub fn invert_mask(&mut self) -> Effects {
        self.replace_mask("Invert mask", self.mask.inverted())
    }

    /// Another mask in place of this one, as one undoable step named `name`.
    ///
    /// # Errors
    /// When its extent is not the picture's.
    pub fn set_mask(&mut self, name: &'static str, mask: &Mask) -> Result<Effects, DocumentError> {
        if mask.extent() != self.extent() {
            return Err(DocumentError::MaskExtent {
                found: mask.extent(),
                expected: self.extent(),
            });
        }
        Ok(self.replace_mask(name, MaskTiles::from_mask(mask)))
    }

    fn replace_mask(&mut self, name: &'static str, mask: MaskTiles) -> Effects {
        let mut effects = self.abort_mask_edit();
        let before = std::mem::replace(&mut self.mask, mask);
        effects |= Effects::mask(before.differing_tiles(&self.mask));
        effects.history_changed |= self.commit(Entry::of_mask(name, &before, &self.mask));
        effects
    }
}
