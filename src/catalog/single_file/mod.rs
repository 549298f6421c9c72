//! Single-file checkpoints: what a `.safetensors` file of the field is, and the folder in diffusers
//! layout that describes it.
//!
//! The description holds configurations and, instead of weights, tables of where each tensor lies
//! in the file ([`key_map`](crate::key_map)). It is written once to the cache folder, under a name
//! that changes with its content; everything else in the program then reads it as any other folder.
//! The file itself is mapped when its weights are wanted, and never copied.
//!
//! | module | what it does |
//! |---|---|
//! | [`parts`] | the components in the file, under diffusers' names |
//! | [`kind`] | what the file is: a family, an autoencoder, a LoRA ... |
//! | [`config`] | configurations from shapes |
//! | [`schedule`] | the family's scheduler; what the network predicts |
//! | [`beside`] | a folder beside the file that says more |
//! | [`describe`] | all of it together |

mod beside;
mod config;
mod describe;
mod kind;
mod parts;
mod schedule;

use std::path::{Path, PathBuf};

use parts::Parts;

use super::{CatalogError, Kind, header::Header};

/// A safetensors file whose header was read.
#[derive(Clone, Debug)]
pub struct SingleFile {
    path: PathBuf,
    header: Header,
    parts: Parts,
    kind: Kind,
}

/// How the names of safetensors files end.
pub(super) const FORMATS: [&str; 2] = ["safetensors", "sft"];
/// Formats that are, or contain, Python pickles.
pub(super) const PICKLES: [&str; 5] = ["ckpt", "pt", "pth", "bin", "pkl"];

impl SingleFile {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is of another format, or damaged; the text says what to do.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        refuse_other_formats(path)?;
        let broken = |reason| CatalogError::Broken { path: path.to_path_buf(), reason };
        let header = Header::read(path).map_err(broken)?;
        let parts = Parts::of(&header);
        let kind = kind::kind(&header, &parts);
        Ok(Self { path: path.to_path_buf(), header, parts, kind })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number format that most of its weights are stored in, such as `f16`.
    pub fn dtype(&self) -> Option<String> {
        self.header.dtype(|_| true)
    }

    /// The folder that describes the model in it, written if it was not yet.
    ///
    /// # Errors
    /// When it holds no whole model, or one that cannot be run; or when the cache folder cannot be
    /// written to.
    pub fn model_folder(&self) -> Result<PathBuf, CatalogError> {
        let Kind::Model(family) = self.kind else { return Err(self.refused()) };
        describe::model(self, family)?.write()
    }

    /// Whether an autoencoder is in it, alone or in a model.
    pub fn has_autoencoder(&self) -> bool {
        matches!(self.kind, Kind::Model(_) | Kind::Autoencoder)
            && !self.parts.autoencoder.is_empty()
    }

    /// The folder that describes the autoencoder in it, as that of a component, written if it was
    /// not yet. `scaling_factor` counts where nothing beside the file says another.
    ///
    /// # Errors
    /// When it has none, or one that is not known; or when the cache folder cannot be written to.
    pub fn autoencoder_folder(&self, scaling_factor: f64) -> Result<PathBuf, CatalogError> {
        if !self.has_autoencoder() {
            return Err(self.refused());
        }
        describe::autoencoder(self, scaling_factor)?.write()
    }

    /// The folder that describes the ControlNet in it, as that of a component, written if it was
    /// not yet.
    ///
    /// # Errors
    /// When it has none, or one that is not known; or when the cache folder cannot be written to.
    pub fn controlnet_folder(&self) -> Result<PathBuf, CatalogError> {
        let Kind::ControlNet(family) = self.kind else { return Err(self.refused()) };
        describe::controlnet(self, family)?.write()
    }

    /// Channels that its U-Net reads, where it has one.
    pub fn in_channels(&self) -> Option<usize> {
        self.parts.unet.side("conv_in.weight", 1)
    }

    /// Without folder and ending.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What to do with a file that is no model.
    fn refused(&self) -> CatalogError {
        let instead = match self.kind {
            Kind::Lora(_) => "name it with --lora beside a model",
            Kind::Embedding(_) => "name it with --embedding beside a model",
            Kind::ControlNet(_) => "it steers a model: name it with --controlnet",
            Kind::Autoencoder | Kind::TinyAutoencoder => "name it with --vae beside a model",
            _ => {
                "name a checkpoint of Stable Diffusion 1, 2 or XL, or a folder in diffusers layout"
            }
        };
        let what = self.kind.name().into();
        CatalogError::NoModel { path: self.path.clone(), what, instead }
    }
}

/// A file that is no safetensors file by its name.
fn refuse_other_formats(path: &Path) -> Result<(), CatalogError> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let what = match extension.as_str() {
        format if FORMATS.contains(&format) => return Ok(()),
        pickle if PICKLES.contains(&pickle) => {
            "a pickled checkpoint, which can run any program when it is opened, so it is not read"
        }
        "gguf" => "a GGUF file",
        _ => {
            let reason = "not a model: name a .safetensors file or a folder in diffusers layout";
            return Err(CatalogError::Broken { path: path.to_path_buf(), reason: reason.into() });
        }
    };
    Err(CatalogError::NoModel {
        path: path.to_path_buf(),
        what: what.into(),
        instead: "get the same model as .safetensors, or convert it on a machine that you can \
                  afford to lose",
    })
}
