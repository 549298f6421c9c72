//! The quiet line at the bottom: what is open, how large, what is saved.

use egui::{RichText, Ui};

use crate::{app::theme, geometry::Extent};

/// What the line says.
pub struct StatusView {
    pub name: String,
    pub unsaved: bool,
    pub extent: Extent,
    /// The device that inference runs on, as a person calls it.
    pub device: String,
}

pub fn show(ui: &mut Ui, view: Option<&StatusView>) {
    let quiet = |text: String| RichText::new(text).small().color(theme::TEXT_QUIET);
    ui.horizontal_centered(|ui| {
        let Some(view) = view else {
            ui.label(quiet("No picture".into()));
            return;
        };
        ui.label(RichText::new(&view.name).small().color(theme::TEXT));
        ui.label(quiet(view.extent.to_string().replace('x', " × ")));
        if view.unsaved {
            ui.label(quiet("not saved".into()));
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(quiet(view.device.clone()));
        });
    });
}
