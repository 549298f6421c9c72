//! The models that the panel offers.

use crate::{
    catalog::{self, Model, Recommended},
    engine::prompts::TextShape,
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
    pub recommended: Recommended,
    pub text: TextShape,
}

/// Every model on this machine that can run.
pub fn choices() -> Vec<ModelChoice> {
    let choice = |entry: catalog::Entry| {
        let model = entry.model.ok()?;
        Some(ModelChoice {
            id: entry.id,
            label: entry.name,
            about: entry.about,
            diffuses: model != Model::ContentAware,
            recommended: recommended(&model),
            text: text_shape(&model),
        })
    };
    catalog::list().into_iter().filter_map(choice).collect()
}

/// A model by its folder, which is not in the list yet.
///
/// # Errors
/// When there is no model that can be used; the text says why.
pub fn choice_of_folder(path: &str) -> Result<ModelChoice, String> {
    let model = catalog::find(path).map_err(|e| e.to_string())?;
    let (label, about) = match &model {
        Model::Diffusion(folder) => (folder.name.clone(), folder.about()),
        Model::ContentAware => (path.to_owned(), String::new()),
    };
    Ok(ModelChoice {
        id: path.to_owned(),
        label,
        about,
        diffuses: model != Model::ContentAware,
        recommended: recommended(&model),
        text: text_shape(&model),
    })
}

fn text_shape(model: &Model) -> TextShape {
    match model {
        Model::Diffusion(folder) => TextShape::of(folder),
        Model::ContentAware => TextShape::default(),
    }
}

fn recommended(model: &Model) -> Recommended {
    match model {
        Model::Diffusion(folder) => folder.recommended,
        Model::ContentAware => Recommended::default(),
    }
}
