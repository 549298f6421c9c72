//! The quiet line at the bottom: what is open, how large, what is saved.

use egui::{RichText, Ui};

use crate::{
    app::{
        commands::{Command, CommandQueue},
        library::Ask,
        theme,
    },
    geometry::Extent,
};

/// What the line says.
pub struct StatusView {
    pub name: String,
    pub unsaved: bool,
    pub extent: Extent,
    /// The device that inference runs on, as a person calls it.
    pub device: String,
}

/// `news` is what is being fetched, in a few words.
pub fn show(
    ui: &mut Ui,
    view: Option<&StatusView>,
    news: Option<String>,
    commands: &mut CommandQueue,
) {
    let quiet = |text: String| RichText::new(text).small().color(theme::TEXT_QUIET);
    ui.horizontal_centered(|ui| {
        match view {
            None => drop(ui.label(quiet("No picture".into()))),
            Some(view) => {
                ui.label(RichText::new(&view.name).small().color(theme::TEXT));
                ui.label(quiet(view.extent.to_string().replace('x', " × ")));
                if view.unsaved {
                    ui.label(quiet("not saved".into()));
                }
            }
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if let Some(view) = view {
                ui.label(quiet(view.device.clone()));
            }
            if let Some(news) = news
                && ui.link(RichText::new(news).small()).on_hover_text("Shows the models").clicked()
            {
                commands.push(Command::Library(Ask::Toggle));
            }
        });
    });
}
