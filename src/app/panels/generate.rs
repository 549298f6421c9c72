//! The panel at the right: what should be there, and the button that makes it so.

use egui::{ComboBox, RichText, Ui};

use super::{decoding, memory::Foreseen};
use crate::{
    app::{
        commands::{Command, CommandQueue},
        controls::ControlChoice,
        icons,
        jobs::Jobs,
        library::Ask,
        models::ModelChoice,
        passes::ToldHandovers,
        prompt_counts::PromptCounts,
        settings::{Overlay, SeedChoice, Settings},
        theme,
        widgets::{self, Scale},
    },
    catalog::AutoencoderPlace,
    diffusion::schedulers,
    engine::{FillMode, Task},
    pixels::blend::EdgePx,
};

/// Width of the panel, in points.
pub const WIDTH: f32 = 312.0;
/// Room for the scroll bar in the margin, in points.
const SCROLL_BAR: f32 = 10.0;

/// What the panel edits and shows.
pub struct GenerateView<'a> {
    pub settings: &'a mut Settings,
    pub overlay: &'a mut Overlay,
    pub foreseen: &'a mut Foreseen,
    pub models: &'a [ModelChoice],
    pub controlnets: &'a [ControlChoice],
    pub autoencoders: &'a [AutoencoderPlace],
    pub jobs: &'a Jobs,
    pub prompt_counts: &'a PromptCounts,
    pub handovers: &'a ToldHandovers,
    pub has_document: bool,
    pub has_staged: bool,
    /// The automatic widths for what is marked, or for the result that is shown.
    pub automatic_edge: Option<EdgePx>,
}

pub fn show(ui: &mut Ui, view: &mut GenerateView<'_>, commands: &mut CommandQueue) {
    egui::Panel::bottom("run").frame(egui::Frame::new()).show_separator_line(false).show(
        ui,
        |ui| {
            run(ui, view, commands);
        },
    );
    // The bar stands in the margin, not over the fields.
    let mut bar = ui.available_rect_before_wrap();
    bar.max.x += SCROLL_BAR;
    egui::ScrollArea::vertical().auto_shrink(false).scroll_bar_rect(bar).show(ui, |ui| {
        ui.set_max_width(WIDTH - 2.0 * f32::from(theme::PANEL_MARGIN));
        model(ui, view, commands);
        let current = view.models.iter().find(|m| m.id == view.settings.model);
        super::task::show(ui, view.settings, current);
        let takes_sizes = current.is_some_and(|m| m.takes_sizes);
        let diffuses = current.is_none_or(|m| m.diffuses);
        ui.add_enabled_ui(diffuses, |ui| {
            super::passes::show(ui, view.settings, view.models, view.handovers);
            super::prompts::fields(ui, view.settings, view.prompt_counts);
            ui.add_space(theme::GAP);
            numbers(ui, view.settings);
        });
        ui.add_space(theme::GAP);
        super::mask::show(ui, view.settings, view.overlay, commands);
        ui.add_space(theme::GAP);
        super::blend::show(ui, &mut view.settings.blend, view.automatic_edge);
        ui.add_space(theme::GAP);
        ui.label(theme::heading("Advanced"));
        let own_heeds_eta = current.is_some_and(|m| m.recommended.eta.is_some());
        ui.add_enabled_ui(diffuses, |ui| scheduler(ui, view.settings, own_heeds_eta));
        ui.add_enabled_ui(diffuses, |ui| fill_mode(ui, view.settings));
        let lacks_sharper = current.and_then(|m| m.lacks_sharper.as_deref());
        decoding::preview(ui, view.settings, lacks_sharper);
        ui.add_enabled_ui(diffuses, |ui| {
            decoding::autoencoder(ui, view.settings, view.autoencoders, commands);
        });
        if view.settings.prior.is_read_through {
            super::prior::show(ui, &mut view.settings.prior);
            super::memory::show(ui, view.settings, view.foreseen, &view.jobs.loaded);
            return;
        }
        ui.add_enabled_ui(diffuses, |ui| {
            super::prompts::options(ui, view.settings, commands);
            super::lora::show(ui, &mut view.settings.loras, commands);
            super::control::show(ui, view.settings, view.controlnets, takes_sizes, commands);
        });
        if takes_sizes {
            super::xl::show(ui, &mut view.settings.micro_conditions);
        }
        if diffuses {
            super::memory::show(ui, view.settings, view.foreseen, &view.jobs.loaded);
        }
    });
}

