//! The mask's group in the panel at the right: its blur, and how it is shown.

use egui::Ui;

use crate::app::{
    commands::{Command, CommandQueue},
    icons,
    settings::{Overlay, Settings},
    theme,
    widgets::{self, Scale},
};

/// Size of the button that hides the mask.
const EYE: egui::Vec2 = egui::vec2(34.0, 26.0);

pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    overlay: &mut Overlay,
    commands: &mut CommandQueue,
) {
    ui.label(theme::heading("Mask"));
    widgets::slider(
        ui,
        "Blur",
        "Softens what is painted, shown live as it will be used. Radius in picture pixels.",
        &mut settings.mask_blur,
        Scale::new(0.0..=64.0, 1, 0.5).suffix(" px"),
    );
    widgets::row(ui, "Overlay", |ui, label| {
        let swatch = ui.color_edit_button_srgb(&mut overlay.color);
        swatch.labelled_by(label).on_hover_text("Colour of the mask on the canvas");
        let rest = ui.available_width() - EYE.x - 2.0 * ui.spacing().item_spacing.x;
        ui.spacing_mut().slider_width = rest.max(40.0);
        ui.add(egui::Slider::new(&mut overlay.opacity, 0.0..=1.0).show_value(false))
            .labelled_by(label)
            .on_hover_text(
                "How strongly the mask covers the picture. The result does not depend on it.",
            );
        let (glyph, name) = if overlay.visible {
            (icons::EYE, "Hide the mask")
        } else {
            (icons::EYE_OFF, "Show the mask")
        };
        let text = (glyph, name, "");
        widgets::sized_command_button(ui, commands, text, Command::ToggleOverlay, false, EYE);
    });
}
