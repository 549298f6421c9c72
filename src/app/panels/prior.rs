//! What Kandinsky reads the prompt through: a prior with steps and guidance of its own.

use egui::{CollapsingHeader, RichText, Ui};

use crate::app::{
    settings::Prior,
    theme,
    widgets::{self, Scale},
};

pub fn show(ui: &mut Ui, prior: &mut Prior) {
    CollapsingHeader::new("Prior").id_salt("prior").show(ui, |ui| {
        let text = "Imagines a picture from the prompt, which this model then paints. It is looked \
                    for beside the model. There is no LoRA and no weighting of words for it.";
        ui.add(egui::Label::new(RichText::new(text).small().color(theme::TEXT_QUIET)).wrap());
        let tip = "Steps of the prior, before those of the picture";
        widgets::slider(ui, "Prior steps", tip, &mut prior.steps, Scale::new(2.0..=100.0, 0, 1.0));
        let tip = "How closely the prior follows the prompt; 1 is off";
        let scale = Scale::new(1.0..=20.0, 1, 0.1);
        widgets::slider(ui, "Prior guidance", tip, &mut prior.guidance, scale);
    });
}
