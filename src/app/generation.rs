//! Generate, watch, accept or discard.

use std::{path::PathBuf, sync::Arc};

use super::{App, jobs::Ending, settings::Settings};
use crate::{
    catalog::{AutoencoderPlace, Recommended},
    document::Patch,
    engine::{Outcome, Request, Stage, Task, metadata},
    geometry::Extent,
    pixels::Picture,
    render::StagedLayer,
};

/// Of a new picture's sides, in pixels, where the model has no say.
const BLANK_SIDE: u32 = 512;

impl App {
    /// Sends the present picture, mask and settings to the inference thread. A job that runs is
    /// cancelled first: the new one is what the artist wants now.
    pub(super) fn generate(&mut self, ctx: &egui::Context) {
        self.abort_stroke();
        let task = self.settings.task;
        if task == Task::Generate && self.document.is_none() {
            self.open_blank();
        }
        let Some(document) = &self.document else { return };
        let mut wanted = self.settings.request();
        let fills = |stage: &Stage| stage.task == Task::Fill;
        let needs_mask = task == Task::Fill || wanted.chain.iter().any(fills);
        if needs_mask && document.mask().bounding_box().is_none() {
            self.complain("Nothing is marked yet. Brush over what should change (B), or mark everything (Ctrl+A).");
            return;
        }
        let snapshot = document.snapshot();
        let controlnets = match self.wanted_controls(&snapshot.picture) {
            Ok(controlnets) => controlnets,
            Err(why) => return self.complain(why),
        };
        if task != Task::Fill {
            let mask = || Some(snapshot.mask.clone().into());
            wanted.chain.iter_mut().filter(|stage| fills(stage)).for_each(|s| s.mask = mask());
        }
        let request = Request {
            guess_mode: self.settings.guess_mode && !controlnets.is_empty(),
            controlnets,
            image: (task != Task::Generate).then(|| snapshot.picture.into()),
            mask: (task == Task::Fill).then(|| snapshot.mask.into()),
            canvas: (task == Task::Generate).then(|| document.extent()),
            ..wanted
        };
        self.cancel();
        match self.engine.submit(request) {
            Ok(id) => {
                self.notices.retain(|n| !n.is_error);
                self.jobs.started(id);
            }
            Err(why) => self.complain(why.to_string()),
        }
        ctx.request_repaint();
    }

    /// A white picture of the model's own size, for a new picture where none is open.
    fn open_blank(&mut self) {
        let choice = self.models.iter().find(|m| m.id == self.settings.model);
        let side = choice.map_or(BLANK_SIDE, |choice| choice.native_size);
        let mut picture = Picture::new(Extent::new(side, side));
        picture.bytes_mut().fill(255);
        self.open_picture(&picture, None);
    }

    pub(super) fn cancel(&mut self) {
        if let Some(running) = self.jobs.running() {
            self.engine.cancel(running.id);
            self.jobs.cancelling();
        }
    }

    /// Applies what the inference thread said since the last frame.
    pub(super) fn receive_engine_events(&mut self, ctx: &egui::Context) {
        if let Some(preview) = self.engine.take_preview() {
            let version = self.version();
            self.jobs.show_preview(preview, version);
        }
        for event in self.engine.events() {
            match self.smart_select.note(&event) {
                Some(Ok(selected)) => self.selected(&selected),
                Some(Err(why)) => self.complain(why),
                None => {}
            }
            match self.jobs.note(event) {
                Some(Ending::Finished(outcome)) => self.finished(ctx, &outcome),
                Some(Ending::Cancelled) => self.tell(ctx, "Cancelled"),
                Some(Ending::Failed(why)) => self.complain(why),
                None => {}
            }
        }
    }

    /// Adds the new results to those that wait and shows the first new one.
    fn finished(&mut self, ctx: &egui::Context, outcome: &Arc<Outcome>) {
        self.settings.seed = outcome.seed;
        outcome.notes.iter().for_each(|note| self.tell(ctx, note.clone()));
        let settings = metadata::settings_of(&outcome.request);
        let Some(document) = &mut self.document else { return };
        let mut patches = document.staged().map(|s| s.patches().to_vec()).unwrap_or_default();
        let first_new = patches.len();
        patches.extend(outcome.images.iter().map(|image| Patch {
            bounds: image.bounds,
            layer: image.layer.clone(),
            composite_mask: image.composite_mask.clone(),
            inlay: image.inlay.clone(),
            seed: outcome.seed,
            settings: settings.clone(),
        }));
        match document.stage(patches) {
            // The staged layer below is all that shows it.
            Ok(_) => drop(document.select_staged(first_new)),
            Err(why) => self.complain(why.to_string()),
        }
        self.show_staged();
    }

