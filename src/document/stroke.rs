//! One stroke from pointer down to pointer up: smoothing, spacing, and the area drawn so far.

use super::{
    Document,
    brush::{Brush, BrushMode, Tip},
    effects::Effects,
    sweep::{Layers, Sweep},
    tiles::MaskTiles,
};
use crate::geometry::Point;

/// A stroke that is being drawn.
pub(super) struct Stroke {
    brush: Brush,
    mode: BrushMode,
    /// Each pixel's largest coverage so far, so that a stroke that crosses itself does not build up.
    coverage: MaskTiles,
    /// Where the tip is; behind the pointer when smoothing.
    tip: Tip,
    /// Way to go until the next dab, in pixels; matters only with spacing.
    until_dab: f32,
}

impl Stroke {
    /// Puts the tip down.
    pub fn begin(
        brush: Brush,
        mode: BrushMode,
        at: Point,
        pressure: f32,
        document: &mut Document,
    ) -> (Self, Effects) {
        let brush = brush.clamped();
        let mut effects = document.begin_mask_edit();
        let tip = brush.tip(at, pressure);
        let coverage = MaskTiles::new(document.extent());
        let mut stroke = Self { brush, mode, coverage, tip, until_dab: 0.0 };
        stroke.until_dab = stroke.dab_distance();
        effects |= stroke.draw(tip, tip, document);
        (stroke, effects)
    }

    /// The pointer moved: the tip follows as far as the string pulls it.
    pub fn move_to(&mut self, pointer: Point, pressure: f32, document: &mut Document) -> Effects {
        if self.brush.smoothing_px == 0.0 {
            return self.line_to(pointer, pressure, document);
        }
        let distance = self.tip.centre.distance(pointer);
        let pull = distance - self.brush.smoothing_px;
        if pull <= 0.0 {
            return Effects::NONE;
        }
        self.line_to(self.tip.centre.lerp(pointer, pull / distance), pressure, document)
    }

    /// A straight line to a point, without smoothing.
    pub fn line_to(&mut self, point: Point, pressure: f32, document: &mut Document) -> Effects {
        let to = self.brush.tip(point, pressure);
        let from = std::mem::replace(&mut self.tip, to);
        if from == to {
            return Effects::NONE;
        }
        if self.brush.spacing > 0.0 {
            return self.dabs(from, to, document);
        }
        // A pen that presses harder without moving has no stretch to sweep, only a new tip.
        let from = if from.centre == to.centre { to } else { from };
        self.draw(from, to, document)
    }

    /// Where the tip is.
    pub fn position(&self) -> Point {
        self.tip.centre
    }

    fn dab_distance(&self) -> f32 {
        (self.brush.spacing * self.brush.size_px).max(0.5)
    }

    /// Dabs at equal distances, carried on from stretch to stretch.
    fn dabs(&mut self, from: Tip, to: Tip, document: &mut Document) -> Effects {
        let length = from.centre.distance(to.centre);
        let mut effects = Effects::NONE;
        let mut at = self.until_dab;
        while at <= length {
            let tip = from.lerp(to, at / length);
            effects |= self.draw(tip, tip, document);
            at += self.dab_distance();
        }
        self.until_dab = at - length;
        effects
    }

    fn draw(&mut self, from: Tip, to: Tip, document: &mut Document) -> Effects {
        let sweep = Sweep { from, to, hardness: self.brush.hardness };
        let Some((base, mask)) = document.mask_edit() else { return Effects::NONE };
        let layers = Layers { mode: self.mode, base, coverage: &mut self.coverage, mask };
        Effects::mask(sweep.draw(layers))
    }
}
