//! The passes that follow the first one: a list under the task, each with a model and numbers of its
//! own, and how it gets what the one before it leaves.

use egui::{Align, CollapsingHeader, ComboBox, Label, Layout, RichText, TextEdit, Ui};

use crate::{
    app::{
        icons,
        models::ModelChoice,
        passes::{PassKind, PassSettings, ToldHandovers},
        settings::Settings,
        theme,
        widgets::{self, Scale},
    },
    engine::{Handover, Task},
};

/// What a pass can do, in the order of the list.
const KINDS: [PassKind; 3] =
    [PassKind::Over(Task::Fill), PassKind::Over(Task::Transform), PassKind::TakesOver];

/// What the arrows and the cross of a pass ask for.
enum Change {
    Remove,
    Up,
    Down,
}

pub fn show(
    ui: &mut Ui,
    settings: &mut Settings,
    models: &[ModelChoice],
    handovers: &ToldHandovers,
) {
    let title = match settings.then.len() {
        0 => "Then".to_owned(),
        1 => "Then: 1 more pass".to_owned(),
        count => format!("Then: {count} more passes"),
    };
    CollapsingHeader::new(title).id_salt("then").show_unindented(ui, |ui| {
        let told = handovers.told();
        let count = settings.then.len();
        let mut asked = None;
        let first = settings.model.clone();
        for (index, pass) in settings.then.iter_mut().enumerate() {
            let change = ui.push_id(index, |ui| {
                let change = heading(ui, index, count);
                fields(ui, pass, models, &first);
                if let Some(Ok(told)) = told {
                    told.get(index).into_iter().for_each(|handover| line(ui, pass, handover));
                }
                change
            });
            asked = change.inner.map(|change| (index, change)).or(asked);
            ui.add_space(theme::GAP);
        }
        if let Some(Err(why)) = told.filter(|_| count > 0) {
            ui.add(Label::new(RichText::new(why).small().color(theme::ERROR)).wrap());
        }
        if let Some((index, change)) = asked {
            apply(&mut settings.then, index, change);
        }
        add(ui, settings, models);
    });
}

/// "Pass 2", and what takes it away or moves it.
fn heading(ui: &mut Ui, index: usize, count: usize) -> Option<Change> {
    let number = index + 2;
    let mut change = None;
    ui.horizontal(|ui| {
        ui.label(RichText::new(format!("Pass {number}")).color(theme::TEXT_BRIGHT));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            let buttons = [
                (
                    theme::icon(icons::CLOSE, 15.0),
                    format!("Remove pass {number}"),
                    true,
                    Change::Remove,
                ),
                (
                    RichText::new("↓").size(15.0),
                    format!("Move pass {number} down"),
                    index + 1 < count,
                    Change::Down,
                ),
                (
                    RichText::new("↑").size(15.0),
                    format!("Move pass {number} up"),
                    index > 0,
                    Change::Up,
                ),
            ];
            for (glyph, name, able, asked) in buttons {
                let button = egui::Button::new(glyph).frame(false);
                let response = ui.add_enabled(able, button.min_size(egui::vec2(26.0, 22.0)));
                response.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::Role::Button, able, name.as_str())
                });
                if response.on_hover_text(name).clicked() {
                    change = Some(asked);
                }
            }
        });
    });
    change
}

fn apply(passes: &mut Vec<PassSettings>, index: usize, change: Change) {
    match change {
        Change::Remove => drop(passes.remove(index)),
        Change::Up => passes.swap(index - 1, index),
        Change::Down => passes.swap(index, index + 1),
    }
}

fn fields(ui: &mut Ui, pass: &mut PassSettings, models: &[ModelChoice], first: &str) {
    model(ui, pass, models);
    let named = pass.model.as_deref().unwrap_or(first);
    kind(ui, pass, models.iter().find(|model| model.id == named));
    let part = || Scale::new(0.05..=1.0, 2, 0.01);
    match pass.kind {
        PassKind::TakesOver => {
            let tip = "When this part of the steps is done, it goes on with them";
            widgets::slider(
                ui,
                "Takes over",
                tip,
                &mut pass.start,
                Scale::new(0.05..=0.95, 2, 0.01),
            );
        }
        PassKind::Over(_) => {
            let tip = "How far it may leave what the pass before made";
            widgets::slider(ui, "Strength", tip, &mut pass.strength, part());
            let tip = "How closely the words are followed. 1 takes half the time.";
            widgets::slider(
                ui,
                "Guidance",
                tip,
                &mut pass.guidance,
                Scale::new(1.0..=20.0, 1, 0.1),
            );
            let tip = "Steps that are laid out; the strength says how many of them run";
            let scale = Scale::new(1.0..=100.0, 0, 1.0).logarithmic();
            widgets::slider(ui, "Steps", tip, &mut pass.steps, scale);
        }
    }
    widgets::row(ui, "Prompt", |ui, label| {
        let edit = TextEdit::singleline(&mut pass.prompt).hint_text("the same");
        ui.add(edit.desired_width(f32::INFINITY)).labelled_by(label);
    });
}

