//! The help sheet: every key, from the same table that the input reads.

use std::collections::BTreeMap;

use egui::{Align2, RichText, Ui};

use crate::app::{shortcuts, theme};

/// Shows the sheet; `open` becomes false when it is closed.
pub fn show(ctx: &egui::Context, open: &mut bool) {
    egui::Window::new("Keys")
        .open(open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .show(ctx, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 28.0;
                let groups = groups(ui.ctx());
                ui.spacing_mut().interact_size.y = 18.0;
                for name in ["Paint", "View", "Generate", "Picture"] {
                    ui.vertical(|ui| group(ui, name, &groups[name]));
                }
            });
        });
}

type Rows = Vec<(String, String)>;

fn groups(ctx: &egui::Context) -> BTreeMap<&'static str, Rows> {
    let mut groups: BTreeMap<&'static str, Rows> = BTreeMap::new();
    for binding in shortcuts::bindings().iter().filter(|b| !b.group.is_empty()) {
        let keys = shortcuts::text_of(ctx, &binding.shortcut);
        let rows = groups.entry(binding.group).or_default();
        match rows.iter_mut().find(|(about, _)| about == binding.about) {
            Some((_, all)) => *all = format!("{all}, {keys}"),
            None => rows.push((binding.about.to_owned(), keys)),
        }
    }
    for (group, about, keys) in shortcuts::HELD_KEYS {
        groups.entry(group).or_default().push(((*about).to_owned(), (*keys).to_owned()));
    }
    groups
}

fn group(ui: &mut Ui, name: &str, rows: &Rows) {
    ui.label(RichText::new(name).color(theme::ACCENT));
    ui.add_space(2.0);
    egui::Grid::new(name).num_columns(2).spacing([18.0, 4.0]).min_col_width(0.0).show(ui, |ui| {
        for (about, keys) in rows {
            ui.label(about);
            ui.label(RichText::new(keys).color(theme::TEXT_QUIET));
            ui.end_row();
        }
    });
    ui.add_space(theme::GROUP_GAP);
}
