//! ControlNets in the panel at the right: which, what they see, and how much they count.

use egui::{ComboBox, RichText, Ui};

use crate::{
    app::{
        commands::{Command, CommandQueue},
        controls::{ControlChoice, ControlSettings, Sees},
        icons,
        settings::Settings,
        theme,
        widgets::{self, Scale},
    },
    engine::Task,
};

/// `takes_sizes` tells which ControlNets fit the chosen model.
pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    choices: &[ControlChoice],
    takes_sizes: bool,
    commands: &mut CommandQueue,
) {
    let title = match settings.controls.len() {
        0 => "ControlNet".to_owned(),
        count => format!("ControlNet: {count} on"),
    };
    egui::CollapsingHeader::new(title).id_salt("control").show_unindented(ui, |ui| {
        let task = settings.task;
        let mut index = 0;
        settings.controls.retain_mut(|control| {
            let kept = ui.push_id(index, |ui| {
                let kept = name(ui, control, takes_sizes);
                sees(ui, index, control, task, commands);
                numbers(ui, control);
                kept
            });
            ui.add_space(theme::GAP);
            index += 1;
            kept.inner
        });
        add(ui, choices, takes_sizes, commands);
        if !settings.controls.is_empty() {
            ui.checkbox(&mut settings.guess_mode, "Guess mode").on_hover_text(
                "Steers what the prompt asks for only, fine detail less. Works without a prompt.",
            );
        }
    });
}

/// Its name, and whether it fits; false when it is to go.
fn name(ui: &mut Ui, control: &ControlSettings, takes_sizes: bool) -> bool {
    let choice = &control.choice;
    let mut kept = true;
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let button = egui::Button::new(theme::icon(icons::CLOSE, 15.0)).frame(false);
            let response = ui.add(button).on_hover_text("Take this ControlNet away");
            response.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, "Take this ControlNet away")
            });
            kept = !response.clicked();
            let label = RichText::new(&choice.label).color(theme::TEXT_BRIGHT);
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.add(egui::Label::new(label).truncate()).on_hover_text(&choice.about);
            });
        });
    });
    if !choice.fits(takes_sizes) {
        let text = format!("Does not fit this model: {}.", choice.about);
        let text = RichText::new(text).small().color(theme::ACCENT);
        ui.add(egui::Label::new(text).wrap());
    }
    kept
}

const MADE: &str = "Picture without the mask";
const CANVAS: &str = "The picture here";
const FILE: &str = "A picture file ...";

fn sees(
    ui: &mut Ui,
    index: usize,
    control: &mut ControlSettings,
    task: Task,
    commands: &mut CommandQueue,
) {
    let can_be_made = task == Task::Fill;
    widgets::row(ui, "Sees", |ui, label| {
        let shown = match &control.sees {
            Sees::Made if can_be_made => RichText::new(MADE),
            Sees::Made | Sees::Nothing => RichText::new("Choose a picture").color(theme::ACCENT),
            Sees::Canvas => RichText::new(CANVAS),
            Sees::File(path) => {
                RichText::new(path.file_name().unwrap_or_default().to_string_lossy())
            }
        };
        let combo = ComboBox::from_id_salt("sees").width(ui.available_width()).truncate();
        let response = combo.selected_text(shown).show_ui(ui, |ui| {
            ui.add_enabled_ui(can_be_made, |ui| {
                ui.selectable_value(&mut control.sees, Sees::Made, MADE)
                    .on_hover_text("What ControlNets for inpainting take")
                    .on_disabled_hover_text("Only where a marked part is repainted");
            });
            ui.selectable_value(&mut control.sees, Sees::Canvas, CANVAS);
            if ui.selectable_label(matches!(control.sees, Sees::File(_)), FILE).clicked() {
                commands.push(Command::ChooseControlImage(index));
            }
        });
        let tip = match &control.sees {
            Sees::File(path) => path.display().to_string(),
            _ => "The picture that steers: for inpainting the picture without what is marked, for \
                  others a drawing of edges, depth or poses, as large as the picture."
                .to_owned(),
        };
        response.response.labelled_by(label).on_hover_text(tip);
    });
}

fn numbers(ui: &mut Ui, control: &mut ControlSettings) {
    let tip = "How much it counts. 0 is not at all.";
    widgets::slider(ui, "Weight", tip, &mut control.scale, Scale::new(0.0..=2.0, 2, 0.01));
    let part = || Scale::new(0.0..=1.0, 2, 0.01);
    let tip = "The part of the steps from which it counts.";
    widgets::slider(ui, "From", tip, &mut control.start, part());
    let tip = "The part of the steps up to which it counts.";
    widgets::slider(ui, "To", tip, &mut control.end, part());
    control.end = control.end.max(0.01);
    control.start = control.start.min(control.end - 0.01);
}

fn add(ui: &mut Ui, choices: &[ControlChoice], takes_sizes: bool, commands: &mut CommandQueue) {
    let combo = ComboBox::from_id_salt("add control").width(ui.available_width());
    let response = combo.selected_text("Add a ControlNet").show_ui(ui, |ui| {
        for choice in choices {
            ui.add_enabled_ui(choice.fits(takes_sizes), |ui| {
                let picked = ui.selectable_label(false, &choice.label).on_hover_text(&choice.about);
                let why = format!("{}, not for this model", choice.about);
                if picked.on_disabled_hover_text(why).clicked() {
                    commands.push(Command::AddControl(choice.id.clone()));
                }
            });
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
    });
    response.response.on_hover_text("A network that steers the picture by another one");
}
