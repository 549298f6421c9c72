//! Which models exist, where they are, and what a folder or file is.
//!
//! A model is named by an id (`starter`, `content-aware`, one of the catalogue, or a name found in
//! the places of [`places`]), by `owner/name` on the hub, by the path of a folder in the layout of
//! `diffusers`, or by that of a single file.

mod autoencoders;
mod controlnets;
mod detect;
mod family;
mod few_steps;
mod fit;
mod folder;
pub mod header;
mod hub_cache;
mod json;
mod kind;
pub mod places;
mod presets;
mod prior;
pub mod scan;
pub mod selector;
mod shelf;
mod single_file;
mod starter;
mod stored;

use std::path::{Path, PathBuf};

use crate::hub;

pub use autoencoders::{AutoencoderPlace, autoencoders, tiny_autoencoder};
pub use controlnets::{ControlNetFolder, controlnets, find_controlnet, inspect_controlnet};
pub use detect::inspect;
pub use family::{Conventions, Family, Setting};
pub use few_steps::{FewSteps, recommended_by_name};
pub use fit::{Fit, Machine};
pub use folder::{ModelFolder, Recommended};
pub use kind::Kind;
pub use presets::{Licence, Preset, Sizes, preset, presets, search};
pub use prior::{PriorFolder, prior_for};
pub use shelf::{EMBEDDINGS, LORAS, Shelf, ShelfFile};
pub use single_file::SingleFile;

/// The id of the model that ships inside.
pub const STARTER: &str = "starter";
/// The id of the fill that needs no model.
pub const CONTENT_AWARE: &str = "content-aware";

/// Why a model cannot be used. The texts say what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(
        "no model `{model}`: it is neither a file or folder here nor one of {known}. Name a \
         .safetensors checkpoint or a folder in diffusers layout (with a model_index.json), or put \
         its parent into OVERPAINT_MODELS"
    )]
    NotFound { model: String, known: String },
    #[error(
        "no ControlNet `{name}`: it is neither a folder here nor one of those found ({known}). Name \
         a folder with the config.json of a ControlNetModel, or put its parent into OVERPAINT_MODELS"
    )]
    NoControlNet { name: String, known: String },
    /// It can be had, but is not here.
    #[error("{model} is not on this machine; fetch it with `overpaint models get {model}`")]
    NotFetched { model: String },
    /// It is here, but is not a model by itself.
    #[error("{model} is not a model by itself ({what}); it is used together with one")]
    NotAModel { model: String, what: &'static str },
    /// A kind of model that is recognised but cannot be run.
    #[error("{path}: this is {what}, which is not supported yet; {instead}")]
    NotYet { path: PathBuf, what: String, instead: &'static str },
    /// Not a model, but something that belongs beside one, or that is never read.
    #[error("{path}: this is {what}; {instead}")]
    NoModel { path: PathBuf, what: String, instead: &'static str },
    /// A model with something missing or wrong in it.
    #[error("{path}: {reason}")]
    Broken { path: PathBuf, reason: String },
    #[error(
        "no {kind} `{name}`: it is neither a file here nor the name of one in {folders}. Name a \
         .safetensors file, or put its folder into {variable}"
    )]
    NoFile { kind: &'static str, name: String, folders: String, variable: &'static str },
    /// No prior that a decoder of Kandinsky could read a prompt through, or too many.
    #[error(
        "{decoder} reads prompts through a prior of Kandinsky 2.2, and {why}: name one with --prior"
    )]
    NoPrior { decoder: String, why: String },
    /// The starter model could not be unpacked.
    #[error("the starter model could not be unpacked to {path}: {reason}")]
    Unpack { path: PathBuf, reason: String },
    /// A single file's description could not be written.
    #[error("what was found in the file could not be noted at {path}: {reason}")]
    Describe { path: PathBuf, reason: String },
    #[error("this build carries no starter model: name another with --model")]
    NoStarter,
}

/// What a model's name stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Exemplar fill, no diffusion.
    ContentAware,
    Diffusion(ModelFolder),
    /// What decoders of Kandinsky read prompts through; makes no pictures by itself.
    Prior(PriorFolder),
}

impl Model {
    /// Looks into a folder.
    fn open(path: &Path) -> Result<Self, CatalogError> {
        let snapshot = if places::is_model(path) { None } else { hub_cache::snapshot(path) };
        let path = snapshot.as_deref().unwrap_or(path);
        if prior::is_prior(path) {
            return prior::open(path).map(Self::Prior);
        }
        inspect(path).map(Self::Diffusion)
    }

