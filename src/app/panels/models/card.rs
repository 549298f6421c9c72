//! One model of the catalogue or of a search: what it is, whether it runs here, and what can be
//! done with it.

use std::path::Path;

use egui::{Align, FontId, Frame, Label, Layout, Margin, RichText, Stroke, Ui};

use super::quiet;
use crate::{
    app::{
        commands::{Command, CommandQueue},
        icons,
        library::{Ask, Library, State, Transfer},
        theme, widgets,
    },
    catalog::{Fit, Kind, Preset},
    hub::{Found, HubError, human_size},
};

/// Width of the column of buttons.
const ACTIONS: f32 = 132.0;
const BUTTON: egui::Vec2 = egui::vec2(ACTIONS, 30.0);
const SMALL_BUTTON: egui::Vec2 = egui::vec2(72.0, 26.0);

/// A card of the catalogue.
pub fn preset(
    ui: &mut Ui,
    library: &Library,
    preset: &Preset,
    chosen: &str,
    commands: &mut CommandQueue,
) {
    let place = library.place_of(preset).map(|place| place.display().to_string());
    let transfer = library.transfers.get(&preset.id);
    let size = preset.with_needs().map(|part| part.download.of(library.machine.precision())).sum();
    framed(ui, transfer, commands, |ui, commands| {
        columns(
            ui,
            commands,
            |ui, commands| about(ui, library, preset, commands),
            |ui, commands| match &place {
                Some(place) => match use_of(library, preset, place) {
                    Some(Command::UseModel(id)) if id == chosen => here_as(ui, "In use", place),
                    Some(command) => use_button(ui, place, &preset.name, command, commands),
                    None => here(ui, place),
                },
                None if transfer.is_none() => {
                    get_button(ui, &preset.id, &preset.name, Some(size), commands)
                }
                None => {}
            },
        );
    });
}

/// A line of a search.
pub fn found(ui: &mut Ui, library: &Library, found: &Found, commands: &mut CommandQueue) {
    let transfer = library.transfers.get(&found.repository);
    framed(ui, transfer, commands, |ui, commands| {
        columns(
            ui,
            commands,
            |ui, _| {
                title(ui, &found.repository, found.kind.as_deref().unwrap_or("kind not said"));
                let licence = found.licence.as_deref().unwrap_or("not said");
                let mut facts = format!("Licence: {licence} · {} downloads", found.downloads);
                if found.gated {
                    facts.push_str(" · its owner asks for consent first");
                }
                ui.add(Label::new(quiet(facts)).wrap());
            },
            |ui, commands| {
                if library.shelf.has(&found.repository) {
                    here(ui, "In the hub's cache");
                } else if transfer.is_none() {
                    get_button(ui, &found.repository, &found.repository, None, commands);
                }
            },
        );
    });
}

/// A card with what is being done about its model below.
fn framed(
    ui: &mut Ui,
    transfer: Option<&Transfer>,
    commands: &mut CommandQueue,
    add: impl FnOnce(&mut Ui, &mut CommandQueue),
) {
    let edge = match transfer.map(|transfer| &transfer.state) {
        Some(State::Failed(_)) => theme::ERROR.gamma_multiply(0.7),
        Some(_) => theme::ACCENT.gamma_multiply(0.6),
        None => theme::LINE,
    };
    let frame = Frame::new()
        .fill(theme::WELL)
        .stroke(Stroke::new(1.0, edge))
        .corner_radius(8)
        .inner_margin(Margin::symmetric(14, 11));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        add(ui, commands);
        if let Some(transfer) = transfer {
            ui.add_space(4.0);
            progress(ui, transfer, commands);
        }
    });
}

/// Words at the left, as wide as the buttons at the right leave room.
fn columns(
    ui: &mut Ui,
    commands: &mut CommandQueue,
    words: impl FnOnce(&mut Ui, &mut CommandQueue),
    buttons: impl FnOnce(&mut Ui, &mut CommandQueue),
) {
    let gap = 16.0;
    let width = (ui.available_width() - ACTIONS - gap).max(120.0);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        ui.allocate_ui_with_layout(egui::vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 4.0;
            words(ui, commands);
        });
        ui.allocate_ui_with_layout(egui::vec2(ACTIONS, 0.0), Layout::top_down(Align::Max), |ui| {
            ui.set_width(ACTIONS);
            buttons(ui, commands);
        });
    });
}

fn title(ui: &mut Ui, name: &str, kind: &str) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let font = FontId::new(14.5, theme::strong_family());
        ui.label(RichText::new(name).font(font).color(theme::TEXT_BRIGHT));
        ui.label(quiet(kind));
    });
}

fn about(ui: &mut Ui, library: &Library, preset: &Preset, commands: &mut CommandQueue) {
    title(ui, &preset.name, preset.kind.name());
    ui.add(Label::new(RichText::new(&preset.purpose).color(theme::TEXT)).wrap());
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.label(quiet("Licence: "));
        let licence = ui.link(RichText::new(&preset.licence.name).small());
        if licence.on_hover_text(&preset.licence.url).clicked() {
            commands.push(Command::OpenPage(preset.licence.url.clone()));
        }
        let needs: Vec<&str> = preset.with_needs().skip(1).map(|part| part.name.as_str()).collect();
        if !needs.is_empty() {
            ui.label(quiet(format!(" · fetched with {}", needs.join(", "))));
        }
    });
    let (fit, words) = library.machine.fit(preset);
    let (glyph, color) = match fit {
        Fit::Well => (icons::CHECK, theme::GOOD),
        Fit::Slow => (icons::INFO, theme::TEXT_QUIET),
        Fit::TooLarge => (icons::WARNING, theme::ACCENT),
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        ui.label(theme::icon(glyph, 13.0).color(color));
        ui.label(RichText::new(words).small().color(color));
    });
}

