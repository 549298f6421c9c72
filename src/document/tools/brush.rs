//! The brush and the eraser: one tool, mirrored.

use super::{Phase, PointerEvent, Tool};
use crate::{
    document::{Brush, Document, Effects, brush::BrushMode, stroke::Stroke},
    geometry::Point,
};

/// Paints on the mask, or erases from it.
pub struct BrushTool {
    /// Settings for the next stroke; one that is being drawn keeps its own.
    pub brush: Brush,
    mode: BrushMode,
    state: State,
    /// Where the last stroke ended: shift-click draws a straight line from here.
    last_end: Option<Point>,
}

enum State {
    Idle,
    Drawing(Box<Stroke>),
}

impl BrushTool {
    /// A brush or an eraser.
    pub fn new(mode: BrushMode, brush: Brush) -> Self {
        Self { brush, mode, state: State::Idle, last_end: None }
    }

    /// Whether it paints or erases.
    pub fn mode(&self) -> BrushMode {
        self.mode
    }

    /// Where a shift-click would start its straight line.
    pub fn line_start(&self) -> Option<Point> {
        self.last_end
    }

    fn begin(&mut self, event: PointerEvent, document: &mut Document) -> Effects {
        let line_start = self.last_end.filter(|_| event.modifiers.shift);
        let start = line_start.unwrap_or(event.position);
        let (mut stroke, mut effects) =
            Stroke::begin(self.brush, self.mode, start, event.pressure, document);
        if line_start.is_some() {
            effects |= stroke.line_to(event.position, event.pressure, document);
        }
        self.state = State::Drawing(Box::new(stroke));
        effects
    }

    fn finish(&mut self, event: PointerEvent, document: &mut Document) -> Effects {
        let State::Drawing(mut stroke) = std::mem::replace(&mut self.state, State::Idle) else {
            return Effects::NONE;
        };
        // A smoothed tip trails behind; the stroke still ends where the pointer was lifted.
        let mut effects = stroke.line_to(event.position, event.pressure, document);
        self.last_end = Some(stroke.position());
        effects |= document.commit_mask_edit(match self.mode {
            BrushMode::Paint => "Brush stroke",
            BrushMode::Erase => "Eraser stroke",
        });
        effects
    }
}

impl Tool for BrushTool {
    fn handle(&mut self, event: PointerEvent, document: &mut Document) -> Effects {
        let Some(event) = sane(event) else { return Effects::NONE };
        if !document.is_mask_edit_open() {
            // Undo, or another picture, may have ended the stroke under the pointer.
            self.state = State::Idle;
        }
        match (event.phase, &mut self.state) {
            (Phase::Down, State::Idle) => self.begin(event, document),
            (Phase::Down | Phase::Move, State::Drawing(stroke)) => {
                stroke.move_to(event.position, event.pressure, document)
            }
            (Phase::Up, State::Drawing(_)) => self.finish(event, document),
            (Phase::Move | Phase::Up, State::Idle) => Effects::NONE,
        }
    }

    fn cancel(&mut self, document: &mut Document) -> Effects {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Effects::NONE,
            State::Drawing(_) => document.abort_mask_edit(),
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self.state, State::Drawing(_))
    }
}

/// The event with its numbers in range; `None` if its position is not a number.
fn sane(event: PointerEvent) -> Option<PointerEvent> {
    /// Further out than any screen reaches, and near enough for f32 to tell parts of a pixel.
    const FAR: f32 = 1e5;
    let Point { x, y } = event.position;
    let pressure = if event.pressure.is_nan() { 1.0 } else { event.pressure.clamp(0.0, 1.0) };
    (!x.is_nan() && !y.is_nan()).then(|| PointerEvent {
        position: Point::new(x.clamp(-FAR, FAR), y.clamp(-FAR, FAR)),
        pressure,
        ..event
    })
}
