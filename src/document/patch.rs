//! Results that wait for the artist's word. A patch lies over the picture until it is accepted.

use std::{borrow::Cow, sync::Arc};

use super::{DocumentError, effects::Effects, history::Entry, tiles::PictureTiles};
use crate::{
    geometry::{Bounds, Extent},
    pixels::{
        Mask, Picture,
        blend::{self, Blend, Inlay},
    },
};

/// One result of a generation, and what is needed to blend it anew.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Where it belongs in the picture; may reach beyond its edge.
    pub bounds: Bounds,
    /// What is laid over the picture. Same extent as `bounds`.
    pub layer: Arc<Picture>,
    /// How much of `layer` is taken, same extent; absent for all of it. Where it is 0 accepting
    /// changes nothing.
    pub composite_mask: Option<Arc<Mask>>,
    /// What the two were made from, and by which blend; absent where there is nothing to blend.
    pub inlay: Option<(Inlay, Blend)>,
    /// Seed of the noise it came from.
    pub seed: u64,
    /// The settings it was made with, as JSON.
    pub settings: String,
}

impl Patch {
    fn is_same(&self, other: &Self) -> bool {
        let masks = match (&self.composite_mask, &other.composite_mask) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        masks
            && Arc::ptr_eq(&self.layer, &other.layer)
            && (self.bounds, self.seed) == (other.bounds, other.seed)
            && self.settings == other.settings
    }

    /// Whether all buffers have the extent of the bounds.
    fn validate(&self) -> Result<(), DocumentError> {
        let expected = self.bounds.extent();
        let fits = |what: &'static str, found: Extent| {
            if found == expected {
                Ok(())
            } else {
                Err(DocumentError::PatchExtent { what, found, expected })
            }
        };
        fits("layer", self.layer.extent())?;
        if let Some((inlay, _)) = &self.inlay {
            fits("raw picture", inlay.raw.extent())?;
            fits("painted mask", inlay.hole.painted.extent())?;
        }
        self.composite_mask.as_ref().map_or(Ok(()), |mask| fits("mask", mask.extent()))
    }

    /// The blend that it is shown with, where it can be blended anew.
    pub fn blend(&self) -> Option<Blend> {
        self.inlay.as_ref().map(|(_, blend)| *blend)
    }

    /// The same result blended anew into the picture; itself where there is nothing to blend.
    pub fn reblended(&self, tiles: &PictureTiles, blend: Blend) -> Self {
        let Some((inlay, _)) = &self.inlay else { return self.clone() };
        let blended = inlay.blended(&tiles.crop(self.bounds), &blend);
        Self {
            layer: Arc::new(blended.layer),
            composite_mask: Some(Arc::new(blended.composite_mask)),
            inlay: Some((inlay.clone(), blend)),
            ..self.clone()
        }
    }

    /// Whether both came from the same pixels of a model.
    fn is_of(&self, other: &Self) -> bool {
        match (&self.inlay, &other.inlay) {
            (Some((a, _)), Some((b, _))) => Arc::ptr_eq(&a.raw, &b.raw),
            _ => false,
        }
    }

    /// The result over the picture as it is now, which may be newer than what the model saw.
    fn blended_over(&self, tiles: &PictureTiles) -> Cow<'_, Picture> {
        match &self.composite_mask {
            Some(mask) => Cow::Owned(blend::composite(&tiles.crop(self.bounds), &self.layer, mask)),
            None => Cow::Borrowed(&self.layer),
        }
    }

    /// Writes the pixels where the composite mask is not 0, touching only tiles that have some.
    fn write_to(&self, tiles: &mut PictureTiles) {
        let blended = self.blended_over(tiles);
        for (column, row) in tiles.tiles_in(self.bounds) {
            for span in tiles.spans(column, row, self.bounds) {
                let taken = |i: usize| {
                    self.composite_mask
                        .as_ref()
                        .is_none_or(|mask| mask.bytes()[span.outer + i] != 0)
                };
                let mut start = 0;
                while let Some(first) = (start..span.len).find(|&i| taken(i)) {
                    let end = (first..span.len).find(|&i| !taken(i)).unwrap_or(span.len);
                    let from = &blended.bytes()[(span.outer + first) * 4..(span.outer + end) * 4];
                    tiles.tile_mut(column, row)[(span.inner + first) * 4..(span.inner + end) * 4]
                        .copy_from_slice(from);
                    start = end;
                }
            }
        }
    }
}