fn get_button(ui: &mut Ui, key: &str, name: &str, size: Option<u64>, commands: &mut CommandQueue) {
    let text = size.map_or("Get".to_owned(), |size| format!("Get · {}", human_size(size)));
    let button = ui.add_sized(BUTTON, egui::Button::new(text));
    button
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Get {name}")));
    let tip = "Fetches what is needed of it. You can go on painting meanwhile.";
    if button.on_hover_text(tip).clicked() {
        commands.push(Command::Library(Ask::Get(key.to_owned())));
    }
}

/// What takes a preset that lies at `place` into use, where that can be asked for.
fn use_of(library: &Library, preset: &Preset, place: &str) -> Option<Command> {
    match preset.kind {
        Kind::Model(_) => {
            let id = library.shelf.repository_of(preset).unwrap_or(place);
            Some(Command::UseModel(id.to_owned()))
        }
        kind => command_for(kind, place.as_ref()),
    }
}

/// What takes something of this kind into use.
pub fn command_for(kind: Kind, path: &Path) -> Option<Command> {
    let text = || path.display().to_string();
    match kind {
        Kind::Model(_) => Some(Command::UseModel(text())),
        Kind::Lora(_) => Some(Command::UseLora(path.to_owned())),
        Kind::Embedding(_) => Some(Command::UseEmbedding(path.to_owned())),
        Kind::ControlNet(_) => Some(Command::AddControl(text())),
        Kind::Autoencoder | Kind::TinyAutoencoder => Some(Command::UseAutoencoder(path.to_owned())),
        Kind::Prior | Kind::Segmentation | Kind::Other(_) => None,
    }
}

fn use_button(ui: &mut Ui, place: &str, name: &str, command: Command, commands: &mut CommandQueue) {
    let button = widgets::primary_button(ui, icons::SPARKLE, "Use", BUTTON);
    button
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Use {name}")));
    if button.on_hover_text(place).clicked() {
        commands.push(command);
    }
}

fn here(ui: &mut Ui, place: &str) {
    here_as(ui, "On this machine", place);
}

fn here_as(ui: &mut Ui, words: &str, place: &str) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        ui.label(theme::icon(icons::CHECK, 14.0).color(theme::GOOD));
        ui.label(RichText::new(words).color(theme::GOOD)).on_hover_text(place);
    });
}

/// The bar, what goes on, and what can be done about it.
pub fn progress(ui: &mut Ui, transfer: &Transfer, commands: &mut CommandQueue) {
    if let State::Failed(error) = &transfer.state {
        return failure(ui, transfer, error, commands);
    }
    let fraction = transfer.progress().map(|p| p.done as f32 / p.total.max(1) as f32);
    widgets::bar(ui, fraction, &format!("Download of {}", transfer.name));
    ui.horizontal(|ui| {
        let words = RichText::new(transfer.words()).small().color(theme::TEXT);
        ui.label(words);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if matches!(transfer.state, State::Stopping(_)) {
                return;
            }
            let cancel = "Stops, and throws away what has come. Pause keeps it.";
            if small_button(ui, "Cancel", &transfer.name, cancel) {
                commands.push(Command::Library(Ask::Cancel(transfer.key.clone())));
            }
            match transfer.state {
                State::Paused(_) => {
                    if small_button(ui, "Go on", &transfer.name, "Goes on where it stood") {
                        commands.push(Command::Library(Ask::Get(transfer.key.clone())));
                    }
                }
                _ => {
                    let pause = "Stops for now; it goes on where it stood, also another day";
                    if small_button(ui, "Pause", &transfer.name, pause) {
                        commands.push(Command::Library(Ask::Pause(transfer.key.clone())));
                    }
                }
            }
        });
    });
}

fn failure(ui: &mut Ui, transfer: &Transfer, error: &HubError, commands: &mut CommandQueue) {
    ui.horizontal_top(|ui| {
        ui.label(theme::icon(icons::WARNING, 15.0).color(theme::ERROR));
        let text = RichText::new(error.to_string()).color(theme::ERROR);
        ui.add(Label::new(text).wrap().selectable(true));
    });
    ui.horizontal(|ui| {
        if let HubError::Gated { page, .. } = error
            && small_button(ui, "Its page", &transfer.name, page)
        {
            commands.push(Command::OpenPage(page.clone()));
        }
        if small_button(ui, "Try again", &transfer.name, "What has come so far is kept") {
            commands.push(Command::Library(Ask::Get(transfer.key.clone())));
        }
        if small_button(ui, "Dismiss", &transfer.name, "Throws away what has come of it") {
            commands.push(Command::Library(Ask::Cancel(transfer.key.clone())));
        }
    });
}

fn small_button(ui: &mut Ui, text: &str, name: &str, tip: &str) -> bool {
    let button = ui.add_sized(SMALL_BUTTON, egui::Button::new(text));
    button.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Button, true, format!("{text}: {name}"))
    });
    button.on_hover_text(tip).clicked()
}
