//! ControlNets in the panel at the right: which, what they see, and how much they count.

use std::path::Path;

use egui::{ComboBox, RichText, Ui};

use crate::app::{
    commands::{Command, CommandQueue},
    controls::{ControlChoice, ControlSettings},
    icons,
    settings::Settings,
    theme,
    widgets::{self, Scale},
};

pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    choices: &[ControlChoice],
    commands: &mut CommandQueue,
) {
    let title = match settings.controls.len() {
        0 => "ControlNet".to_owned(),
        count => format!("ControlNet: {count} on"),
    };
    egui::CollapsingHeader::new(title).id_salt("control").show_unindented(ui, |ui| {
        let mut gone = None;
        for (index, control) in settings.controls.iter_mut().enumerate() {
            ui.push_id(index, |ui| {
                if one(ui, index, control, commands) {
                    gone = Some(index);
                }
            });
            ui.add_space(theme::GAP);
        }
        if let Some(index) = gone {
            settings.controls.remove(index);
        }
        add(ui, choices, commands);
        if !settings.controls.is_empty() {
            ui.checkbox(&mut settings.guess_mode, "Guess mode").on_hover_text(
                "Steers what the prompt asks for only, fine detail less. Works without a prompt.",
            );
        }
    });
}

/// One ControlNet; true when it is to go.
fn one(
    ui: &mut Ui,
    index: usize,
    control: &mut ControlSettings,
    commands: &mut CommandQueue,
) -> bool {
    let mut gone = false;
    ui.horizontal(|ui| {
        ui.label(RichText::new(&control.label).color(theme::TEXT_BRIGHT));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let button = egui::Button::new(theme::icon(icons::CLOSE, 15.0)).frame(false);
            let response = ui.add(button).on_hover_text("Take this ControlNet away");
            response.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, "Take this ControlNet away")
            });
            gone = response.clicked();
        });
    });
    widgets::row(ui, "Sees", |ui, label| sees(ui, index, control, label, commands));
    widgets::slider(
        ui,
        "Weight",
        "How much it counts. 0 is not at all.",
        &mut control.scale,
        Scale::new(0.0..=2.0, 2, 0.01),
    );
    let part = || Scale::new(0.0..=1.0, 2, 0.01);
    let tip = "The part of the steps from which it counts.";
    widgets::slider(ui, "From", tip, &mut control.start, part());
    let tip = "The part of the steps up to which it counts.";
    widgets::slider(ui, "To", tip, &mut control.end, part());
    control.end = control.end.max(0.01);
    control.start = control.start.min(control.end - 0.01);
    gone
}

fn sees(
    ui: &mut Ui,
    index: usize,
    control: &mut ControlSettings,
    label: egui::Id,
    commands: &mut CommandQueue,
) {
    const MADE: &str = "From picture and mask";
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let shown = control.image.as_deref().and_then(name).unwrap_or_else(|| MADE.to_owned());
    ComboBox::from_id_salt("sees")
        .width(ui.available_width())
        .selected_text(shown)
        .show_ui(ui, |ui| {
            if ui.selectable_label(control.image.is_none(), MADE).clicked() {
                control.image = None;
            }
            if ui.selectable_label(false, "A picture ...").clicked() {
                commands.push(Command::ChooseControlImage(index));
            }
        })
        .response
        .labelled_by(label)
        .on_hover_text(
            "The picture that steers. ControlNets for inpainting take it from picture and mask; \
             others a drawing of edges, depth or poses, as large as the picture.",
        );
}

fn add(ui: &mut Ui, choices: &[ControlChoice], commands: &mut CommandQueue) {
    ComboBox::from_id_salt("add control")
        .width(ui.available_width())
        .selected_text("Add a ControlNet")
        .show_ui(ui, |ui| {
            for choice in choices {
                let picked = ui.selectable_label(false, &choice.label);
                if picked.on_hover_text(&choice.about).clicked() {
                    commands.push(Command::AddControl(choice.id.clone()));
                }
            }
            if !choices.is_empty() {
                ui.separator();
            }
            if ui.selectable_label(false, "ControlNet folder ...").clicked() {
                commands.push(Command::ChooseControlFolder);
            }
            if ui.selectable_label(false, "ControlNet file ...").clicked() {
                commands.push(Command::ChooseControlFile);
            }
        })
        .response
        .on_hover_text("A network that steers the picture by another one");
}
