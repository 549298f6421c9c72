//! The folders that are looked through.

use egui::{Align, Label, Layout, RichText, Ui};

use super::quiet;
use crate::{
    app::{
        commands::{Command, CommandQueue},
        icons,
        library::{Ask, Library},
        theme,
    },
    catalog::scan::{Layout as Program, ScannedFolder},
};

pub fn show(ui: &mut Ui, library: &Library, commands: &mut CommandQueue) {
    let text = "Folders of other programs work as they are: ComfyUI, A1111 and InvokeAI are known by \
                how they are arranged. Nothing in them is changed, and of each file only its header \
                is read.";
    ui.add(Label::new(RichText::new(text).color(theme::TEXT)).wrap());
    ui.add_space(theme::GAP);
    for folder in &library.shelf.scan.folders {
        line(ui, folder, library.shelf.added.contains(&folder.path), commands);
    }
    ui.add_space(theme::GAP);
    ui.horizontal(|ui| {
        if ui.button("Add a folder ...").clicked() {
            commands.push(Command::Library(Ask::ChooseFolder));
        }
        if ui.button("Look again").on_hover_text("After files came or went").clicked() {
            commands.push(Command::Library(Ask::Look));
        }
    });
    ui.add_space(theme::GAP);
    let cache = library.settings.cache.display();
    ui.add(
        Label::new(quiet(format!("Downloads go to {cache}, which the hub's own tools share.")))
            .wrap(),
    );
}

fn line(ui: &mut Ui, folder: &ScannedFolder, is_added: bool, commands: &mut CommandQueue) {
    ui.horizontal(|ui| {
        let width = ui.available_width() - 40.0;
        ui.allocate_ui_with_layout(egui::vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 1.0;
            let path = folder.path.display().to_string();
            ui.add(Label::new(RichText::new(path).color(theme::TEXT_BRIGHT)).truncate());
            ui.add(Label::new(quiet(facts(folder))).wrap());
        });
        if !is_added {
            return;
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let button = ui.add(egui::Button::new(theme::icon(icons::CLOSE, 14.0)).frame(false));
            let name = format!("Forget {}", folder.path.display());
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
            let tip = "No longer looks through it. The folder stays as it is.";
            if button.on_hover_text(tip).clicked() {
                commands.push(Command::Library(Ask::ForgetFolder(folder.path.clone())));
            }
        });
    });
    ui.add_space(2.0);
}

fn facts(folder: &ScannedFolder) -> String {
    if !folder.exists {
        return "It is not there".into();
    }
    let mut facts = match folder.models {
        0 => "No models".to_owned(),
        1 => "1 model".to_owned(),
        count => format!("{count} models"),
    };
    if folder.layout != Program::Plain {
        facts = format!("{}: {facts}", folder.layout.label());
    }
    if folder.pickles > 0 {
        let count = folder.pickles;
        facts.push_str(&format!(" · {count} more not used: pickles can run any program"));
    }
    facts
}
