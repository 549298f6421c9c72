//! How results are blended into the picture. All of it acts on a result that waits, at once.

use egui::{ComboBox, Ui};

use crate::{
    app::{
        settings::BlendSettings,
        theme,
        widgets::{self, Scale},
    },
    pixels::blend::{EdgePx, Seam},
};

/// `automatic` are the widths that the automatic edge has now.
pub fn show(ui: &mut Ui, blend: &mut BlendSettings, automatic: Option<EdgePx>) {
    ui.label(theme::heading("Blend"));
    edge(ui, blend, automatic);
    ui.checkbox(&mut blend.color_match, "Match colours").on_hover_text(
        "Brings the colours of the result to those of the picture, by what both show outside the \
         mask. Off: the model's own colours.",
    );
    seam(ui, &mut blend.seam);
    widgets::slider(
        ui,
        "Opacity",
        "How much of the result is laid over the picture.",
        &mut blend.opacity,
        Scale::new(0.0..=1.0, 2, 0.01),
    );
}

fn edge(ui: &mut Ui, blend: &mut BlendSettings, automatic: Option<EdgePx>) {
    ui.checkbox(&mut blend.automatic, "Automatic edge").on_hover_text(
        "The three widths follow the size of the mask and the strength. Moving one takes over.",
    );
    if let Some(widths) = automatic.filter(|_| blend.automatic) {
        (blend.grow, blend.feather) = (f64::from(widths.grow), f64::from(widths.feather));
        blend.fade = f64::from(widths.fade);
    }
    let rows = [
        (
            "Grow",
            "How far the sampled part reaches beyond what is painted, in picture pixels.",
            &mut blend.grow,
        ),
        ("Feather", "How softly the sampled part ends, in picture pixels.", &mut blend.feather),
        (
            "Fade",
            "The width of the band in which the result fades into the picture, at the outer end of \
             the sampled part, in picture pixels.",
            &mut blend.fade,
        ),
    ];
    for (name, tip, value) in rows {
        let scale = Scale::new(0.0..=128.0, 0, 1.0).suffix(" px");
        if widgets::slider(ui, name, tip, value, scale).changed() {
            blend.automatic = false;
        }
    }
}

fn seam(ui: &mut Ui, seam: &mut Seam) {
    let name = |seam| match seam {
        Seam::Feather => "Soft edge alone",
        Seam::Match => "Match the shade",
    };
    widgets::row(ui, "Seam", |ui, label| {
        let combo =
            ComboBox::from_id_salt("seam").width(ui.available_width()).selected_text(name(*seam));
        let response = combo.show_ui(ui, |ui| {
            for choice in [Seam::Match, Seam::Feather] {
                ui.selectable_value(seam, choice, name(choice));
            }
        });
        response.response.labelled_by(label).on_hover_text(
            "What is done about a difference in shade at the edge. Matching moves the shade of the \
             result smoothly until it meets the picture.",
        );
    });
}
