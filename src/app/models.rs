//! The models that the panel offers.

use crate::{
    catalog::{self, Model, ModelFolder, Recommended},
    engine::{Task, lacks_tiny_preview, prompts::TextShape},
};

/// A model, as the panel shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelChoice {
    /// What a request names it by.
    pub id: String,
    pub label: String,
    pub about: String,
    /// Whether it samples at all: the content-aware fill reads no prompt.
    pub diffuses: bool,
    /// The tasks that it can do.
    pub tasks: Vec<Task>,
    /// Whether it reads a second prompt and sizes.
    pub takes_sizes: bool,
    /// Whether a prior reads the prompt for it.
    pub has_prior: bool,
    /// Whether it can finish what another began.
    pub refines: bool,
    /// The side that it paints best at, in pixels.
    pub native_size: u32,
    pub recommended: Recommended,
    pub text: TextShape,
    /// Why its previews cannot be sharper than fast ones, where they cannot.
    pub lacks_sharper: Option<String>,
}

impl ModelChoice {
    fn new(id: String, label: String, about: String, model: &Model) -> Self {
        let folder = match model {
            Model::Diffusion(folder) => Some(folder),
            Model::ContentAware | Model::Prior(_) => None,
        };
        let abilities = folder.map_or_else(|| vec!["fill"], ModelFolder::abilities);
        let able = |(name, task): (&str, Task)| abilities.contains(&name).then_some(task);
        Self {
            id,
            label,
            about,
            diffuses: folder.is_some(),
            tasks: TASKS.into_iter().filter_map(able).collect(),
            takes_sizes: folder.is_some_and(|folder| folder.takes_sizes),
            has_prior: folder.is_some_and(|folder| folder.image_embeds.is_some()),
            refines: abilities.contains(&"refine"),
            native_size: folder.map_or(FALLBACK_SIZE, |folder| folder.native_size),
            recommended: folder.map_or_else(Recommended::default, |folder| folder.recommended),
            text: folder.map_or_else(TextShape::default, TextShape::of),
            lacks_sharper: folder.and_then(lacks_tiny_preview),
        }
    }
}

impl ModelChoice {
    /// Looks again for what may have come since.
    pub fn look_again(&mut self) {
        if let Ok(Model::Diffusion(folder)) = catalog::find(&self.id) {
            self.lacks_sharper = lacks_tiny_preview(&folder);
        }
    }
}

/// By the names of the catalogue.
const TASKS: [(&str, Task); 3] =
    [("fill", Task::Fill), ("transform", Task::Transform), ("generate", Task::Generate)];

/// Where a model has no size of its own.
const FALLBACK_SIZE: u32 = 512;

/// Every model on this machine that can run.
pub fn choices() -> Vec<ModelChoice> {
    let choice = |entry: catalog::Entry| {
        let model = entry.model.ok().filter(|model| !matches!(model, Model::Prior(_)))?;
        Some(ModelChoice::new(entry.id, entry.name, entry.about, &model))
    };
    catalog::list().into_iter().filter_map(choice).collect()
}

/// A model by its folder or file, which is not in the list yet.
///
/// # Errors
/// When there is no model that can be used; the text says why.
pub fn choice_of_folder(path: &str) -> Result<ModelChoice, String> {
    let model = catalog::find(path).map_err(|e| e.to_string())?;
    let (label, about) = match &model {
        Model::Diffusion(folder) => (folder.name.clone(), folder.about()),
        Model::ContentAware => (path.to_owned(), String::new()),
        Model::Prior(prior) => {
            return Err(format!(
                "{} is a prior of Kandinsky 2.2 and makes no pictures: choose a decoder. A prior \
                 beside it is found by itself.",
                prior.name
            ));
        }
    };
    Ok(ModelChoice::new(path.to_owned(), label, about, &model))
}