fn model(ui: &mut Ui, view: &mut GenerateView<'_>, commands: &mut CommandQueue) {
    let settings = &mut *view.settings;
    widgets::row(ui, "Model", |ui, label| {
        let current = view.models.iter().find(|m| m.id == settings.model);
        let shown = current.map_or(settings.model.as_str(), |m| m.label.as_str());
        let combo =
            ComboBox::from_id_salt("model").width(ui.available_width()).selected_text(shown);
        let response = combo.show_ui(ui, |ui| {
            for choice in view.models {
                let picked = ui.selectable_label(settings.model == choice.id, &choice.label);
                if picked.on_hover_text(&choice.about).clicked() {
                    commands.push(Command::UseModel(choice.id.clone()));
                }
            }
            ui.separator();
            if ui.selectable_label(false, "Model folder ...").clicked() {
                commands.push(Command::ChooseModelFolder);
            }
            if ui.selectable_label(false, "Model file ...").clicked() {
                commands.push(Command::ChooseModelFile);
            }
            if ui.selectable_label(false, "More models ...").clicked() {
                commands.push(Command::Library(Ask::Toggle));
            }
        });
        let response = response.response.labelled_by(label);
        if let Some(choice) = current {
            response.on_hover_text(&choice.about);
        }
    });
    if let Some(choice) = view.models.iter().find(|m| m.id == view.settings.model) {
        let about = RichText::new(&choice.about).small().color(theme::TEXT_QUIET);
        ui.add(egui::Label::new(about).wrap());
    }
    offer_prompting_model(ui, view, commands);
}

/// A fill that reads no prompt leaves the prompt greyed out; this says how to get one.
fn offer_prompting_model(ui: &mut Ui, view: &GenerateView<'_>, commands: &mut CommandQueue) {
    let current = view.models.iter().find(|m| m.id == view.settings.model);
    if current.is_none_or(|m| m.diffuses) {
        return;
    }
    if let Some(other) = view.models.iter().find(|m| m.diffuses) {
        let offer = format!("Use {} to write a prompt", other.label);
        if ui.link(RichText::new(offer).small()).on_hover_text(&other.about).clicked() {
            commands.push(Command::UseModel(other.id.clone()));
        }
    }
}

fn numbers(ui: &mut Ui, settings: &mut Settings) {
    widgets::slider(
        ui,
        "Strength",
        "How far the marked part may leave the picture that is there. 1 starts from pure noise.",
        &mut settings.strength,
        Scale::new(0.05..=1.0, 2, 0.01),
    );
    widgets::slider(
        ui,
        "Guidance",
        "How closely the words are followed. 1 ignores the negative prompt and takes half the time.",
        &mut settings.guidance,
        Scale::new(1.0..=20.0, 1, 0.1),
    );
    widgets::slider(
        ui,
        "Steps",
        "More steps take longer and add detail, up to a point.",
        &mut settings.steps,
        Scale::new(1.0..=100.0, 0, 1.0).logarithmic(),
    );
    widgets::row(ui, "Seed", |ui, label| seed(ui, settings, label));
}

fn seed(ui: &mut Ui, settings: &mut Settings, label: egui::Id) {
    let width = ui.available_width() - 34.0 - ui.spacing().item_spacing.x;
    let field = egui::DragValue::new(&mut settings.seed).speed(1.0);
    let response = ui.add_sized([width, ui.spacing().interact_size.y], field).labelled_by(label);
    if response.changed() {
        settings.seed_choice = SeedChoice::Fixed;
    }
    response.on_hover_text("The same seed and settings give the same picture again.");
    let random = settings.seed_choice == SeedChoice::Random;
    let glyph = if random { icons::DICE } else { icons::LOCK };
    let name = if random { "Random seed" } else { "Fixed seed" };
    let button = egui::Button::new(theme::icon(glyph, 18.0).color(theme::TEXT))
        .min_size(egui::vec2(34.0, 26.0))
        .frame(false);
    let response = ui.add(button);
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::Role::CheckBox, true, random, "Random seed")
    });
    let tip = if random {
        "A new seed for every run; this was the last"
    } else {
        "Every run uses this seed"
    };
    if response.on_hover_text(format!("{name}\n{tip}")).clicked() {
        settings.seed_choice = if random { SeedChoice::Fixed } else { SeedChoice::Random };
    }
}

