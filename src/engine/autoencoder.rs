//! The autoencoder of a run: the model's own, another model's, or a tiny one.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use serde_json::Value;

use super::{EngineError, networks::Part};
use crate::{
    catalog::{self, ModelFolder},
    diffusion::{Decoder, LinearPreview, Posterior},
    networks::{
        AutoencoderConfig, AutoencoderKl, Held, Movq, MovqConfig, Residency, TinyAutoencoder,
        TinyAutoencoderConfig,
    },
};

/// The autoencoder as a decoder and encoder.
pub struct Autoencoder {
    network: Network,
    scaling_factor: f64,
    /// Bytes for what lies between input and output; `None` is without limit.
    pub room: Option<usize>,
}

enum Network {
    Whole(Held<AutoencoderKl>),
    Tiny(TinyAutoencoder),
    Movq(Held<Movq>),
}

/// An autoencoder that is known but not loaded.
pub enum Found {
    Whole(PathBuf, AutoencoderConfig),
    Tiny(PathBuf, TinyAutoencoderConfig),
    Movq(PathBuf, MovqConfig),
}

impl Found {
    /// Reads the configuration in a component's folder.
    ///
    /// # Errors
    /// If it is of no kind that is known, or not understood.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let file = folder.join("config.json");
        Ok(if is_tiny(&file) {
            Self::Tiny(folder.to_owned(), TinyAutoencoderConfig::open(&file)?)
        } else if is_movq(&file) {
            Self::Movq(folder.to_owned(), MovqConfig::open(&file)?)
        } else {
            Self::Whole(folder.to_owned(), AutoencoderConfig::open(&file)?)
        })
    }

    /// The one that is named for a model (`Request::vae`), or its own.
    ///
    /// # Errors
    /// If there is none of that name, or its latents are of another shape than the model's.
    pub fn chosen(model: &ModelFolder, name: Option<&str>) -> Result<Self, EngineError> {
        let own = Self::open(&model.path.join(model.autoencoder_part))?;
        let Some(name) = name else {
            return model.autoencoder().map(|()| own).map_err(EngineError::invalid);
        };
        let found = Self::named(name, own.scaling_factor())?;
        if found.is_movq() != own.is_movq() {
            return Err(EngineError::invalid(format!(
                "the latents of {name} mean nothing to {}: Kandinsky's autoencoders and others do \
                 not stand for each other; leave --vae out",
                model.name
            )));
        }
        let (theirs, ours) = (found.latents(), own.latents());
        if theirs != ours {
            return Err(EngineError::invalid(format!(
                "{name} makes latents of {} px and {} channels, but {} works on {} px and {}: name \
                 an autoencoder of the same kind of model, or leave it out",
                theirs.0, theirs.1, model.name, ours.0, ours.1
            )));
        }
        Ok(found)
    }

    /// What `--vae` names: a component's folder, the model it belongs to, or a file. One that does
    /// not say how its latents are scaled is for those of `scaling_factor`.
    ///
    /// # Errors
    /// If there is no such thing.
    fn named(name: &str, scaling_factor: f64) -> Result<Self, EngineError> {
        let path = Path::new(name);
        if path.is_file() {
            return Self::at(path, scaling_factor);
        }
        if path.join("config.json").is_file() {
            return Self::open(path);
        }
        if let Some(place) = catalog::autoencoders().into_iter().find(|place| place.name == name) {
            return Self::at(&place.path, scaling_factor);
        }
        match catalog::find(name) {
            Ok(catalog::Model::Diffusion(folder)) => {
                folder.autoencoder().map_err(EngineError::invalid)?;
                Self::open(&folder.path.join(folder.autoencoder_part))
            }
            Ok(catalog::Model::ContentAware | catalog::Model::Prior(_)) => {
                Err(EngineError::invalid(format!("{name} has no autoencoder")))
            }
            Err(error) => Err(EngineError::invalid(format!(
                "no autoencoder `{name}`: name the folder of one (with its config.json), a model \
                 that has one, or a .safetensors file ({error})"
            ))),
        }
    }

    /// A component's folder, an autoencoder alone, the one in a checkpoint, or a tiny one.
    fn at(path: &Path, scaling_factor: f64) -> Result<Self, EngineError> {
        if path.is_dir() {
            return Self::open(path);
        }
        let file = catalog::SingleFile::open(path).map_err(EngineError::invalid)?;
        if !file.has_autoencoder() {
            return Ok(Self::tiny_file(path)?);
        }
        Self::open(&file.autoencoder_folder(scaling_factor).map_err(EngineError::invalid)?)
    }

    fn scaling_factor(&self) -> f64 {
        match self {
            Self::Whole(_, config) => config.scaling_factor,
            Self::Tiny(_, config) => config.scaling_factor,
            Self::Movq(..) => 1.0,
        }
    }

    /// A tiny autoencoder's file; a `config.json` beside it counts where it is of that kind.
    fn tiny_file(path: &Path) -> Result<Self, crate::networks::NetworkError> {
        let config = path.with_file_name("config.json");
        let config = if is_tiny(&config) {
            TinyAutoencoderConfig::open(&config)?
        } else {
            TinyAutoencoderConfig::taesd()
        };
        Ok(Self::Tiny(path.to_owned(), config))
    }

    /// Pixels a side that one latent stands for, and channels of a latent.
    pub fn latents(&self) -> (u32, usize) {
        match self {
            Self::Whole(_, config) => (config.downsampling() as u32, config.latent_channels),
            Self::Tiny(_, config) => (config.downsampling() as u32, config.latent_channels),
            Self::Movq(_, config) => (config.downsampling() as u32, config.latent_channels),
        }
    }

    /// Whether it is one of Kandinsky's, whose latents are no other's.
    fn is_movq(&self) -> bool {
        matches!(self, Self::Movq(..))
    }

    /// Whether another's configuration is the same.
    pub fn is_set_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(_, ours), Self::Whole(_, theirs)) => ours == theirs,
            (Self::Tiny(_, ours), Self::Tiny(_, theirs)) => ours == theirs,
            (Self::Movq(_, ours), Self::Movq(_, theirs)) => ours == theirs,
            (Self::Whole(..) | Self::Tiny(..) | Self::Movq(..), _) => false,
        }
    }

    /// Loads it in f32, in which it cannot overflow.
    pub fn load(
        self,
        part: &mut Part<'_>,
        residency: &Residency,
    ) -> Result<Autoencoder, EngineError> {
        let what = "Loading the autoencoder";
        let (network, scaling_factor) = match self {
            Self::Whole(path, config) => {
                let factor = config.scaling_factor;
                let network = part.load_from(&path, what, DType::F32, residency, |weights| {
                    Held::load(weights, move |weights| AutoencoderKl::load(config.clone(), weights))
                })?;
                (Network::Whole(network), factor)
            }
            Self::Tiny(path, config) => {
                let factor = config.scaling_factor;
                let network = part.load_from(&path, what, DType::F32, residency, |weights| {
                    TinyAutoencoder::load(config, weights)
                })?;
                (Network::Tiny(network), factor)
            }
            Self::Movq(path, config) => {
                let network = part.load_from(&path, what, DType::F32, residency, |weights| {
                    Held::load(weights, move |weights| Movq::load(config.clone(), weights))
                })?;
                // Its latents go into the network as they are.
                (Network::Movq(network), 1.0)
            }
        };
        Ok(Autoencoder { network, scaling_factor, room: None })
    }
}

