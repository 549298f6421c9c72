//! The ControlNets that the panel offers, and those that are in use.

use std::path::PathBuf;

use super::App;
use crate::{
    catalog::{self, ControlNetFolder},
    document::PictureTiles,
    engine::{ControlNet, ImageSource, Task},
    pixels::Picture,
};

/// A ControlNet, as the panel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlChoice {
    /// What a request names it by.
    pub id: String,
    pub label: String,
    pub about: String,
    /// Whether the models that it steers are told sizes (Stable Diffusion XL).
    takes_sizes: bool,
}

impl ControlChoice {
    fn new(id: String, folder: &ControlNetFolder) -> Self {
        let (label, about) = (folder.name.clone(), folder.about());
        Self { id, label, about, takes_sizes: folder.has_conditions }
    }

    /// Whether it may steer a model that `takes_sizes` or does not.
    pub fn fits(&self, takes_sizes: bool) -> bool {
        self.takes_sizes == takes_sizes
    }
}

/// Every ControlNet on this machine.
pub fn choices() -> Vec<ControlChoice> {
    let choice = |(id, folder): (String, ControlNetFolder)| ControlChoice::new(id, &folder);
    catalog::controlnets().into_iter().map(choice).collect()
}

/// What a ControlNet looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Sees {
    /// To be chosen yet.
    Nothing,
    /// Made of the picture and the mask of a fill, as ControlNets for inpainting take it.
    Made,
    /// The picture on the canvas.
    Canvas,
    File(PathBuf),
}

/// A ControlNet in use. Numbers are `f64` because sliders are.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSettings {
    pub choice: ControlChoice,
    pub sees: Sees,
    /// 0 to 2.
    pub scale: f64,
    /// Parts of the steps, 0 to 1.
    pub start: f64,
    pub end: f64,
}

impl ControlSettings {
    /// One for inpainting looks at picture and mask; what others look at is for the artist to say.
    fn new(choice: ControlChoice) -> Self {
        let inpaints = choice.label.to_lowercase().contains("inpaint");
        let sees = if inpaints { Sees::Made } else { Sees::Nothing };
        Self { choice, sees, scale: 1.0, start: 0.0, end: 1.0 }
    }

    /// As a kept request says. A picture that was not in a file is to be chosen anew.
    pub fn kept(choice: ControlChoice, control: &ControlNet) -> Self {
        let new = Self::new(choice);
        let sees = match &control.image {
            Some(ImageSource::File(path)) => Sees::File(path.clone()),
            _ => new.sees,
        };
        let scale = control.conditioning_scale.unwrap_or(new.scale);
        Self { sees, scale, start: control.guidance_start, end: control.guidance_end, ..new }
    }

    /// What [`Self::kept`] reads.
    pub fn keep(&self) -> ControlNet {
        let image = match &self.sees {
            Sees::File(path) => Some(ImageSource::File(path.clone())),
            Sees::Nothing | Sees::Made | Sees::Canvas => None,
        };
        self.with_image(image)
    }

    fn with_image(&self, image: Option<ImageSource<Picture>>) -> ControlNet {
        ControlNet {
            model: self.choice.id.clone(),
            image,
            conditioning_scale: Some(self.scale),
            guidance_start: self.start,
            guidance_end: self.end,
        }
    }

    /// What a request says about it, with the picture on the canvas.
    ///
    /// # Errors
    /// If it has nothing to look at; the text says what to do.
    fn request(&self, task: Task, canvas: &PictureTiles) -> Result<ControlNet, String> {
        let image = match &self.sees {
            Sees::Made if task == Task::Fill => None,
            Sees::Made | Sees::Nothing => {
                return Err(format!(
                    "The ControlNet {} has no picture to look at: choose one next to \"Sees\".",
                    self.choice.label
                ));
            }
            Sees::Canvas => Some(canvas.clone().into()),
            Sees::File(path) => Some(ImageSource::File(path.clone())),
        };
        Ok(self.with_image(image))
    }
}

impl App {
    /// The ControlNets of the next request; none where the model does not sample.
    ///
    /// # Errors
    /// If one has nothing to look at; the text says what to do.
    pub(super) fn wanted_controls(&self, canvas: &PictureTiles) -> Result<Vec<ControlNet>, String> {
        let settings = &self.settings;
        let model = self.models.iter().find(|model| model.id == settings.model);
        if model.is_some_and(|model| !model.diffuses) {
            return Ok(Vec::new());
        }
        settings.controls.iter().map(|control| control.request(settings.task, canvas)).collect()
    }

    /// Takes a ControlNet into use: one of the list, or a folder that joins it.
    pub(super) fn add_control(&mut self, id: String) {
        if !self.controlnets.iter().any(|choice| choice.id == id) {
            match catalog::find_controlnet(&id) {
                Ok(folder) => self.controlnets.push(ControlChoice::new(id.clone(), &folder)),
                Err(why) => return self.complain(why.to_string()),
            }
        }
        if let Some(choice) = self.controlnets.iter().find(|choice| choice.id == id) {
            self.settings.controls.push(ControlSettings::new(choice.clone()));
        }
    }

    pub(super) fn use_control_image(&mut self, index: usize, path: PathBuf) {
        if let Some(control) = self.settings.controls.get_mut(index) {
            control.sees = Sees::File(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Extent;

    fn control(label: &str) -> ControlSettings {
        ControlSettings::new(ControlChoice {
            id: label.into(),
            label: label.into(),
            about: String::new(),
            takes_sizes: false,
        })
    }

    #[test]
    fn a_picture_is_made_for_inpainting_only_and_asked_for_otherwise() {
        let canvas = PictureTiles::new(Extent::new(4, 4));
        let inpaint = control("control_v11p_sd15_inpaint");
        assert_eq!(inpaint.request(Task::Fill, &canvas).unwrap().image, None);
        assert!(inpaint.request(Task::Transform, &canvas).is_err());
        let mut canny = control("canny");
        let text = canny.request(Task::Fill, &canvas).unwrap_err();
        assert!(text.contains("canny") && text.contains("Sees"), "{text}");
        canny.sees = Sees::Canvas;
        assert!(canny.request(Task::Generate, &canvas).unwrap().image.is_some());
        canny.sees = Sees::File("edges.png".into());
        let image = canny.request(Task::Generate, &canvas).unwrap().image;
        assert_eq!(image, Some(ImageSource::File("edges.png".into())));
        assert!(canny.choice.fits(false) && !canny.choice.fits(true));
    }
}
