//! Operations on the whole mask; each is one undoable step.

use serde::{Deserialize, Serialize};

use super::{Document, DocumentError, effects::Effects, history::Entry, tiles::MaskTiles};
use crate::pixels::Mask;

/// How a new selection joins the mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    #[default]
    Replace,
    /// What either of them covers, as far as the one that covers it more.
    Add,
    /// What the mask covers and the selection does not.
    Subtract,
}

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

    /// `base` joined with `other` as `how` says in place of the mask, as one undoable step named
    /// `name`. `base` is the present mask, or an earlier one for a selection that is being refined.
    ///
    /// # Errors
    /// When an extent is not the picture's.
    pub fn combine_mask(
        &mut self,
        name: &'static str,
        base: &MaskTiles,
        other: &Mask,
        how: Combine,
    ) -> Result<Effects, DocumentError> {
        for found in [base.extent(), other.extent()] {
            if found != self.extent() {
                return Err(DocumentError::MaskExtent { found, expected: self.extent() });
            }
        }
        Ok(self.replace_mask(name, base.combined(other, how)))
    }

    fn replace_mask(&mut self, name: &'static str, mask: MaskTiles) -> Effects {
        let mut effects = self.abort_mask_edit();
        let before = std::mem::replace(&mut self.mask, mask);
        effects |= Effects::mask(before.differing_tiles(&self.mask));
        effects.history_changed |= self.commit(Entry::of_mask(name, &before, &self.mask));
        effects
    }
}
