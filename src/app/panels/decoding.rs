//! How latents become pictures: the previews, and the autoencoder of the result.

use std::path::Path;

use egui::{ComboBox, Label, RichText, Ui};

use crate::{
    app::{
        commands::{Command, CommandQueue},
        settings::Settings,
        theme, widgets,
    },
    catalog::AutoencoderPlace,
    engine::PreviewMethod,
};

/// `lacks_sharper` says why the chosen model's previews cannot be sharper, where they cannot.
pub fn preview(ui: &mut Ui, settings: &mut Settings, lacks_sharper: Option<&str>) {
    widgets::row(ui, "Preview", |ui, label| {
        let text = |method| match method {
            PreviewMethod::Off => "Off",
            PreviewMethod::Linear => "Fast",
            PreviewMethod::Tiny => "Sharper",
            PreviewMethod::Full => "Exact (slow)",
        };
        let combo = ComboBox::from_id_salt("preview")
            .width(ui.available_width())
            .selected_text(text(settings.preview));
        combo
            .show_ui(ui, |ui| {
                use PreviewMethod::{Full, Linear, Off, Tiny};
                for method in [Off, Linear, Tiny, Full] {
                    ui.selectable_value(&mut settings.preview, method, text(method));
                }
            })
            .response
            .labelled_by(label)
            .on_hover_text(
                "How the picture is shown while it forms. Sharper takes a tiny autoencoder (TAESD) from the \
                 models folder or the hub's cache. Exact decodes the picture at every step.",
            );
    });
    if let Some(why) = lacks_sharper.filter(|_| settings.preview == PreviewMethod::Tiny) {
        let text = format!("Shown as with Fast: {why}.");
        ui.add(Label::new(RichText::new(text).small().color(theme::ACCENT)).wrap());
    }
}

/// The model's own, one that was found, or one that lies elsewhere.
pub fn autoencoder(
    ui: &mut Ui,
    settings: &mut Settings,
    found: &[AutoencoderPlace],
    commands: &mut CommandQueue,
) {
    const OWN: &str = "The model's own";
    widgets::row(ui, "Decoder", |ui, label| {
        let shown = settings.vae.as_deref().map_or(OWN.to_owned(), |path| name(path, found));
        let combo =
            ComboBox::from_id_salt("autoencoder").width(ui.available_width()).selected_text(shown);
        combo
            .show_ui(ui, |ui| {
                ui.selectable_value(&mut settings.vae, None, OWN);
                for place in found {
                    let tip = place.path.display().to_string();
                    ui.selectable_value(&mut settings.vae, Some(place.path.clone()), &place.name)
                        .on_hover_text(tip);
                }
                ui.separator();
                for (text, command) in [
                    ("Autoencoder's folder ...", Command::ChooseAutoencoderFolder),
                    ("Autoencoder's file ...", Command::ChooseAutoencoderFile),
                ] {
                    if ui.selectable_label(false, text).clicked() {
                        commands.push(command);
                    }
                }
            })
            .response
            .labelled_by(label)
            .on_hover_text(
                "Another autoencoder (VAE) for the same kind of model: softer or sharper colours and \
                 faces, or a tiny one (TAESD), which takes a fraction of the time.",
            );
    });
}

fn name(path: &Path, found: &[AutoencoderPlace]) -> String {
    match found.iter().find(|place| place.path == path) {
        Some(place) => place.name.clone(),
        None => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
    }
}
