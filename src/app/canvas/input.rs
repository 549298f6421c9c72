//! From pointer, wheel and touchpad to tool events and view changes.

use egui::{
    Context, CursorIcon, Event, Key, LayerId, MouseWheelSource, PointerButton, Pos2, Rect, Ui,
};

use super::point;
use crate::{
    app::commands::Tool,
    document::tools::{Modifiers, Phase, PointerEvent},
    geometry::View,
};

/// Wheel points that double or halve the zoom.
const WHEEL_POINTS_PER_OCTAVE: f32 = 140.0;

/// What the pointer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Grab {
    #[default]
    Nothing,
    Stroke,
    /// Moving the picture; where the pointer was last.
    Picture(Pos2, PointerButton),
}

#[derive(Debug, Default)]
pub struct PointerState {
    grab: Grab,
}

/// What a frame's input means for the tool.
#[derive(Debug, Default)]
pub struct Gathered {
    /// In picture coordinates, oldest first: every move that the window system reported, so that a
    /// fast stroke keeps its shape.
    pub events: Vec<PointerEvent>,
}

impl PointerState {
    pub fn is_drawing(&self) -> bool {
        self.grab == Grab::Stroke
    }

    /// Whether the pointer moves the picture, or would if it were pressed.
    pub fn is_panning(&self, ui: &Ui) -> bool {
        matches!(self.grab, Grab::Picture(..)) || space_held(ui.ctx())
    }

    pub fn icon(&self, tool: Tool, ui: &Ui) -> CursorIcon {
        match self.grab {
            Grab::Picture(..) => CursorIcon::Grabbing,
            _ if tool == Tool::Hand || self.is_panning(ui) => CursorIcon::Grab,
            _ if tool == Tool::Select && ui.input(|i| i.modifiers.alt) => CursorIcon::NotAllowed,
            _ if tool == Tool::Select => CursorIcon::Cell,
            // The ring that the canvas paints is the cursor.
            _ => CursorIcon::Crosshair,
        }
    }

    pub fn gather(
        &mut self,
        ctx: &Context,
        rect: Rect,
        layer: LayerId,
        tool: Tool,
        view: &mut View,
    ) -> Gathered {
        let mut gathered = Gathered::default();
        let on_canvas = |p: Pos2| rect.contains(p) && ctx.layer_id_at(p).is_none_or(|l| l == layer);
        let moves_picture = tool == Tool::Hand || space_held(ctx);
        let (events, modifiers) = ctx.input(|i| (i.events.clone(), i.modifiers));
        let keys =
            Modifiers { shift: modifiers.shift, alt: modifiers.alt, ctrl: modifiers.command };
        let mut to_tool = |phase, position: Pos2, view: &View| {
            let position = view.image_from_screen(point(position));
            gathered.events.push(PointerEvent { phase, position, pressure: 1.0, modifiers: keys });
        };
        for event in events {
            match event {
                Event::PointerButton { pos, button, pressed: true, .. } if on_canvas(pos) => {
                    self.press(pos, button, moves_picture);
                    if self.grab == Grab::Stroke && button == PointerButton::Primary {
                        to_tool(Phase::Down, pos, view);
                    }
                }
                Event::PointerMoved(pos) => match &mut self.grab {
                    Grab::Stroke => to_tool(Phase::Move, pos, view),
                    Grab::Picture(from, _) => {
                        *view = view.pan(pos.x - from.x, pos.y - from.y);
                        *from = pos;
                    }
                    Grab::Nothing => {}
                },
                Event::PointerButton { pos, button, pressed: false, .. } => match self.grab {
                    Grab::Stroke if button == PointerButton::Primary => {
                        to_tool(Phase::Up, pos, view);
                        self.grab = Grab::Nothing;
                    }
                    Grab::Picture(_, held) if button == held => self.grab = Grab::Nothing,
                    _ => {}
                },
                _ => {}
            }
        }
        if ctx.pointer_latest_pos().is_some_and(on_canvas) {
            wheel(ctx, view);
        }
        gathered
    }

    fn press(&mut self, pos: Pos2, button: PointerButton, moves_picture: bool) {
        if self.grab != Grab::Nothing {
            return;
        }
        self.grab = match button {
            PointerButton::Middle => Grab::Picture(pos, button),
            PointerButton::Primary if moves_picture => Grab::Picture(pos, button),
            PointerButton::Primary => Grab::Stroke,
            _ => Grab::Nothing,
        };
    }
}

/// A mouse wheel zooms at the pointer; a touchpad's two fingers move, its pinch zooms.
fn wheel(ctx: &Context, view: &mut View) {
    let (scroll, pinch, source, pos) = ctx.input(|i| {
        (i.smooth_scroll_delta(), i.zoom_delta(), i.scroll_source(), i.pointer.latest_pos())
    });
    let Some(pos) = pos else { return };
    let mut factor = pinch;
    if source == Some(MouseWheelSource::Trackpad) {
        *view = view.pan(scroll.x, scroll.y);
    } else {
        *view = view.pan(scroll.x, 0.0);
        factor *= (scroll.y / WHEEL_POINTS_PER_OCTAVE).exp2();
    }
    if factor != 1.0 {
        *view = view.zoom_at(point(pos), factor);
    }
}

fn space_held(ctx: &Context) -> bool {
    !ctx.text_edit_focused() && ctx.input(|i| i.key_down(Key::Space))
}