/// `own_heeds_eta`: whether the model's own scheduler does.
fn scheduler(ui: &mut Ui, settings: &mut Settings, own_heeds_eta: bool) {
    const OWN: &str = "The model's own";
    widgets::row(ui, "Scheduler", |ui, label| {
        let current = settings.scheduler.clone();
        let name = |id: &str| {
            schedulers::ALL.iter().find(|s| s.id == id).map_or(id.to_owned(), |s| s.label.into())
        };
        let shown = current.as_deref().map_or(OWN.to_owned(), name);
        let combo =
            ComboBox::from_id_salt("scheduler").width(ui.available_width()).selected_text(shown);
        combo
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut settings.scheduler, None, OWN);
                for info in schedulers::ALL {
                    ui.selectable_value(
                        &mut settings.scheduler,
                        Some(info.id.to_owned()),
                        info.label,
                    )
                    .on_hover_text(info.about);
                }
            })
            .response
            .labelled_by(label)
            .on_hover_text("How the noise is taken away, step by step.");
    });
    let heeds_eta = match settings.scheduler.as_deref() {
        None => own_heeds_eta,
        Some(name) => schedulers::find(name).is_some_and(|info| info.heeds_eta()),
    };
    if heeds_eta {
        widgets::slider(
            ui,
            "Eta",
            "Noise that each step adds: 0 leads straight to one picture, 1 keeps it lively.",
            &mut settings.eta,
            Scale::new(0.0..=1.0, 2, 0.05),
        );
    }
}

fn fill_mode(ui: &mut Ui, settings: &mut Settings) {
    widgets::row(ui, "Start from", |ui, label| {
        let text = |mode| match mode {
            FillMode::Original => "The picture",
            FillMode::ContentAware => "Content-aware fill",
        };
        let combo = ComboBox::from_id_salt("fill mode")
            .width(ui.available_width())
            .selected_text(text(settings.fill_mode));
        combo
            .show_ui(ui, |ui| {
                for mode in [FillMode::Original, FillMode::ContentAware] {
                    ui.selectable_value(&mut settings.fill_mode, mode, text(mode));
                }
            })
            .response
            .labelled_by(label)
            .on_hover_text(
                "What the marked part holds before the first step. It shows through below strength 1: \
                 content-aware fill with strength 0.5 to 0.75 removes things well.",
            );
    });
}

/// The bar, its words, and Generate or Cancel.
fn run(ui: &mut Ui, view: &GenerateView<'_>, commands: &mut CommandQueue) {
    ui.add_space(theme::GAP);
    let size = egui::vec2(ui.available_width(), 38.0);
    if let Some(running) = view.jobs.running() {
        let (text, fraction) = running.words();
        ui.label(RichText::new(text).color(theme::TEXT));
        widgets::bar(ui, fraction, "Progress");
        ui.add_space(2.0);
        let cancel = egui::Button::new(RichText::new("Cancel").color(theme::TEXT_BRIGHT));
        if ui.add_sized(size, cancel).on_hover_text("Stops within one step (Esc)").clicked() {
            commands.push(Command::Cancel);
        }
        return;
    }
    let task = view.settings.task;
    ui.add_enabled_ui(view.has_document || task == Task::Generate, |ui| {
        let text = if view.has_staged { "Generate again" } else { "Generate" };
        let glyph = if view.has_staged { icons::AGAIN } else { icons::SPARKLE };
        let button = widgets::primary_button(ui, glyph, text, size);
        let tip = format!("{}  (Ctrl+Enter)", super::task::about(task));
        if button.on_hover_text(tip).clicked() {
            commands.push(Command::Generate);
        }
    });
}
