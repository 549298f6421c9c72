//! Pictures in and out: dialogs, drops, the clipboard, saving.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    App,
    background::{Done, Purpose},
    commands::{Command, Tool},
    guard::Intent,
};
use crate::{
    catalog::{Kind, SingleFile},
    document::Document,
    geometry::Extent,
    pixels::{Mask, Picture, codec},
};

impl App {
    /// Opens the platform's dialog.
    pub(super) fn ask_for(&mut self, purpose: Purpose) {
        if purpose == Purpose::Save && self.document.is_none() {
            return;
        }
        let start = self.document.as_ref().and_then(|d| d.metadata.path.clone());
        self.background.ask_for_file(purpose, start.as_deref());
    }

    /// Applies what background threads have answered.
    pub(super) fn receive_background(&mut self, ctx: &egui::Context) {
        for done in self.background.drain() {
            match done {
                Done::Chosen(purpose, path) => self.commands.push(purpose.command(path)),
                Done::Restored(restored) => self.restored(ctx, restored),
                Done::PromptReader { key, reader } => self.prompt_counts.opened(&key, reader),
                Done::Reblended(patch) => self.reblended(*patch),
                Done::Handovers { asked, told } => self.handovers.answered(&asked, told),
                Done::Embeddings(found) => self.settings.embeddings.take(found),
                Done::Shelf(shelf) => self.show_shelf(*shelf),
                Done::Searched(words, found) => self.show_found(words, found),
                Done::Verified(name, verified) => self.show_verified(name, verified),
                Done::Deleted(result) => {
                    result.unwrap_or_else(|why| self.complain(why));
                    self.look_at_shelf();
                }
                Done::Dismissed(Purpose::Save) => self.guard.stay(),
                Done::Dismissed(_) => {}
                Done::NoDialog(purpose) => {
                    self.guard.ask_for_path(purpose, self.suggested_path(purpose))
                }
                Done::Read { path, picture: Ok(picture), mask } => {
                    self.open_picture(&picture, Some(path));
                    self.open_mask(mask);
                }
                Done::Read { picture: Err(why), .. } => self.complain(why),
                Done::Written { path, result: Ok(()), revision } => {
                    self.saved(ctx, &path, revision)
                }
                Done::Written { result: Err(why), .. } => {
                    self.guard.stay();
                    self.complain(why);
                }
            }
        }
    }

    /// A picture in place of the present one.
    pub(super) fn open_picture(&mut self, picture: &Picture, path: Option<PathBuf>) {
        match Document::new(picture) {
            Ok(mut document) => {
                document.metadata.path = path;
                self.open_document(document);
            }
            Err(why) => self.complain(why.to_string()),
        }
    }

    /// A document in place of the present one.
    pub(super) fn open_document(&mut self, document: Document) {
        self.abort_stroke();
        self.cancel();
        self.begin_journal();
        self.document = Some(document);
        self.saved_to = None;
        self.show_staged();
        self.canvas.fit();
        if self.tool == Tool::Select {
            self.prepare_smart_select();
        }
    }

    /// The mask that was named beside the picture.
    fn open_mask(&mut self, mask: Option<Result<Mask, String>>) {
        let (Some(mask), Some(document)) = (mask, &mut self.document) else { return };
        let set = mask.and_then(|m| document.set_mask("Open mask", &m).map_err(|e| e.to_string()));
        match set {
            Ok(_) => document.mark_saved(),
            Err(why) => self.complain(why),
        }
    }

    pub(super) fn open_sample(&mut self) {
        match codec::decode_picture(SAMPLE, "the sample picture") {
            Ok(picture) => self.open_picture(&picture, Some(PathBuf::from("reef.jpg"))),
            Err(why) => self.complain(why.to_string()),
        }
    }

    /// Files that were dropped on the window and pictures that were pasted.
    pub(super) fn receive_drops_and_pastes(&mut self, ctx: &egui::Context) {
        let (dropped, events) = ctx.input(|i| (i.raw.dropped_files.clone(), i.events.clone()));
        for file in dropped {
            self.drop_file(file.path());
        }
        for event in events {
            match event {
                egui::Event::PasteImage(image) => {
                    self.intend(ctx, Intent::Paste(Arc::new(picture_from_egui(&image))));
                }
                egui::Event::Copy if !ctx.text_edit_focused() => {
                    self.commands.push(Command::CopyPicture);
                }
                egui::Event::Paste(text) if !ctx.text_edit_focused() => self.paste_path(&text),
                _ => {}
            }
        }
    }

