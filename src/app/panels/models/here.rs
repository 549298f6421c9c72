//! What lies on this machine: models of the hub's cache, and files of the folders.

use egui::{Align, Label, Layout, RichText, Ui};

use super::{
    card::{self, command_for},
    quiet,
};
use crate::{
    app::{
        commands::{Command, CommandQueue},
        library::{Ask, Check, Library},
        theme,
    },
    catalog::{Kind, scan},
    hub::{Stored, human_size},
};

pub fn show(ui: &mut Ui, library: &Library, chosen: &str, commands: &mut CommandQueue) {
    let shelf = &library.shelf;
    if shelf.stored.is_empty() && shelf.scan.found.is_empty() {
        ui.label("Nothing has been fetched yet, and no folder holds models.");
        ui.label(quiet("Get one from the catalogue, or name a folder that has some."));
        return;
    }
    if !shelf.stored.is_empty() {
        ui.label(theme::heading("Fetched from the hub"));
    }
    for stored in &shelf.stored {
        stored_line(ui, stored, library, commands);
    }
    for title in GROUPS {
        let found = shelf.scan.found.iter().filter(|found| group(found.kind()) == title);
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            continue;
        }
        ui.add_space(theme::GAP);
        ui.label(theme::heading(title));
        for found in found {
            file_line(ui, found, chosen, commands);
        }
    }
}

/// What files are sorted under, in this order.
const GROUPS: [&str; 8] = [
    "Models",
    "ControlNets",
    "LoRAs",
    "Embeddings",
    "Autoencoders",
    "Smart select",
    "Other files",
    "Cannot be read",
];

fn group(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Model(_) | Kind::Prior) => GROUPS[0],
        Some(Kind::ControlNet(_)) => GROUPS[1],
        Some(Kind::Lora(_)) => GROUPS[2],
        Some(Kind::Embedding(_)) => GROUPS[3],
        Some(Kind::Autoencoder | Kind::TinyAutoencoder) => GROUPS[4],
        Some(Kind::Segmentation) => GROUPS[5],
        Some(Kind::Other(_)) => GROUPS[6],
        None => GROUPS[7],
    }
}

fn stored_line(ui: &mut Ui, stored: &Stored, library: &Library, commands: &mut CommandQueue) {
    let name = &stored.repository;
    let busy = library.transfers.iter().any(|t| t.current().is_some());
    let check = library.checks.get(name);
    let facts = format!("{}{}", human_size(stored.bytes), words_of(check));
    line(ui, name, &facts, &stored.folder.display().to_string(), |ui| {
        let tip = format!("Frees {}. It can be fetched again.", human_size(stored.bytes));
        let mut button = |text: &str, tip: &str| {
            let button = ui.add_enabled(!busy, egui::Button::new(text));
            let label = format!("{text}: {name}");
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, !busy, &label));
            button.on_hover_text(tip).clicked()
        };
        if library.removing.as_ref() == Some(name) {
            if button("Keep", "") {
                commands.push(Command::Library(Ask::ConfirmRemoval(None)));
            }
            if button("Delete it", &tip) {
                commands.push(Command::Library(Ask::Remove(name.clone())));
            }
        } else {
            if button("Delete ...", &tip) {
                commands.push(Command::Library(Ask::ConfirmRemoval(Some(name.clone()))));
            }
            let (text, tip, ask) = match check {
                Some(Check::Reading) => return,
                Some(Check::Damaged(_)) => {
                    ("Get again", "Fetches what is damaged or missing", Ask::Get(name.clone()))
                }
                _ => ("Check", "Reads all of it and compares digests", Ask::Verify(name.clone())),
            };
            if button(text, tip) {
                commands.push(Command::Library(ask));
            }
        }
    });
    if let Some(transfer) = library.transfers.get(name) {
        card::progress(ui, transfer, commands);
    }
}

fn words_of(check: Option<&Check>) -> String {
    match check {
        None => String::new(),
        Some(Check::Reading) => " · reading it again ...".into(),
        Some(Check::Whole) => " · all of it is whole".into(),
        Some(Check::Damaged(files)) => {
            format!(" · damaged and put aside: {}", files.join(", "))
        }
    }
}

fn file_line(ui: &mut Ui, found: &scan::Found, chosen: &str, commands: &mut CommandQueue) {
    let path = found.path.display().to_string();
    let facts = format!("{} · {}", found.about(), human_size(found.bytes));
    line(ui, &found.name, &facts, &path, |ui| {
        if path == chosen {
            return drop(ui.label(quiet("In use")));
        }
        let command = found.kind().and_then(|kind| command_for(kind, &found.path));
        let Some(command) = command else { return };
        let button = ui.button("Use");
        let name = format!("Use {}", found.name);
        button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
        if button.clicked() {
            commands.push(command);
        }
    });
}

/// A name with facts below, and a button at the right.
fn line(ui: &mut Ui, name: &str, facts: &str, tip: &str, button: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        let width = ui.available_width() - 200.0;
        ui.allocate_ui_with_layout(egui::vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 1.0;
            let name = Label::new(RichText::new(name).color(theme::TEXT_BRIGHT)).truncate();
            ui.add(name).on_hover_text(tip);
            ui.add(Label::new(quiet(facts)).wrap());
        });
        ui.with_layout(Layout::right_to_left(Align::Center), button);
    });
    ui.add_space(2.0);
}