fn is_tiny(config: &Path) -> bool {
    is_of(config, "AutoencoderTiny", "encoder_block_out_channels")
}

fn is_movq(config: &Path) -> bool {
    is_of(config, "VQModel", "num_vq_embeddings")
}

/// By the class that the file names, or by a key that only this class has.
fn is_of(config: &Path, class: &str, key: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(config) else { return false };
    let Ok(Value::Object(values)) = serde_json::from_str(&text) else { return false };
    match values.get("_class_name").and_then(Value::as_str) {
        Some(named) => named == class,
        None => values.contains_key(key),
    }
}

impl Autoencoder {
    /// The distribution of latents of a picture [1, 3, H, W] in [-1, 1]; a tiny autoencoder knows
    /// no distribution, so nothing is drawn for it.
    pub fn encode(&self, picture: &Tensor) -> Result<Posterior, EngineError> {
        let posterior = match &self.network {
            Network::Whole(network) => network
                .part()
                .and_then(|network| network.encode_moments_within(picture, self.room))
                .and_then(|moments| Posterior::from_moments(&moments)),
            Network::Tiny(network) => {
                network.encode(picture).and_then(|latents| Posterior::exactly(&latents))
            }
            Network::Movq(network) => network
                .part()
                .and_then(|network| network.encode_within(picture, self.room))
                .and_then(|latents| Posterior::exactly(&latents)),
        };
        posterior.map_err(EngineError::failed)
    }
}

impl Decoder for Autoencoder {
    fn scaling_factor(&self) -> f64 {
        self.scaling_factor
    }

    fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        match &self.network {
            Network::Whole(network) => network.part()?.decode_within(latents, self.room),
            Network::Tiny(network) => network.decode(latents),
            Network::Movq(network) => network.part()?.decode_within(latents, self.room),
        }
    }
}

/// Why [`PreviewMethod::Tiny`](super::PreviewMethod) shows no more than the linear map for a model,
/// and what to do; nothing where a tiny autoencoder is here for it.
pub fn lacks_tiny_preview(folder: &ModelFolder) -> Option<String> {
    let Some(name) = LatentSpace::of_model(folder).ok().and_then(LatentSpace::tiny_name) else {
        return Some("nobody has published a tiny autoencoder for this model".into());
    };
    if catalog::tiny_autoencoder(name).is_some() {
        return None;
    }
    let place = catalog::places::model_folders().pop();
    let place = place.map_or("a models folder".to_owned(), |folder| folder.display().to_string());
    Some(format!(
        "there is no tiny autoencoder here. Put {name} (madebyollin/{name} on the hub) into {place}, \
         then choose the model again"
    ))
}

/// Whose latents a model works on, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentSpace {
    /// Of Stable Diffusion 1 and 2.
    StableDiffusion,
    StableDiffusionXl,
    Other,
}

impl LatentSpace {
    /// By the shape and the scaling factor of the model's autoencoder. Fine-tuned autoencoders keep
    /// the latents, so both families' are known by these.
    pub fn of(config: &AutoencoderConfig) -> Self {
        let published = config.block_out_channels == [128, 256, 512, 512]
            && config.latent_channels == 4
            && config.layers_per_block == 2;
        match config.scaling_factor {
            factor if published && factor == 0.18215 => Self::StableDiffusion,
            factor if published && factor == 0.13025 => Self::StableDiffusionXl,
            _ => Self::Other,
        }
    }

    /// The linear map to colours.
    pub fn linear_preview(self) -> Option<LinearPreview> {
        match self {
            Self::StableDiffusion => Some(LinearPreview::sd1()),
            Self::StableDiffusionXl => Some(LinearPreview::sdxl()),
            Self::Other => None,
        }
    }

    /// Those that a model works on, as its own autoencoder says.
    ///
    /// # Errors
    /// If that is not understood.
    pub fn of_model(folder: &ModelFolder) -> Result<Self, EngineError> {
        Ok(match Found::open(&folder.path.join(folder.autoencoder_part))? {
            Found::Whole(_, config) => Self::of(&config),
            Found::Tiny(..) | Found::Movq(..) => Self::Other,
        })
    }

    /// The name of the published tiny autoencoder for these latents.
    fn tiny_name(self) -> Option<&'static str> {
        match self {
            Self::StableDiffusion => Some("taesd"),
            Self::StableDiffusionXl => Some("taesdxl"),
            Self::Other => None,
        }
    }

    /// A tiny autoencoder for these latents, where this machine has one.
    pub fn tiny_autoencoder(self) -> Option<Found> {
        let path = catalog::tiny_autoencoder(self.tiny_name()?)?;
        // Its latents are those that the denoiser sees.
        Found::at(&path, 1.0).inspect_err(|error| log::warn!("{error}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> AutoencoderConfig {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        AutoencoderConfig::open(&file).unwrap()
    }

    #[test]
    fn published_autoencoders_are_known_by_shape_and_scaling_factor() {
        let text = |channels: &str, factor: f64| {
            let down = r#"["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"]"#;
            let up = down.replace("DownEncoder", "UpDecoder");
            format!(
                r#"{{"block_out_channels": {channels}, "down_block_types": {down},
                    "up_block_types": {up}, "layers_per_block": 2, "scaling_factor": {factor}}}"#
            )
        };
        let of = |channels, factor| LatentSpace::of(&config(&text(channels, factor)));
        assert_eq!(of("[128, 256, 512, 512]", 0.18215), LatentSpace::StableDiffusion);
        assert_eq!(of("[128, 256, 512, 512]", 0.13025), LatentSpace::StableDiffusionXl);
        assert_eq!(of("[128, 256, 512, 512]", 0.5), LatentSpace::Other);
        assert_eq!(of("[32, 64, 64, 64]", 0.18215), LatentSpace::Other);
    }

    #[test]
    fn what_names_no_autoencoder_is_an_error_that_says_what_would() {
        let error = Found::named("no-such-thing", 1.0).err().unwrap().to_string();
        assert!(error.contains("no-such-thing") && error.contains("config.json"), "{error}");
        assert!(Found::named("content-aware", 1.0).is_err());
    }
}