    /// A dropped folder is a model, a file of weights what its header says, any other a picture.
    fn drop_file(&mut self, path: &Path) {
        self.commands.push(if path.is_dir() {
            Command::UseModel(path.to_string_lossy().into_owned())
        } else if path.extension().is_some_and(|extension| extension == "safetensors") {
            match SingleFile::open(path).map(|file| file.kind()) {
                Ok(Kind::Lora(_)) => Command::UseLora(path.to_owned()),
                Ok(Kind::Embedding(_)) => Command::UseEmbedding(path.to_owned()),
                Ok(Kind::Autoencoder | Kind::TinyAutoencoder) => {
                    Command::UseAutoencoder(path.to_owned())
                }
                Ok(Kind::ControlNet(_)) => Command::AddControl(path.to_string_lossy().into_owned()),
                _ => Command::UseModel(path.to_string_lossy().into_owned()),
            }
        } else {
            Command::OpenPath(path.to_owned())
        });
    }

    /// File managers copy files as paths.
    fn paste_path(&mut self, text: &str) {
        let path = PathBuf::from(text.trim().trim_start_matches("file://"));
        if path.is_absolute() && path.exists() {
            self.drop_file(&path);
        }
    }

    /// What is seen: the picture with the result that waits, if one does.
    pub(super) fn copy_picture(&mut self, ctx: &egui::Context) {
        let Some(document) = &self.document else { return };
        let picture = document.picture_with_staged();
        let size = [picture.extent().width as usize, picture.extent().height as usize];
        ctx.copy_image(egui::ColorImage::from_rgba_unmultiplied(size, picture.bytes()));
        self.tell(ctx, "Copied the picture");
    }

    /// Writes to the file it was saved to before, or asks.
    pub(super) fn save(&mut self) {
        match self.saved_to.clone() {
            Some(path) => self.save_to(path),
            None => self.ask_for(Purpose::Save),
        }
    }

    pub(super) fn save_to(&mut self, path: PathBuf) {
        let path = if path.extension().is_none() { path.with_extension("png") } else { path };
        let Some(document) = &self.document else { return };
        let text = crate::engine::metadata::text_of_settings(&document.metadata.settings);
        self.background.write_picture(document.snapshot(), path, text, document.revision());
    }

    fn saved(&mut self, ctx: &egui::Context, path: &Path, revision: u64) {
        if let Some(document) = &mut self.document {
            if document.revision() == revision {
                document.mark_saved();
            }
            document.metadata.path = Some(path.to_owned());
        }
        self.saved_to = Some(path.to_owned());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let waits = self.document.as_ref().is_some_and(|d| d.staged().is_some());
        let rest = if waits { ". The result that waits is not in it: accept it first" } else { "" };
        self.tell(ctx, format!("Saved {name}{rest}"));
        self.go_on_after_saving(ctx);
    }

    fn suggested_path(&self, purpose: Purpose) -> PathBuf {
        let open = self.document.as_ref().and_then(|d| d.metadata.path.clone());
        match (purpose, open) {
            (Purpose::Save, Some(path)) => path.with_file_name(format!(
                "{}-overpaint.png",
                path.file_stem().unwrap_or_default().to_string_lossy()
            )),
            (Purpose::Save, None) => PathBuf::from("picture.png"),
            (_, Some(path)) => path,
            (_, None) => PathBuf::new(),
        }
    }
}

/// The picture that a fresh window shows.
const SAMPLE: &[u8] = include_bytes!("../../assets/sample/reef.jpg");

fn picture_from_egui(image: &egui::ColorImage) -> Picture {
    let extent = Extent::new(image.size[0] as u32, image.size[1] as u32);
    let bytes = image.pixels.iter().flat_map(|c| c.to_srgba_unmultiplied()).collect();
    Picture::from_raw(extent, bytes).unwrap_or_default()
}
