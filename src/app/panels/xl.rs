//! What only Stable Diffusion XL reads: sizes, and a refiner's settings.

use egui::{CollapsingHeader, ComboBox, DragValue, Ui};

use crate::{
    app::{
        models::ModelChoice,
        settings::{Refiner, Settings},
        widgets::{self, Scale},
    },
    geometry::Extent,
};

/// What a size starts with when it is named.
const NAMED_SIZE: Extent = Extent::new(1024, 1024);
/// The largest side and offset, in pixels.
const MAX_SIDE: u32 = 8192;

pub fn show(ui: &mut Ui, settings: &mut Settings, models: &[ModelChoice]) {
    CollapsingHeader::new("Refiner").id_salt("refiner").show(ui, |ui| {
        refiner(ui, &mut settings.refiner, models);
        let told = &mut settings.micro_conditions;
        let tip = "How good the picture should look to the refiner";
        let scale = || Scale::new(0.0..=10.0, 1, 0.1);
        widgets::slider(ui, "Looks", tip, &mut told.aesthetic_score, scale());
        let tip = "The same for what should not be there";
        widgets::slider(ui, "Not looks", tip, &mut told.negative_aesthetic_score, scale());
    });
    CollapsingHeader::new("Sizes").id_salt("sizes").show(ui, |ui| {
        let told = &mut settings.micro_conditions;
        let tip = "The size the picture had before it was made smaller: small ones look soft";
        size(ui, "Original", tip, &mut told.original_size);
        let tip = "How much was cropped off at the left and the top: more cuts things off there";
        offset(ui, "Crop", tip, &mut told.crops_coords_top_left);
        size(ui, "Target", "The size to look like", &mut told.target_size);
        let tip = "The same as the negative prompt is told it";
        size(ui, "Not original", tip, &mut told.negative_original_size);
        offset(ui, "Not crop", tip, &mut told.negative_crops_coords_top_left);
        size(ui, "Not target", tip, &mut told.negative_target_size);
    });
}

fn refiner(ui: &mut Ui, refiner: &mut Refiner, models: &[ModelChoice]) {
    widgets::row(ui, "Model", |ui, label| {
        const NONE: &str = "None";
        let name = |id: &str| {
            models.iter().find(|m| m.id == id).map_or(id.to_owned(), |m| m.label.clone())
        };
        let shown = refiner.model.as_deref().map_or(NONE.to_owned(), name);
        let combo = ComboBox::from_id_salt("refiner model")
            .width(ui.available_width())
            .selected_text(shown);
        let response = combo.show_ui(ui, |ui| {
            ui.selectable_value(&mut refiner.model, None, NONE);
            for choice in models.iter().filter(|m| m.refines) {
                ui.selectable_value(&mut refiner.model, Some(choice.id.clone()), &choice.label);
            }
        });
        response.response.labelled_by(label).on_hover_text(
            "A second model that finishes the picture. Choose its folder as a model once, and it \
             is in this list.",
        );
    });
    ui.add_enabled_ui(refiner.model.is_some(), |ui| {
        ui.checkbox(&mut refiner.afterwards, "Over the finished picture").on_hover_text(
            "Refines the finished picture instead of taking the run over before its end",
        );
        if refiner.afterwards {
            let tip = "Steps that are laid out, of which three in ten run";
            let scale = Scale::new(4.0..=100.0, 0, 1.0);
            widgets::slider(ui, "Steps", tip, &mut refiner.steps, scale);
        } else {
            let tip = "When this part of the steps is done, the refiner takes over";
            let scale = Scale::new(0.05..=0.95, 2, 0.01);
            widgets::slider(ui, "Takes over", tip, &mut refiner.start, scale);
        }
    });
}

/// A size that may be named or left to what is sampled.
fn size(ui: &mut Ui, name: &str, tip: &str, value: &mut Option<Extent>) {
    widgets::row(ui, name, |ui, label| {
        let mut named = value.is_some();
        if ui.checkbox(&mut named, "").labelled_by(label).on_hover_text(tip).changed() {
            *value = named.then_some(NAMED_SIZE);
        }
        let Some(extent) = value else {
            ui.weak("as sampled");
            return;
        };
        for side in [&mut extent.width, &mut extent.height] {
            let field = DragValue::new(side).range(1..=MAX_SIDE).suffix(" px");
            ui.add(field).labelled_by(label).on_hover_text(tip);
        }
    });
}

fn offset(ui: &mut Ui, name: &str, tip: &str, (left, top): &mut (i32, i32)) {
    widgets::row(ui, name, |ui, label| {
        for side in [left, top] {
            let field = DragValue::new(side).range(0..=MAX_SIDE as i32).suffix(" px");
            ui.add(field).labelled_by(label).on_hover_text(tip);
        }
    });
}
