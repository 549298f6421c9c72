//! The line that narrows the catalogue and asks the hub, and what the hub found.

use egui::{Key, Label, RichText, TextEdit, Ui};

use super::{card, quiet};
use crate::{
    app::{
        commands::{Command, CommandQueue},
        library::{Ask, Library, Search},
        theme,
    },
    catalog,
};

const BUTTON: egui::Vec2 = egui::vec2(132.0, 28.0);

pub fn field(ui: &mut Ui, search: &mut Search, commands: &mut CommandQueue) {
    ui.horizontal(|ui| {
        let width = ui.available_width() - BUTTON.x - 10.0 - ui.spacing().item_spacing.x;
        let label = ui.label("").id;
        let field = TextEdit::singleline(&mut search.words)
            .desired_width(width)
            .margin(egui::Margin::symmetric(8, 5))
            .hint_text("A name, or words: inpainting, anime, owner/name");
        let response = ui.add(field).labelled_by(label);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Search for models")
        });
        let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        let text = if search.asking { "Asking ..." } else { "Search the hub" };
        let wanted = !search.asking && !search.words.trim().is_empty();
        let button = ui.add_enabled(wanted, egui::Button::new(text).min_size(BUTTON));
        if button.clicked() || entered {
            commands.push(Command::Library(Ask::Search));
        }
    });
}

/// What the hub found, without what the catalogue has anyway.
pub fn results(ui: &mut Ui, library: &Library, commands: &mut CommandQueue) {
    // Repositories that are fetched or failed stay in sight, whatever is searched for next.
    let loose = library.transfers.iter().filter(|t| catalog::preset(&t.key).is_none());
    let listed = |key: &str| match &library.search.found {
        Some(Ok(found)) => found.iter().any(|one| one.repository == key),
        _ => false,
    };
    for transfer in loose.filter(|transfer| !listed(&transfer.key)) {
        ui.label(RichText::new(&transfer.name).color(theme::TEXT_BRIGHT));
        card::progress(ui, transfer, commands);
    }
    let search = &library.search;
    match &search.found {
        None => {}
        Some(Err(why)) => {
            let text = RichText::new(why).color(theme::ERROR);
            ui.add(Label::new(text).wrap().selectable(true));
        }
        Some(Ok(found)) => {
            let new: Vec<_> =
                found.iter().filter(|one| catalog::preset(&one.repository).is_none()).collect();
            ui.add_space(theme::GAP);
            ui.label(theme::heading(&format!("On the hub: “{}”", search.asked)));
            if new.is_empty() {
                ui.label(quiet(
                    "Nothing else was found. Try fewer words, or a name as owner/name.",
                ));
            }
            for one in new {
                card::found(ui, library, one, commands);
            }
        }
    }
}
