//! The column of tools at the left.

use egui::Ui;

use crate::app::{
    commands::{Command, CommandQueue, Tool},
    icons,
    smart_select::missing_weights,
    theme, widgets,
};

/// Width of the column, in points.
pub const WIDTH: f32 = 52.0;

/// What the column needs to know.
pub struct ToolsView {
    pub tool: Tool,
    pub has_document: bool,
    /// Whether smart select has its weights.
    pub can_select: bool,
    pub can_undo: bool,
    pub can_redo: bool,
}

pub fn show(ui: &mut Ui, view: &ToolsView, commands: &mut CommandQueue) {
    ui.spacing_mut().item_spacing.y = 4.0;
    let mut button = |ui: &mut Ui, enabled, text, command, selected| {
        ui.add_enabled_ui(enabled, |ui| {
            widgets::command_button(ui, commands, text, command, selected)
        });
    };
    let open = (icons::OPEN, "Open", "A picture to paint on. You can also drop one on the window.");
    button(ui, true, open, Command::ChooseFile, false);
    let save = (icons::SAVE, "Save as", "A PNG with the settings that made it inside.");
    button(ui, view.has_document, save, Command::SaveAs, false);
    let copy = (icons::COPY, "Copy", "The picture as it is seen, to the clipboard.");
    button(ui, view.has_document, copy, Command::CopyPicture, false);
    divider(ui);
    let brush = (icons::BRUSH, "Brush", "Marks what is to be repainted.");
    button(
        ui,
        view.has_document,
        brush,
        Command::SelectTool(Tool::Brush),
        view.tool == Tool::Brush,
    );
    let eraser = (icons::ERASER, "Eraser", "Takes the mark away again.");
    button(
        ui,
        view.has_document,
        eraser,
        Command::SelectTool(Tool::Eraser),
        view.tool == Tool::Eraser,
    );
    let tip = match view.can_select {
        true => "Marks the object that is clicked on.",
        false => &missing_weights(),
    };
    button(
        ui,
        view.has_document && view.can_select,
        (icons::WAND, "Smart select", tip),
        Command::SelectTool(Tool::Select),
        view.tool == Tool::Select,
    );
    let hand = (icons::HAND, "Hand", "Moves the picture. Space or the middle button does so too.");
    button(ui, view.has_document, hand, Command::SelectTool(Tool::Hand), view.tool == Tool::Hand);
    divider(ui);
    let all = (icons::PAINT_ALL, "Mask everything", "Marks the whole picture.");
    button(ui, view.has_document, all, Command::FillMask, false);
    let invert =
        (icons::INVERT, "Invert mask", "Marks what is not marked, and the other way round.");
    button(ui, view.has_document, invert, Command::InvertMask, false);
    let clear = (icons::TRASH, "Clear mask", "Takes every mark away.");
    button(ui, view.has_document, clear, Command::ClearMask, false);
    divider(ui);
    button(ui, view.can_undo, (icons::UNDO, "Undo", ""), Command::Undo, false);
    button(ui, view.can_redo, (icons::REDO, "Redo", ""), Command::Redo, false);
    ui.with_layout(egui::Layout::bottom_up(egui::Align::Center), |ui| {
        let help = (icons::HELP, "Help", "All keys on one sheet.");
        widgets::command_button(ui, commands, help, Command::ToggleHelp, false);
    });
}

fn divider(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(egui::vec2(34.0, 9.0), egui::Sense::hover());
    ui.painter().hline(
        rect.x_range().shrink(7.0),
        rect.center().y,
        egui::Stroke::new(1.0, theme::LINE),
    );
}
