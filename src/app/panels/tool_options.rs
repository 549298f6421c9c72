//! One line of options of the current tool, above the canvas.

use std::ops::RangeInclusive;

use egui::{DragValue, RichText, Slider, Ui};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        commands::{Command, CommandQueue, Tool},
        icons,
        smart_select::SmartSelect,
        theme, widgets,
    },
    document::Combine,
};

/// Brush settings as the line edits them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub const SIZES: RangeInclusive<f64> = 1.0..=2000.0;

    /// Larger by `factor`, by at least one pixel.
    pub fn scale(&mut self, factor: f64) {
        let size = self.size * factor;
        let at_least =
            if factor > 1.0 { size.max(self.size + 1.0) } else { size.min(self.size - 1.0) };
        self.size = at_least.round().clamp(*Self::SIZES.start(), *Self::SIZES.end());
    }
}

/// Of the line: the names, the numbers and the view buttons.
const FIXED_WIDTH: f32 = 625.0;
/// Of the view buttons at the right end.
const VIEW_WIDTH: f32 = 190.0;
/// A slider that is shorter than this is left out.
const LEAST_SLIDER: f32 = 40.0;

pub fn show(
    ui: &mut Ui,
    tool: Tool,
    brush: &mut BrushSettings,
    select: &mut SmartSelect,
    zoom: Option<f32>,
    commands: &mut CommandQueue,
) {
    ui.horizontal_centered(|ui| {
        // What is left of a narrow window is shared by the three sliders.
        ui.spacing_mut().slider_width =
            ((ui.available_width() - FIXED_WIDTH) / 3.0).clamp(0.0, 130.0);
        match tool {
            Tool::Brush | Tool::Eraser => brush_options(ui, tool, brush),
            Tool::Select => select_options(ui, select, commands),
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
    option(ui, "Size", "Diameter in picture pixels   [ ]", &mut brush.size, BrushSettings::SIZES);
    let tip = "How sharp the edge of the mark is   Shift+[ Shift+]";
    option(ui, "Hardness", tip, &mut brush.hardness, 0.0..=1.0);
    let tip = "Less than 100 % marks for a partial change   1 ... 9, 0";
    option(ui, "Opacity", tip, &mut brush.opacity, 0.0..=1.0);
}

fn select_options(ui: &mut Ui, select: &mut SmartSelect, commands: &mut CommandQueue) {
    ui.label(RichText::new("Smart select").color(theme::TEXT_BRIGHT).strong());
    ui.add_space(theme::GAP);
    for (how, name, tip) in [
        (Combine::Replace, "Replace", "The object becomes the mask."),
        (Combine::Add, "Add", "The object joins the mask."),
        (Combine::Subtract, "Subtract", "The object is taken out of the mask."),
    ] {
        if ui.selectable_label(select.how == how, name).on_hover_text(tip).clicked() {
            select.how = how;
            commands.push(Command::NewObject);
        }
    }
    ui.add_space(theme::GAP);
    let tip = "The next click is another object's; otherwise it refines this one.";
    if ui.button("Next object").on_hover_text(tip).clicked() {
        commands.push(Command::NewObject);
    }
    ui.add_space(theme::GAP);
    let hint = "Click on an object, Alt+click on what is not part of it";
    let text = RichText::new(select.words().unwrap_or(hint)).color(theme::TEXT_QUIET);
    ui.scope(|ui| {
        ui.set_max_width((ui.available_width() - VIEW_WIDTH).max(0.0));
        ui.add(egui::Label::new(text).truncate());
    });
}

/// A name, a slider where there is room for one, and a number that can be dragged and typed.
/// Ranges up to 1 are shown in percent, others in pixels on a logarithmic slider.
fn option(ui: &mut Ui, name: &str, tip: &str, value: &mut f64, range: RangeInclusive<f64>) {
    let percent = *range.end() <= 1.0;
    let label = ui.label(RichText::new(name).color(theme::TEXT_QUIET));
    if ui.spacing().slider_width >= LEAST_SLIDER {
        let slider = Slider::new(value, range.clone()).show_value(false).logarithmic(!percent);
        ui.add(slider).labelled_by(label.id).on_hover_text(tip);
    }
    let number = DragValue::new(value).range(range).speed(if percent { 0.005 } else { 0.5 });
    let number = if percent {
        number.custom_formatter(|v, _| format!("{:.0} %", v * 100.0)).custom_parser(|text| {
            text.trim_end_matches([' ', '%']).parse::<f64>().ok().map(|v| v / 100.0)
        })
    } else {
        number.fixed_decimals(0).suffix(" px")
    };
    let size = [56.0, ui.spacing().interact_size.y];
    ui.add_sized(size, number).labelled_by(label.id).on_hover_text(tip);
    ui.add_space(theme::GAP);
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