fn model(ui: &mut Ui, pass: &mut PassSettings, models: &[ModelChoice]) {
    const SAME: &str = "The same";
    widgets::row(ui, "Model", |ui, label| {
        let name = |id: &str| {
            models.iter().find(|m| m.id == id).map_or(id.to_owned(), |m| m.label.clone())
        };
        let shown = pass.model.as_deref().map_or(SAME.to_owned(), name);
        let combo = ComboBox::from_id_salt("model").width(ui.available_width()).truncate();
        let response = combo.selected_text(shown).show_ui(ui, |ui| {
            ui.selectable_value(&mut pass.model, None, SAME);
            for choice in models.iter().filter(|choice| choice.diffuses) {
                let value = Some(choice.id.clone());
                let row = ui.selectable_value(&mut pass.model, value, &choice.label);
                if row.on_hover_text(&choice.about).clicked() {
                    pass.take_recommended(choice);
                }
            }
        });
        response.response.labelled_by(label).on_hover_text("The model of this pass");
    });
}

/// `model` is the one that the pass runs: what it cannot do is not offered, nor kept.
fn kind(ui: &mut Ui, pass: &mut PassSettings, model: Option<&ModelChoice>) {
    let able = |kind: PassKind| {
        let task = match kind {
            PassKind::Over(task) => task,
            PassKind::TakesOver => Task::Transform,
        };
        model.is_none_or(|model| model.tasks.contains(&task))
    };
    if !able(pass.kind) {
        pass.kind = KINDS.into_iter().find(|kind| able(*kind)).unwrap_or(pass.kind);
    }
    widgets::row(ui, "Task", |ui, label| {
        let combo = ComboBox::from_id_salt("kind").width(ui.available_width());
        let response = combo.selected_text(name(pass.kind)).show_ui(ui, |ui| {
            for kind in KINDS {
                ui.add_enabled_ui(able(kind), |ui| {
                    ui.selectable_value(&mut pass.kind, kind, name(kind))
                        .on_hover_text(about(kind))
                        .on_disabled_hover_text("This model cannot do it");
                });
            }
        });
        response.response.labelled_by(label).on_hover_text(about(pass.kind));
    });
}

fn name(kind: PassKind) -> &'static str {
    match kind {
        PassKind::Over(Task::Fill) => "Repaint the marked part",
        PassKind::Over(_) => "Change the picture",
        PassKind::TakesOver => "Finish the run",
    }
}

fn about(kind: PassKind) -> &'static str {
    match kind {
        PassKind::Over(Task::Fill) => "Repaints the marked part of what the pass before made",
        PassKind::Over(_) => "Changes what the pass before made, as far as the strength goes",
        PassKind::TakesOver => {
            "Takes the steps over before their end, as refiners do. Both models must have the same \
             autoencoder."
        }
    }
}

/// How the pass gets what the one before it leaves.
fn line(ui: &mut Ui, pass: &PassSettings, handover: &Handover) {
    let text = match handover {
        Handover::Latents => "Takes the latents as they are.".to_owned(),
        Handover::Picture(why) => format!("The picture is decoded and encoded first: {why}."),
    };
    // Half a run that is decoded loses more than the little that a finished picture does.
    let suffers = pass.kind == PassKind::TakesOver && *handover != Handover::Latents;
    let color = if suffers { theme::ACCENT } else { theme::TEXT_QUIET };
    ui.add(Label::new(RichText::new(text).small().color(color)).wrap());
}

/// Another pass, or a refiner in one click.
fn add(ui: &mut Ui, settings: &mut Settings, models: &[ModelChoice]) {
    ui.horizontal_wrapped(|ui| {
        let tip = "Runs over the result of the passes before it";
        if ui.button("Add a pass").on_hover_text(tip).clicked() {
            settings.then.push(settings.another_pass());
        }
        let takes_sizes = models.iter().any(|m| m.id == settings.model && m.takes_sizes);
        for refiner in models.iter().filter(|m| takes_sizes && m.refines) {
            let tip = "Adds it as a pass that finishes the run";
            let text = format!("Refine with {}", refiner.label);
            if ui.button(text).on_hover_text(tip).clicked() {
                let (steps, guidance) = (settings.steps, settings.guidance);
                settings.then.push(PassSettings::refiner(refiner.id.clone(), steps, guidance));
            }
        }
    });
}
