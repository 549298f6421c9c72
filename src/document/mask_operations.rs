//! Operations on the whole mask; each is one undoable step.

use super::{
    Document, DocumentError,
    effects::Effects,
    history::Entry,
    tiles::{MaskTiles, TILE_SIDE},
};
use crate::pixels::Mask;

impl Document {
    /// Nothing masked.
    pub fn clear_mask(&mut self) -> Effects {
        self.replace_mask("Clear mask", MaskTiles::new(self.extent()))
    }

    /// Everything masked.
    pub fn fill_mask(&mut self) -> Effects {
        let mut filled = MaskTiles::new(self.extent());
        for_each_row(&mut filled, |row| row.fill(255));
        self.replace_mask("Mask everything", filled)
    }

    /// What was masked is not, and the other way round; grey turns to its complement.
    pub fn invert_mask(&mut self) -> Effects {
        let mut inverted = self.mask.clone();
        for_each_row(&mut inverted, |row| row.iter_mut().for_each(|value| *value = 255 - *value));
        self.replace_mask("Invert mask", inverted)
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
        let entry = Entry::of_mask(name, &before, &self.mask);
        effects.history_changed |= self.commit(entry);
        effects.dirty_mask = self.extent().bounds();
        effects
    }
}

/// Every row of every tile, the part inside the extent only.
fn for_each_row(mask: &mut MaskTiles, mut apply: impl FnMut(&mut [u8])) {
    let all = mask.extent().bounds();
    for (column, row) in mask.tiles_in(all) {
        let inside = mask.tile_bounds(column, row);
        let rows = mask.tile_mut(column, row).chunks_exact_mut(TILE_SIDE as usize);
        rows.take(inside.height as usize).for_each(|row| apply(&mut row[..inside.width as usize]));
    }
}
