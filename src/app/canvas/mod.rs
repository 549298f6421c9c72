//! The canvas: the picture, the mask over it, the result that forms, and the pointer.
//!
//! `input` turns the pointer into view changes and tool events before the frame is painted;
//! `show` only paints what is.

pub mod bridge;
mod empty;
mod input;

use egui::{Rect, Role, Sense, Ui};

pub use self::{empty::show as show_empty, input::Gathered};
use crate::{
    app::{commands::Tool, theme},
    document::Document,
    engine::Click,
    geometry::{Extent, Point, View},
    render::{Compare, Cursor, MaskOverlay, Scene, StagedLayer, Viewport},
};

/// Room around a picture that is fitted, in points.
const FIT_MARGIN: f32 = 28.0;

/// Where the picture lies and what the pointer is doing to it.
#[derive(Default)]
pub struct Canvas {
    /// `None` asks for a fit as soon as the canvas has a size.
    view: Option<View>,
    /// Where the canvas was painted last, in points, and in which layer.
    placed: Option<(Rect, egui::LayerId)>,
    pointer: input::PointerState,
}

/// What the canvas shows besides the document.
pub struct Shown<'a> {
    pub document: &'a Document,
    pub tool: Tool,
    pub brush_radius_px: f32,
    pub brush_hardness: f32,
    /// Where smart select was clicked.
    pub clicks: &'a [Click],
    pub overlay: MaskOverlay,
    pub staged: Option<StagedLayer>,
    /// Shows the picture without the result and the mask.
    pub compare: bool,
}

impl Canvas {
    /// Shows the whole picture at the next frame.
    pub fn fit(&mut self) {
        self.view = None;
    }

    /// The middle of the canvas held, one picture pixel to `zoom` points.
    pub fn zoom_to(&mut self, zoom: f32) {
        if let Some(view) = self.view {
            self.zoom_by(zoom / view.zoom);
        }
    }

    /// Zooms about the middle of the canvas.
    pub fn zoom_by(&mut self, factor: f32) {
        if let (Some(view), Some((rect, _))) = (self.view, self.placed) {
            self.view = Some(view.zoom_at(point(rect.center()), factor));
        }
    }

    /// Screen points per picture pixel, once the picture was shown.
    pub fn zoom(&self) -> Option<f32> {
        self.view.map(|v| v.zoom)
    }

    /// Where the canvas lies, in points.
    pub fn rect(&self) -> Option<Rect> {
        self.placed.map(|(rect, _)| rect)
    }

    /// Reads the pointer and the wheel. Changes the view at once and returns what is the tool's.
    pub fn gather(&mut self, ctx: &egui::Context, tool: Tool) -> Gathered {
        match (&mut self.view, self.placed) {
            (Some(view), Some((rect, layer))) => self.pointer.gather(ctx, rect, layer, tool, view),
            _ => Gathered::default(),
        }
    }

    /// Whether a stroke is being drawn.
    pub fn is_drawing(&self) -> bool {
        self.pointer.is_drawing()
    }

    /// Lets go of whatever the pointer holds.
    pub fn release(&mut self) {
        self.pointer = input::PointerState::default();
    }

    /// Paints the canvas over all room that is left.
    pub fn show(&mut self, ui: &mut Ui, shown: &Shown<'_>) {
        let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(Role::Canvas, ui.is_enabled(), "Canvas"));
        self.placed = Some((rect, ui.layer_id()));
        let view = *self.view.get_or_insert_with(|| fitted(rect, shown.document.extent()));
        ui.painter().rect_filled(rect, 0.0, theme::CANVAS);
        let hovering = response.contains_pointer() || self.pointer.is_drawing();
        let cursor = hovering.then(|| self.cursor(ui, shown, view)).flatten();
        if hovering {
            ui.ctx().set_cursor_icon(self.pointer.icon(shown.tool, ui));
        }
        let scene = Scene {
            background: [theme::CANVAS.r(), theme::CANVAS.g(), theme::CANVAS.b()],
            cursor,
            overlay: MaskOverlay {
                visible: shown.overlay.visible && !shown.compare,
                ..shown.overlay
            },
            staged: shown.staged.clone(),
            compare: if shown.compare { Compare::Before } else { Compare::After },
            view,
            pixels_per_point: ui.ctx().pixels_per_point(),
            ..Scene::new(
                shown.document.picture().clone(),
                shown.document.mask().clone(),
                viewport_px(rect, ui.ctx().pixels_per_point()),
            )
        };
        ui.painter().add(bridge::paint_callback(rect, scene));
        if !shown.compare {
            show_clicks(ui.painter(), shown.clicks, view);
        }
    }

    fn cursor(&self, ui: &Ui, shown: &Shown<'_>, view: View) -> Option<Cursor> {
        let draws =
            matches!(shown.tool, Tool::Brush | Tool::Eraser) && !self.pointer.is_panning(ui);
        let at = ui.ctx().pointer_latest_pos().filter(|_| draws)?;
        Some(Cursor {
            centre: point(at),
            radius: (shown.brush_radius_px * view.zoom).max(1.5),
            hardness: shown.brush_hardness,
        })
    }
}

/// A dot for each click: light on the object, dark on what is left out.
fn show_clicks(painter: &egui::Painter, clicks: &[Click], view: View) {
    for click in clicks {
        let at = view.screen_from_image(click.position);
        let (fill, edge) = match click.inside {
            true => (theme::ACCENT, theme::ON_ACCENT),
            false => (theme::ON_ACCENT, theme::ACCENT),
        };
        painter.circle(egui::pos2(at.x, at.y), 5.0, fill, egui::Stroke::new(1.5, edge));
    }
}

fn fitted(rect: Rect, image: Extent) -> View {
    View::fit(image, point(rect.min), Point::new(rect.width(), rect.height()), FIT_MARGIN)
}

fn viewport_px(rect: Rect, pixels_per_point: f32) -> Viewport {
    let px = |v: f32| (v * pixels_per_point).round().max(0.0) as u32;
    Viewport {
        x: px(rect.min.x),
        y: px(rect.min.y),
        width: px(rect.max.x) - px(rect.min.x),
        height: px(rect.max.y) - px(rect.min.y),
    }
}

fn point(p: egui::Pos2) -> Point {
    Point::new(p.x, p.y)
}
