//! The LoRAs that the panel offers, and what is set for each.

use std::path::{Path, PathBuf};

use super::App;
use crate::{
    catalog::{LORAS, ShelfFile},
    engine::LoraUse,
};

/// A LoRA file, and how the next run uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraChoice {
    pub name: String,
    pub path: PathBuf,
    pub on: bool,
    /// 1 is as it was trained.
    pub scale: f64,
}

impl LoraChoice {
    fn new(name: String, path: PathBuf) -> Self {
        Self { name, path, on: false, scale: 1.0 }
    }

    /// What a request says of it; nothing while it is off.
    pub fn wanted(&self) -> Option<LoraUse> {
        self.on.then(|| LoraUse { path: self.path.clone(), scale: self.scale })
    }
}

/// The files of all folders. Those that were known already keep what is set, and a known one that
/// lies in no folder stays while it is on: if it is gone, the run says so.
pub fn choices(files: Vec<ShelfFile>, known: &[LoraChoice]) -> Vec<LoraChoice> {
    let mut choices: Vec<_> =
        files.into_iter().map(|file| LoraChoice::new(file.name, file.path)).collect();
    for old in known {
        match choices.iter_mut().find(|choice| choice.path == old.path) {
            Some(choice) => choice.clone_from(old),
            None if old.on => choices.push(old.clone()),
            None => {}
        }
    }
    choices
}

impl App {
    /// Looks into the folders again.
    pub(super) fn find_loras(&mut self) {
        self.settings.loras = choices(LORAS.list(), &self.settings.loras);
    }

    /// Looks into another folder from now on.
    pub(super) fn add_lora_folder(&mut self, folder: &Path) {
        match LORAS.add_folder(folder) {
            Ok(()) => self.find_loras(),
            Err(why) => self.complain(format!("the LoRA folder is not remembered: {why}")),
        }
    }

    /// Switches a file on, wherever it lies.
    pub(super) fn use_lora(&mut self, path: PathBuf) {
        let known = self.settings.loras.iter_mut().find(|choice| choice.path == path);
        match known {
            Some(choice) => choice.on = true,
            None => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let choice = LoraChoice { on: true, ..LoraChoice::new(name, path) };
                self.settings.loras.push(choice);
            }
        }
    }
}
