//! What Generate does: repaint a part, change everything, or make something new.

use egui::{ComboBox, Ui};

use crate::{
    app::{models::ModelChoice, settings::Settings, widgets},
    engine::Task,
};

/// The tasks in the order of the list.
const TASKS: [Task; 3] = [Task::Fill, Task::Transform, Task::Generate];

/// `model` is the one that is chosen: it may be made for one task only.
pub fn show(ui: &mut Ui, settings: &mut Settings, model: Option<&ModelChoice>) {
    widgets::row(ui, "Task", |ui, label| {
        let combo = ComboBox::from_id_salt("task")
            .width(ui.available_width())
            .selected_text(name(settings.task));
        let response = combo.show_ui(ui, |ui| {
            for task in TASKS {
                let able = model.is_none_or(|model| model.tasks.contains(&task));
                ui.add_enabled_ui(able, |ui| {
                    let row = ui.selectable_label(settings.task == task, name(task));
                    let row = row.on_hover_text(about(task));
                    if row.on_disabled_hover_text("This model cannot do it").clicked() {
                        settings.set_task(task);
                    }
                });
            }
        });
        response.response.labelled_by(label).on_hover_text(about(settings.task));
    });
}

fn name(task: Task) -> &'static str {
    match task {
        Task::Fill => "Repaint the marked part",
        Task::Transform => "Change the whole picture",
        Task::Generate => "Make a new picture",
    }
}

/// What it does, in a sentence.
pub fn about(task: Task) -> &'static str {
    match task {
        Task::Fill => "Repaints the marked part",
        Task::Transform => "Changes the whole picture, as far as the strength goes",
        Task::Generate => "Makes a new picture of the present one's size",
    }
}
