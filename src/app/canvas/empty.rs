//! What stands where the picture will be: an invitation.

use egui::{Align2, FontId, RichText, Sense, Stroke, Ui, vec2};

use crate::app::{
    commands::{Command, CommandQueue},
    icons, theme, widgets,
};

/// Paints the invitation. `hovering` is true while a file is dragged over the window.
pub fn show(ui: &mut Ui, hovering: bool, commands: &mut CommandQueue) {
    let (rect, _) = ui.allocate_exact_size(ui.available_size(), Sense::hover());
    ui.painter().rect_filled(rect, 0.0, theme::CANVAS);
    let card =
        egui::Rect::from_center_size(rect.center(), vec2(440.0, 270.0).min(rect.size() * 0.9));
    let line = if hovering { theme::ACCENT } else { theme::LINE };
    let corners = [
        card.left_top(),
        card.right_top(),
        card.right_bottom(),
        card.left_bottom(),
        card.left_top(),
    ];
    ui.painter().extend(egui::Shape::dashed_line(&corners, Stroke::new(1.5, line), 7.0, 6.0));
    ui.painter().text(
        card.center_top() + vec2(0.0, 64.0),
        Align2::CENTER_CENTER,
        icons::PICTURE,
        FontId::new(44.0, theme::icon_family()),
        if hovering { theme::ACCENT } else { theme::TEXT_QUIET },
    );
    let mut inside =
        ui.new_child(egui::UiBuilder::new().max_rect(card.with_min_y(card.top() + 104.0)));
    inside.vertical_centered(|ui| {
        ui.label(RichText::new("Drop a picture here").heading().color(theme::TEXT_BRIGHT));
        ui.label(
            RichText::new("or paste one, then brush over what should change")
                .color(theme::TEXT_QUIET),
        );
        ui.add_space(theme::GROUP_GAP);
        if widgets::primary_button(ui, icons::OPEN, "Open a picture", vec2(170.0, 34.0)).clicked() {
            commands.push(Command::ChooseFile);
        }
        if ui.button("Use the sample picture").clicked() {
            commands.push(Command::OpenSample);
        }
    });
}
