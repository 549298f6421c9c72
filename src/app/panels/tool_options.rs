//! One line of options of the current tool, above the canvas.

use egui::{RichText, Slider, Ui};

use crate::app::{
    commands::{Command, CommandQueue, Tool},
    icons, theme, widgets,
};

/// Brush settings as the line edits them.
#[derive(Clone, Debug, PartialEq)]
pub struct BrushSettings {
    /// Diameter in picture pixels, 1 to 2000.
    pub size: f64,
    /// 0 soft to 1 hard.
    pub hardness: f64,
    /// 0 to 1.
    pub opacity: f64,
}

impl Default for BrushSettings {
    fn default() -> Self {
        Self { size: 48.0, hardness: 0.8, opacity: 1.0 }
    }
}

impl BrushSettings {
    pub const SIZES: std::ops::RangeInclusive<f64> = 1.0..=2000.0;

    /// Larger by `factor`, by at least one pixel.
    pub fn scale(&mut self, factor: f64) {
        let size = self.size * factor;
        let at_least =
            if factor > 1.0 { size.max(self.size + 1.0) } else { size.min(self.size - 1.0) };
        self.size = at_least.round().clamp(*Self::SIZES.start(), *Self::SIZES.end());
    }
}

/// Of the line: the names, the numbers and the view buttons.
const FIXED_WIDTH: f32 = 640.0;

pub fn show(
    ui: &mut Ui,
    tool: Tool,
    brush: &mut BrushSettings,
    zoom: Option<f32>,
    commands: &mut CommandQueue,
) {
    ui.horizontal_centered(|ui| {
        // What is left of a narrow window is shared by the three sliders.
        ui.spacing_mut().slider_width =
            ((ui.available_width() - FIXED_WIDTH) / 3.0).clamp(24.0, 130.0);
        match tool {
            Tool::Brush | Tool::Eraser => brush_options(ui, tool, brush),
            Tool::Hand => {
                ui.label(
                    RichText::new("Drag to move the picture, wheel to zoom")
                        .color(theme::TEXT_QUIET),
                );
            }
        }
        if let Some(zoom) = zoom {
            view_buttons(ui, zoom, commands);
        }
    });
}

fn brush_options(ui: &mut Ui, tool: Tool, brush: &mut BrushSettings) {
    let name = if tool == Tool::Brush { "Brush" } else { "Eraser" };
    ui.label(RichText::new(name).color(theme::TEXT_BRIGHT).strong());
    ui.add_space(theme::GAP);
    let mut option = |label: &str, tip: &str, slider: Slider<'_>| {
        let label = ui.label(RichText::new(label).color(theme::TEXT_QUIET));
        ui.add(slider).labelled_by(label.id).on_hover_text(tip);
        ui.add_space(theme::GAP);
    };
    option(
        "Size",
        "Diameter in picture pixels   [ ]",
        Slider::new(&mut brush.size, BrushSettings::SIZES)
            .logarithmic(true)
            .fixed_decimals(0)
            .suffix(" px"),
    );
    let percent = |value| {
        Slider::new(value, 0.0..=1.0)
            .custom_formatter(|v, _| format!("{:.0} %", v * 100.0))
            .custom_parser(|s| {
                s.trim_end_matches([' ', '%']).parse::<f64>().ok().map(|v| v / 100.0)
            })
    };
    option(
        "Hardness",
        "How sharp the edge of the mark is   Shift+[ Shift+]",
        percent(&mut brush.hardness),
    );
    option(
        "Opacity",
        "Less than 100 % marks for a partial change   1 ... 9, 0",
        percent(&mut brush.opacity),
    );
}

fn view_buttons(ui: &mut Ui, zoom: f32, commands: &mut CommandQueue) {
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        let fit = (icons::FIT, "Fit the window", "The whole picture.");
        widgets::command_button(ui, commands, fit, Command::FitView, false);
        let closer = (icons::ZOOM_IN, "Zoom in", "");
        widgets::command_button(ui, commands, closer, Command::ZoomBy(1.25), false);
        let percent = format!("{:.0} %", zoom * 100.0);
        let button = egui::Button::new(RichText::new(percent).color(theme::TEXT_QUIET))
            .frame(false)
            .min_size(egui::vec2(52.0, 26.0));
        if ui.add(button).on_hover_text("Actual size  (Ctrl+1)").clicked() {
            commands.push(Command::ActualSize);
        }
        let further = (icons::ZOOM_OUT, "Zoom out", "");
        widgets::command_button(ui, commands, further, Command::ZoomBy(0.8), false);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brush_sizes_move_by_at_least_a_pixel_and_stay_in_range() {
        let mut brush = BrushSettings { size: 2.0, ..Default::default() };
        brush.scale(1.15);
        assert_eq!(brush.size, 3.0);
        brush.scale(1.0 / 1.15);
        assert_eq!(brush.size, 2.0);
        for _ in 0..100 {
            brush.scale(1.5);
        }
        assert_eq!(brush.size, 2000.0);
    }
}
