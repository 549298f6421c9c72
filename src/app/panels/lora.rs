//! The LoRAs' group in the panel at the right: a switch and a scale for each.

use egui::{CollapsingHeader, RichText, Ui};

use crate::{
    app::{
        commands::{Command, CommandQueue},
        loras::LoraChoice,
        theme,
        widgets::{self, Scale},
    },
    catalog::recommended_by_name,
};

pub fn show(ui: &mut Ui, loras: &mut [LoraChoice], commands: &mut CommandQueue) {
    let on = loras.iter().filter(|lora| lora.on).count();
    let title = if on == 0 { "LoRA".to_owned() } else { format!("LoRA: {on} on") };
    CollapsingHeader::new(title).id_salt("loras").show(ui, |ui| {
        for lora in loras.iter_mut() {
            row(ui, lora, commands);
        }
        if loras.is_empty() {
            let text = "None found. They are .safetensors files that teach a model a style or a \
                        thing.";
            ui.add(egui::Label::new(RichText::new(text).small().color(theme::TEXT_QUIET)).wrap());
        }
        ui.horizontal(|ui| {
            let add = ui.link("Add a folder ...");
            if add.on_hover_text("LoRAs in it and below it are listed here").clicked() {
                commands.push(Command::ChooseLoraFolder);
            }
            if ui.link("Look again").on_hover_text("After files came or went").clicked() {
                commands.push(Command::FindLoras);
            }
        });
    });
}

/// A switch with the name, and the scale while it is on.
fn row(ui: &mut Ui, lora: &mut LoraChoice, commands: &mut CommandQueue) {
    let tip = lora.path.display().to_string();
    ui.checkbox(&mut lora.on, &lora.name).on_hover_text(tip);
    if lora.on {
        ui.push_id(&lora.path, |ui| {
            widgets::slider(
                ui,
                "Scale",
                "How strongly it acts: 1 as it was trained, 0 not at all, below 0 the other way.",
                &mut lora.scale,
                Scale::new(-1.0..=2.0, 2, 0.05),
            );
            if let Some(wanted) = recommended_by_name(&lora.name) {
                let steps = wanted.steps.unwrap_or(4);
                let offer = ui.link(RichText::new(format!("Set it up for {steps} steps")).small());
                let tip =
                    "By its name it was made for few steps: sets steps, guidance and scheduler";
                if offer.on_hover_text(tip).clicked() {
                    commands.push(Command::UseFewSteps(wanted));
                }
            }
        });
    }
}