    /// Hands the selected result to the renderer.
    pub(super) fn show_staged(&mut self) {
        let version = self.version();
        let staged = self.document.as_ref().and_then(|d| d.staged());
        self.staged_layer = staged.map(|staged| {
            let patch = staged.selected();
            StagedLayer {
                bounds: patch.bounds,
                picture: patch.layer.clone(),
                coverage: patch.composite_mask.clone(),
                version,
            }
        });
    }

    pub(super) fn accept(&mut self) {
        self.finish_blending();
        if let Some(document) = &mut self.document {
            if let Some(staged) = document.staged() {
                document.metadata.settings = staged.selected().settings.clone();
            }
            // Tiles carry versions: the renderer sees by itself what changed.
            let _ = document.accept_staged();
        }
        self.show_staged();
    }

    pub(super) fn discard(&mut self) {
        if let Some(document) = &mut self.document {
            // The staged layer below is all that shows it.
            let _ = document.discard_staged();
        }
        self.show_staged();
    }

    /// Shows another of the results that wait, `by` steps on, round and round.
    pub(super) fn select_result(&mut self, by: isize) {
        if let Some(document) = &mut self.document
            && let Some(staged) = document.staged()
        {
            let count = staged.patches().len() as isize;
            let index = (staged.selected_index() as isize + by).rem_euclid(count);
            // The staged layer below is all that shows it.
            let _ = document.select_staged(index as usize);
            self.show_staged();
        }
    }

    /// Takes the settings that a LoRA for few steps wants.
    pub(super) fn use_few_steps(&mut self, wanted: Recommended) {
        let settings = &mut self.settings;
        settings.steps = wanted.steps.map_or(settings.steps, |steps| steps as f64);
        settings.guidance = wanted.guidance_scale.unwrap_or(settings.guidance);
        settings.eta = wanted.eta.unwrap_or(settings.eta);
        settings.scheduler = wanted.scheduler.map(str::to_owned);
    }

    /// Takes an autoencoder in place of the models' own; one that is not in the list joins it.
    pub(super) fn use_autoencoder(&mut self, path: PathBuf) {
        if !self.autoencoders.iter().any(|place| place.path == path) {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            self.autoencoders.push(AutoencoderPlace { name, path: path.clone() });
        }
        self.settings.vae = Some(path);
    }

    /// Takes a model of the list, or a folder that joins it.
    pub(super) fn use_model(&mut self, id: String) {
        if !self.models.iter().any(|m| m.id == id) {
            match super::models::choice_of_folder(&id) {
                Ok(choice) => self.models.push(choice),
                Err(why) => return self.complain(why),
            }
        }
        let recommended_by =
            |id: &str| self.models.iter().find(|m| m.id == id).map(|m| m.recommended);
        let before = recommended_by(&self.settings.model);
        if let Some(choice) = self.models.iter_mut().find(|m| m.id == id) {
            choice.look_again();
            let defaults = Settings::default();
            let recommended = choice.recommended;
            self.settings.steps = recommended.steps.map_or(defaults.steps, |steps| steps as f64);
            self.settings.guidance = recommended.guidance_scale.unwrap_or(defaults.guidance);
            self.settings.eta = recommended.eta.unwrap_or(defaults.eta);
            if recommended.scheduler.is_some() || before.is_some_and(|r| r.scheduler.is_some()) {
                self.settings.scheduler = recommended.scheduler.map(str::to_owned);
            }
            self.settings.embeddings.shape = choice.text;
            self.settings.prior.is_read_through = choice.has_prior;
            if !choice.tasks.contains(&self.settings.task) {
                self.settings.set_task(choice.tasks.first().copied().unwrap_or(Task::Fill));
            }
            self.settings.diffuses = choice.diffuses;
        }
        self.settings.model = id;
        // Another model's latents may mean something else.
        self.settings.vae = None;
    }
}
