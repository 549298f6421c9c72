//! The result that waits, blended as the panel says: without sampling, while the sliders move.

use super::App;
use crate::{
    document::{Document, MaskTiles, Patch},
    geometry::Bounds,
    pixels::blend::{Edge, EdgePx},
};

/// What is being blended, and what the automatic widths are of.
#[derive(Default)]
pub struct Reblending {
    /// One at a time: when it is done, the sliders may be elsewhere, and the next begins.
    is_running: bool,
    /// The box of a mask that was measured.
    measured: Option<(MaskTiles, Bounds)>,
}

impl Reblending {
    /// The automatic widths of the result that is shown, otherwise of what is marked, for a run of
    /// this strength.
    pub fn automatic_edge(&mut self, document: Option<&Document>, strength: f64) -> Option<EdgePx> {
        let document = document?;
        if let Some((inlay, _)) = document.staged().and_then(|s| s.selected().inlay.as_ref()) {
            let painted = inlay.hole.painted.bounding_box()?;
            return Some(Edge::AUTO.px(painted, inlay.hole.strength));
        }
        Some(Edge::AUTO.px(self.mask_box(document.mask())?, strength))
    }

    /// The smallest rectangle around the mask, measured when it is another one.
    fn mask_box(&mut self, mask: &MaskTiles) -> Option<Bounds> {
        let known = self.measured.as_ref().filter(|(of, _)| of.is_same(mask));
        let bounds = match known {
            Some((_, bounds)) => *bounds,
            None => mask.bounding_box().unwrap_or_default(),
        };
        if known.is_none() {
            self.measured = Some((mask.clone(), bounds));
        }
        Some(bounds).filter(|bounds| !bounds.is_empty())
    }
}

impl App {
    /// Has the shown result blended anew if the panel asks for another blend than it has.
    pub(super) fn keep_blended(&mut self) {
        let wanted = self.settings.blend.blend();
        let Some(document) = self.document.as_ref().filter(|_| !self.reblending.is_running) else {
            return;
        };
        let shown = document.staged().map(|staged| staged.selected());
        if let Some(patch) = shown.filter(|patch| patch.blend().is_some_and(|b| b != wanted)) {
            self.background.reblend(patch.clone(), document.picture().clone(), wanted);
            self.reblending.is_running = true;
        }
    }

    /// Shows what was blended.
    pub(super) fn reblended(&mut self, patch: Patch) {
        self.reblending.is_running = false;
        self.put_blended(patch);
    }

    /// Blends the shown result at once, where what it has is not what the panel asks for: what is
    /// accepted is what the sliders say.
    pub(super) fn finish_blending(&mut self) {
        let wanted = self.settings.blend.blend();
        let Some(document) = &self.document else { return };
        let shown = document.staged().map(|staged| staged.selected());
        if let Some(patch) = shown.filter(|patch| patch.blend().is_some_and(|b| b != wanted)) {
            self.put_blended(patch.reblended(document.picture(), wanted));
        }
    }

    fn put_blended(&mut self, patch: Patch) {
        let Some(document) = &mut self.document else { return };
        match document.replace_staged(patch) {
            // The staged layer is all that shows it.
            Ok(_) => self.show_staged(),
            Err(why) => self.complain(why.to_string()),
        }
    }
}
