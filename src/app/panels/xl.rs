//! What only Stable Diffusion XL reads: sizes, and how good its refiner shall find the picture.

use egui::{CollapsingHeader, DragValue, Ui};

use crate::{
    app::widgets::{self, Scale},
    engine::MicroConditions,
    geometry::Extent,
};

/// What a size starts with when it is named.
const NAMED_SIZE: Extent = Extent::new(1024, 1024);
/// The largest side and offset, in pixels.
const MAX_SIDE: u32 = 8192;

pub fn show(ui: &mut Ui, told: &mut MicroConditions) {
    CollapsingHeader::new("Sizes and looks").id_salt("sizes").show(ui, |ui| {
        let tip = "The size the picture had before it was made smaller: small ones look soft";
        size(ui, "Original", tip, &mut told.original_size);
        let tip = "How much was cropped off at the left and the top: more cuts things off there";
        offset(ui, "Crop", tip, &mut told.crops_coords_top_left);
        size(ui, "Target", "The size to look like", &mut told.target_size);
        let tip = "The same as the negative prompt is told it";
        size(ui, "Not original", tip, &mut told.negative_original_size);
        offset(ui, "Not crop", tip, &mut told.negative_crops_coords_top_left);
        size(ui, "Not target", tip, &mut told.negative_target_size);
        let tip = "How good the picture should look to a refiner";
        let scale = || Scale::new(0.0..=10.0, 1, 0.1);
        widgets::slider(ui, "Looks", tip, &mut told.aesthetic_score, scale());
        let tip = "The same for what should not be there";
        widgets::slider(ui, "Not looks", tip, &mut told.negative_aesthetic_score, scale());
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