    /// For a person, and one line on what it is.
    fn described(&self) -> (String, String) {
        match self {
            Self::ContentAware => ("Content-aware".into(), CONTENT_AWARE_ABOUT.into()),
            Self::Diffusion(folder) => (folder.name.clone(), folder.about()),
            Self::Prior(prior) => (prior.name.clone(), prior.about()),
        }
    }
}

const CONTENT_AWARE_ABOUT: &str =
    "Built in. Fills from the rest of the picture; no diffusion, no prompt.";

/// A line of the list of models.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What `--model` takes.
    pub id: String,
    /// For a person.
    pub name: String,
    /// One line on what it is and does.
    pub about: String,
    pub path: Option<PathBuf>,
    /// `Err` says why it cannot be run.
    pub model: Result<Model, String>,
}

/// The model that a name stands for; an empty name stands for the default model.
///
/// # Errors
/// When there is none, or it cannot be run.
pub fn find(model: &str) -> Result<Model, CatalogError> {
    match model {
        CONTENT_AWARE => return Ok(Model::ContentAware),
        STARTER => return starter::folder().and_then(|path| inspect(&path)).map(Model::Diffusion),
        "" => return find(default_id()),
        _ => {}
    }
    let kind = preset(model).map(|preset| preset.kind);
    if let Some(kind) = kind.filter(|kind| !matches!(kind, Kind::Model(_) | Kind::Prior)) {
        return Err(CatalogError::NotAModel { model: model.into(), what: kind.name() });
    }
    Model::open(&locate(model)?)
}

/// Where what a name stands for lies: a path, a model found in the places where they are looked
/// for, or something of the catalogue or the hub that was fetched.
///
/// # Errors
/// When it is not here; the text says how to get it.
pub fn locate(name: &str) -> Result<PathBuf, CatalogError> {
    if name == STARTER {
        return starter::folder();
    }
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.to_path_buf());
    }
    let cache = places::hub_cache_folder();
    let preset = preset(name);
    if let Some(path) = preset.and_then(|preset| preset.installed(&cache)) {
        return Ok(path);
    }
    let found = places::models();
    if let Some((_, path)) = found.iter().find(|(id, _)| id == name) {
        return Ok(path.clone());
    }
    if preset.is_none() && !(name.contains('/') && hub::check_name(name).is_ok()) {
        return Err(not_found(name, &found));
    }
    let stored = hub::CachedRepository::new(&cache, name, hub::MAIN).ok();
    let stored = stored.and_then(|repository| repository.current());
    stored.ok_or_else(|| CatalogError::NotFetched { model: name.into() })
}

/// What fills a hole when no model is named: what did best in `assets/starter/gate/table.md` of
/// what a fresh machine has.
pub fn default_id() -> &'static str {
    CONTENT_AWARE
}

/// Every model that can be named by an id, the built-in ones first.
pub fn list() -> Vec<Entry> {
    let mut entries = Vec::new();
    if starter::is_available() {
        entries.push(Entry {
            id: STARTER.into(),
            name: "Starter".into(),
            about: "Built in, small, lightly trained. Words steer colour and texture; draws no objects."
                .into(),
            path: None,
            model: find(STARTER).map_err(|error| error.to_string()),
        });
    }
    entries.push(Entry {
        id: CONTENT_AWARE.into(),
        name: "Content-aware".into(),
        about: CONTENT_AWARE_ABOUT.into(),
        path: None,
        model: Ok(Model::ContentAware),
    });
    entries.extend(places::models().into_iter().map(|(id, path)| found_entry(id, path)));
    entries
}

fn found_entry(id: String, path: PathBuf) -> Entry {
    let model = Model::open(&path).map_err(|error| error.to_string());
    let (name, about) = match &model {
        Ok(model) => model.described(),
        Err(error) => (id.clone(), error.clone()),
    };
    Entry { id, name, about, path: Some(path), model }
}

fn not_found(model: &str, found: &[(String, PathBuf)]) -> CatalogError {
    let built_in = [STARTER, CONTENT_AWARE].into_iter().map(String::from);
    let known: Vec<String> = built_in.chain(found.iter().map(|(id, _)| id.clone())).collect();
    CatalogError::NotFound { model: model.into(), known: known.join(", ") }
}