/// The results of one job, of which one is shown.
#[derive(Clone, Debug)]
pub struct Staged {
    patches: Vec<Patch>,
    selected: usize,
}

impl Staged {
    /// With the one shown at `selected`, or the last; `None` without results.
    pub(super) fn new(patches: Vec<Patch>, selected: usize) -> Option<Self> {
        let last = patches.len().checked_sub(1)?;
        Some(Self { patches, selected: selected.min(last) })
    }

    /// Whether both have the same results, by their handles, and show the same one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let pairs = self.patches.iter().zip(&other.patches);
        self.selected == other.selected
            && self.patches.len() == other.patches.len()
            && pairs.into_iter().all(|(a, b)| a.is_same(b))
    }

    /// All results to choose from; never empty.
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }

    /// Index of the one that is shown.
    pub fn selected_index(&self) -> usize {
        self.selected
    }

    /// The one that is shown.
    pub fn selected(&self) -> &Patch {
        &self.patches[self.selected]
    }
}

impl super::Document {
    /// Lays results over the picture, the first one shown, in place of any that waited before.
    ///
    /// # Errors
    /// When a buffer's extent is not that of its patch's bounds. The document is then unchanged.
    pub fn stage(&mut self, patches: Vec<Patch>) -> Result<Effects, DocumentError> {
        patches.iter().try_for_each(Patch::validate)?;
        if patches.is_empty() {
            return Ok(Effects::NONE);
        }
        self.staged = Some(Staged { patches, selected: 0 });
        Ok(Effects { staged_changed: true, ..Effects::NONE })
    }

    /// Results that wait, if any.
    pub fn staged(&self) -> Option<&Staged> {
        self.staged.as_ref()
    }

    /// Shows another of the waiting results; an index past the last means the last.
    pub fn select_staged(&mut self, index: usize) -> Effects {
        let Some(staged) = &mut self.staged else { return Effects::NONE };
        staged.selected = index.min(staged.patches.len() - 1);
        Effects { staged_changed: true, ..Effects::NONE }
    }

    /// Puts a newly blended version in place of the waiting result that it was made from; one that
    /// waits no longer is not missed.
    ///
    /// # Errors
    /// When a buffer's extent is not that of the patch's bounds. The document is then unchanged.
    pub fn replace_staged(&mut self, patch: Patch) -> Result<Effects, DocumentError> {
        patch.validate()?;
        let waiting = self.staged.iter_mut().flat_map(|staged| &mut staged.patches);
        for old in waiting.filter(|old| old.is_of(&patch)) {
            *old = patch.clone();
        }
        Ok(Effects { staged_changed: true, ..Effects::NONE })
    }

    /// What is seen: the picture with the selected result on it, if one waits.
    pub fn picture_with_staged(&self) -> Picture {
        let mut tiles = self.picture.clone();
        if let Some(staged) = &self.staged {
            staged.selected().write_to(&mut tiles);
        }
        tiles.to_picture()
    }

    /// Forgets the waiting results.
    pub fn discard_staged(&mut self) -> Effects {
        Effects { staged_changed: self.staged.take().is_some(), ..Effects::NONE }
    }

    /// Writes the shown result into the picture as one undoable step. The mask stays. Where the
    /// composite mask is 0 no byte changes.
    pub fn accept_staged(&mut self) -> Effects {
        let Some(staged) = self.staged.take() else { return Effects::NONE };
        let patch = staged.selected();
        let before = self.picture.clone();
        patch.write_to(&mut self.picture);
        let entry = Entry::of_picture("Accept result", &before, &self.picture);
        let history_changed = self.commit(entry);
        Effects {
            dirty_picture: patch.bounds.intersect(self.extent().bounds()),
            staged_changed: true,
            history_changed,
            ..Effects::NONE
        }
    }
}
