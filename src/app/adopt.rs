//! The panel set to what a request says: one from a saved picture, or from the journal.

use std::path::{Path, PathBuf};

use super::{
    App, controls::ControlSettings, loras::LoraChoice, passes::PassSettings, settings::SeedChoice,
};
use crate::engine::{ControlNet, LoraUse, Request};

impl App {
    /// Sets the panel to `request`. Returns what of it is not on this machine, a phrase each; that
    /// part of the panel then stays as it is.
    pub(super) fn adopt(&mut self, request: &Request) -> Vec<String> {
        let mut missing = Vec::new();
        match self.known_model(&request.model) {
            Some(model) => self.use_model(model),
            None => missing.push(format!("the model {}", request.model)),
        }
        self.adopt_prompts(request);
        self.adopt_numbers(request);
        self.adopt_chain(request, &mut missing);
        self.adopt_loras(&request.lora, &mut missing);
        self.settings.controls.clear();
        for control in &request.controlnets {
            match self.known_control(control) {
                Some(settings) => self.settings.controls.push(settings),
                None => missing.push(format!("the ControlNet {}", control.model)),
            }
        }
        match request.vae.as_ref().map(PathBuf::from) {
            Some(path) if path.exists() => self.use_autoencoder(path),
            Some(path) => missing.push(format!("the autoencoder {}", path.display())),
            None => self.settings.vae = None,
        }
        missing
    }

    fn adopt_prompts(&mut self, request: &Request) {
        let settings = &mut self.settings;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        settings.prompt = request.prompt.clone();
        settings.negative_prompt = text(&request.negative_prompt);
        settings.prompt_2 = text(&request.prompt_2);
        settings.negative_prompt_2 = text(&request.negative_prompt_2);
        settings.prompt_syntax = request.syntax();
        settings.long_prompts = request.long_prompts;
        settings.clip_skip = request.clip_skip.unwrap_or(0) as f64;
        settings.micro_conditions = request.micro_conditions;
        settings.prior.steps = request.prior.num_inference_steps as f64;
        settings.prior.guidance = request.prior.guidance_scale;
    }

    fn adopt_numbers(&mut self, request: &Request) {
        let settings = &mut self.settings;
        settings.set_task(request.task);
        settings.strength = request.strength().clamp(0.0, 1.0);
        settings.guidance = request.guidance_scale;
        settings.steps = request.num_inference_steps as f64;
        settings.scheduler.clone_from(&request.scheduler);
        settings.eta = request.eta;
        settings.mask_blur = f64::from(request.mask_blur);
        settings.blend = request.blend.into();
        settings.fill_mode = request.fill_mode;
        settings.guess_mode = request.guess_mode;
        match request.seed {
            Some(seed) => (settings.seed_choice, settings.seed) = (SeedChoice::Fixed, seed),
            None => settings.seed_choice = SeedChoice::Random,
        }
    }

    fn adopt_chain(&mut self, request: &Request, missing: &mut Vec<String>) {
        self.settings.then.clear();
        for stage in &request.chain {
            let own = Some(&stage.model).filter(|m| !m.is_empty() && **m != request.model);
            let known = own.map(|model| self.known_model(model));
            match known {
                Some(None) => missing.push(format!("the model {} of a further pass", stage.model)),
                Some(model) => self.settings.then.push(PassSettings::of(stage, request, model)),
                None => self.settings.then.push(PassSettings::of(stage, request, None)),
            }
        }
    }

    /// On are exactly those that were used. A shared picture names files without their folders.
    fn adopt_loras(&mut self, used: &[LoraUse], missing: &mut Vec<String>) {
        self.settings.loras.iter_mut().for_each(|choice| choice.on = false);
        for lora in used {
            let is_it = |choice: &LoraChoice| {
                let names = [lora.path.file_name(), lora.path.file_stem()];
                let own = [choice.path.file_name(), choice.path.file_stem()];
                choice.path == lora.path || names.iter().any(|name| own.contains(name))
            };
            let known = self.settings.loras.iter().find(|choice| is_it(choice));
            let path = known.map(|choice| choice.path.clone());
            match path.or_else(|| Some(lora.path.clone()).filter(|path| path.is_file())) {
                Some(path) => {
                    self.use_lora(path.clone());
                    let chosen = self.settings.loras.iter_mut().find(|choice| choice.path == path);
                    chosen.into_iter().for_each(|choice| choice.scale = lora.scale);
                }
                None => missing.push(format!("the LoRA {}", lora.path.display())),
            }
        }
    }

    /// By id, by the name of the file or folder, or by what the panel calls it.
    fn known_model(&self, named: &str) -> Option<String> {
        let stem = |text: &str| {
            Path::new(text).file_stem().unwrap_or_default().to_string_lossy().to_lowercase()
        };
        let known = || self.models.iter().map(|choice| (choice.id.as_str(), choice.label.as_str()));
        let exact = known().find(|(id, _)| *id == named);
        let alike = || {
            known().find(|(id, label)| {
                stem(id) == stem(named) || label.to_lowercase() == named.to_lowercase()
            })
        };
        let found = exact.or_else(alike).map(|(id, _)| id.to_owned());
        found.or_else(|| Path::new(named).exists().then(|| named.to_owned()))
    }

    fn known_control(&self, control: &ControlNet) -> Option<ControlSettings> {
        let choice = self.controlnets.iter().find(|choice| choice.id == control.model)?;
        Some(ControlSettings::kept(choice.clone(), control))
    }
}
