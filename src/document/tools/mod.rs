//! Tools turn pointer events into changes of the document. Each is a state machine that can be
//! cancelled at any time.

mod brush;

use serde::{Deserialize, Serialize};

pub use self::brush::BrushTool;
pub use super::brush::BrushMode;
use super::{Document, Effects};
use crate::geometry::Point;

/// What the pointer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The button went down, or the pen touched.
    Down,
    /// It moved while down.
    Move,
    /// The button went up, or the pen lifted.
    Up,
}

/// Keys held while the pointer acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modifiers {
    /// Brush and eraser: a straight line from where the last stroke ended.
    pub shift: bool,
    pub alt: bool,
    /// The command key on a Mac.
    pub ctrl: bool,
}

/// One thing the pointer did over the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointerEvent {
    pub phase: Phase,
    /// In picture pixels; may lie outside the picture.
    pub position: Point,
    /// 0 to 1; 1 where the device reports none.
    pub pressure: f32,
    pub modifiers: Modifiers,
}

/// A tool of the toolbar.
pub trait Tool {
    /// Answers one pointer event.
    fn handle(&mut self, event: PointerEvent, document: &mut Document) -> Effects;

    /// Abandons what is going on and restores the document to what it was before. This is not undo:
    /// it leaves no step, and what could be redone still can.
    fn cancel(&mut self, document: &mut Document) -> Effects;

    /// Whether something is going on that [`Tool::cancel`] would abandon.
    fn is_busy(&self) -> bool;
}
