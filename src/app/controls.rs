//! The ControlNets that the panel offers, and those that are in use.

use std::path::PathBuf;

use super::App;
use crate::{
    catalog::{self, ControlNetFolder},
    engine::{ControlNet, ImageSource},
};

/// A ControlNet, as the panel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlChoice {
    /// What a request names it by.
    pub id: String,
    pub label: String,
    pub about: String,
}

impl ControlChoice {
    fn new(id: String, folder: &ControlNetFolder) -> Self {
        Self { id, label: folder.name.clone(), about: folder.about() }
    }
}

/// Every ControlNet on this machine.
pub fn choices() -> Vec<ControlChoice> {
    let choice = |(id, folder): (String, ControlNetFolder)| ControlChoice::new(id, &folder);
    catalog::controlnets().into_iter().map(choice).collect()
}

/// A ControlNet in use. Numbers are `f64` because sliders are.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSettings {
    pub model: String,
    pub label: String,
    /// `None` is made from picture and mask.
    pub image: Option<PathBuf>,
    /// 0 to 2.
    pub scale: f64,
    /// Parts of the steps, 0 to 1.
    pub start: f64,
    pub end: f64,
}

impl ControlSettings {
    /// What a request says about it.
    pub fn request(&self) -> ControlNet {
        ControlNet {
            model: self.model.clone(),
            image: self.image.clone().map(ImageSource::File),
            conditioning_scale: Some(self.scale),
            guidance_start: self.start,
            guidance_end: self.end,
        }
    }
}

impl App {
    /// Takes a ControlNet into use: one of the list, or a folder that joins it.
    pub(super) fn add_control(&mut self, id: String) {
        if !self.controlnets.iter().any(|choice| choice.id == id) {
            match catalog::find_controlnet(&id) {
                Ok(folder) => self.controlnets.push(ControlChoice::new(id.clone(), &folder)),
                Err(why) => return self.complain(why.to_string()),
            }
        }
        if let Some(choice) = self.controlnets.iter().find(|choice| choice.id == id) {
            self.settings.controls.push(ControlSettings {
                model: id,
                label: choice.label.clone(),
                image: None,
                scale: 1.0,
                start: 0.0,
                end: 1.0,
            });
        }
    }

    pub(super) fn use_control_image(&mut self, index: usize, path: PathBuf) {
        if let Some(control) = self.settings.controls.get_mut(index) {
            control.image = Some(path);
        }
    }
}
