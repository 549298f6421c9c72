//! The Models window: what can be had, what is here, and where to look.

mod card;
mod folders;
mod here;
mod search;

use egui::{Align2, Context, RichText, ScrollArea, Ui};

use crate::app::{
    commands::{Command, CommandQueue},
    library::{Ask, Library, Tab},
    theme,
};

/// The window's first size, in points.
const SIZE: egui::Vec2 = egui::vec2(760.0, 540.0);
/// Between the window and the edges of the program's.
const MARGIN: f32 = 24.0;

/// Shows the window if it is open.
pub fn show(ctx: &Context, library: &mut Library, chosen: &str, commands: &mut CommandQueue) {
    let mut open = library.open;
    let room = ctx.content_rect().shrink(MARGIN).size();
    egui::Window::new("Models")
        .open(&mut open)
        .collapsible(false)
        .default_size(SIZE.min(room))
        .max_size(room)
        .min_size(egui::vec2(480.0, 300.0).min(room))
        .pivot(Align2::CENTER_CENTER)
        .default_pos(ctx.content_rect().center())
        .show(ctx, |ui| {
            tabs(ui, library, commands);
            ui.add_space(theme::GAP);
            match library.tab {
                Tab::Catalogue => catalogue(ui, library, chosen, commands),
                Tab::Here => scrolled(ui, |ui| here::show(ui, library, chosen, commands)),
                Tab::Folders => scrolled(ui, |ui| folders::show(ui, library, commands)),
            }
        });
    library.open = open;
}

fn tabs(ui: &mut Ui, library: &mut Library, commands: &mut CommandQueue) {
    ui.horizontal(|ui| {
        let tabs = [
            (Tab::Catalogue, "Catalogue"),
            (Tab::Here, "On this machine"),
            (Tab::Folders, "Folders"),
        ];
        for (tab, name) in tabs {
            if ui.selectable_label(library.tab == tab, name).clicked() {
                library.tab = tab;
                commands.push(Command::Library(Ask::Look));
            }
        }
        if library.looking {
            ui.label(quiet("Looking ..."));
        }
    });
}

fn catalogue(ui: &mut Ui, library: &mut Library, chosen: &str, commands: &mut CommandQueue) {
    search::field(ui, &mut library.search, commands);
    ui.add_space(theme::GAP);
    let library = &*library;
    scrolled(ui, |ui| {
        for preset in library.presets() {
            card::preset(ui, library, preset, chosen, commands);
        }
        search::results(ui, library, commands);
    });
}

fn scrolled(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        // Beside the bar.
        ui.set_max_width(ui.available_width() - 10.0);
        add(ui);
    });
}

/// Small and grey.
fn quiet(text: impl Into<String>) -> RichText {
    RichText::new(text).small().color(theme::TEXT_QUIET)
}
