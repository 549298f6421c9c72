//! The folder that describes what is in a single file.

mod encoders;
mod folder;

use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use self::encoders::{Encoder, SECOND, UNREAD_LAYER, encoders};
pub use self::folder::{Description, inside};
use super::{
    SingleFile,
    beside::Beside,
    config::{self, Config},
    parts::Component,
    schedule::{self, Prediction},
};
use crate::{
    catalog::{CatalogError, Family},
    key_map::Source,
};

/// The description of a model.
///
/// # Errors
/// When something is missing, or not as in any model of the family.
pub fn model(file: &SingleFile, family: Family) -> Result<Description, CatalogError> {
    let beside = Beside::of(&file.path);
    let unet = &file.parts.unet;
    let inpainting = unet.side("conv_in.weight", 1) == Some(9);
    let said = beside.parameterization();
    let prediction = schedule::prediction(&file.path, &file.header, unet, family, said.as_deref());
    let mut builder = Builder { file, beside, description: Description::new(file.name()) };
    builder.unet(family, schedule::sample_size(family, prediction, inpainting))?;
    let lacks_autoencoder = !builder.autoencoder(family)?;
    for encoder in encoders(family) {
        builder.text(encoder, family)?;
    }
    builder.scheduler(family, inpainting, prediction)?;
    builder.index(family, inpainting)?;
    builder.card(family, lacks_autoencoder)?;
    Ok(builder.description)
}

/// The description of an autoencoder, as a component's folder. Where nothing beside the file says
/// how its latents are scaled, it is by `scaling_factor`: the header of no file tells.
///
/// # Errors
/// When it is not as any that are known.
pub fn autoencoder(file: &SingleFile, scaling_factor: f64) -> Result<Description, CatalogError> {
    let beside = Beside::of(&file.path);
    let mut builder = Builder { file, beside, description: Description::new(file.name()) };
    let vae = &file.parts.autoencoder;
    let derived = builder.told(config::autoencoder(vae, scaling_factor))?;
    builder.network("", vae, derived, &AUTOENCODER_KEYS)?;
    Ok(builder.description)
}

/// The description of a ControlNet, as a component's folder.
///
/// # Errors
/// When it is not as any that are known.
pub fn controlnet(file: &SingleFile, family: Family) -> Result<Description, CatalogError> {
    let beside = Beside::of(&file.path);
    let mut builder = Builder { file, beside, description: Description::new(file.name()) };
    let net = &file.parts.controlnet;
    let mut derived = builder.told(config::controlnet(net, family))?;
    // How wide the pooled text is, only the model tells that it steers; that of the usual one.
    match config::added(net, family, None) {
        Ok(added) => derived.extend(added),
        Err(_) if builder.beside.config("config.json")?.is_some() => {}
        Err(reason) => return builder.told(Err(reason)),
    }
    builder.network("", net, derived, &["block_out_channels", "cross_attention_dim"])?;
    Ok(builder.description)
}

/// What of an autoencoder's configuration its tensors tell.
const AUTOENCODER_KEYS: [&str; 2] = ["block_out_channels", "latent_channels"];

struct Builder<'a> {
    file: &'a SingleFile,
    beside: Beside,
    description: Description,
}

impl Builder<'_> {
    fn unet(&mut self, family: Family, sample_size: usize) -> Result<(), CatalogError> {
        let parts = &self.file.parts;
        let mut derived = self.told(config::unet(&parts.unet, family, sample_size))?;
        let pooled = parts.text_2.side("text_projection.weight", 0);
        derived.extend(self.told(config::added(&parts.unet, family, pooled))?);
        let keys = ["block_out_channels", "in_channels", "cross_attention_dim"];
        self.network("unet", &parts.unet, derived, &keys)
    }

    /// Whether there is one: another can be named when the model is used.
    fn autoencoder(&mut self, family: Family) -> Result<bool, CatalogError> {
        let vae = &self.file.parts.autoencoder;
        let scale = match family {
            Family::StableDiffusionXl | Family::StableDiffusionXlRefiner => 0.13025,
            _ => 0.18215,
        };
        if !vae.is_empty() {
            let derived = self.told(config::autoencoder(vae, scale))?;
            self.network("vae", vae, derived, &AUTOENCODER_KEYS)?;
            return Ok(true);
        }
        let found = self.found_beside("vae")?;
        if !found {
            let usual = config::usual_autoencoder(scale);
            self.description.add_json("vae/config.json", usual);
        }
        Ok(found)
    }

    fn text(&mut self, encoder: &Encoder, family: Family) -> Result<(), CatalogError> {
        let parts = &self.file.parts;
        let mut found =
            if encoder.part == SECOND.part { &parts.text_2 } else { &parts.text }.clone();
        if family == Family::StableDiffusion2 {
            found.drop(UNREAD_LAYER);
        }
        if found.is_empty() {
            if !self.found_beside(encoder.part)? {
                return Err(self.lacks_text(encoder.part));
            }
        } else {
            let derived = self.told(config::text(&found, encoder.activation, encoder.projects))?;
            self.network(encoder.part, &found, derived, &["hidden_size", "vocab_size"])?;
        }
        self.tokenizer(encoder);
        Ok(())
    }

    /// The vocabulary itself is the one that is built in, unless another lies beside the file.
    fn tokenizer(&mut self, encoder: &Encoder) {
        let mut files = self.beside.tokenizer(encoder.tokenizer);
        let token = |text: &str| json!({ "content": text, "lstrip": false, "normalized": true, "rstrip": false, "single_word": false });
        files.entry("tokenizer_config.json").or_insert_with(|| {
            let config = json!({
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 77,
                "bos_token": token("<|startoftext|>"),
                "eos_token": token("<|endoftext|>"),
                "unk_token": token("<|endoftext|>"),
                "pad_token": encoder.padding,
            });
            config.to_string()
        });
        for (name, text) in files {
            self.description.add(&format!("{}/{name}", encoder.tokenizer), text);
        }
    }

    fn scheduler(
        &mut self,
        family: Family,
        inpainting: bool,
        prediction: Prediction,
    ) -> Result<(), CatalogError> {
        let name = "scheduler/scheduler_config.json";
        let config = self.beside.config(name)?;
        let config = config.unwrap_or_else(|| schedule::scheduler(family, inpainting, prediction));
        self.description.add_json(name, config);
        Ok(())
    }

    fn index(&mut self, family: Family, inpainting: bool) -> Result<(), CatalogError> {
        let refines = family == Family::StableDiffusionXlRefiner;
        let class = match family {
            _ if inpainting && family == Family::StableDiffusionXl => {
                "StableDiffusionXLInpaintPipeline"
            }
            Family::StableDiffusionXl => "StableDiffusionXLPipeline",
            Family::StableDiffusionXlRefiner => "StableDiffusionXLImg2ImgPipeline",
            _ if inpainting => "StableDiffusionInpaintPipeline",
            _ => "StableDiffusionPipeline",
        };
        let mut index = Map::new();
        index.insert("_class_name".into(), json!(class));
        if matches!(family, Family::StableDiffusionXl | Family::StableDiffusionXlRefiner) {
            index.insert("force_zeros_for_empty_prompt".into(), json!(!refines));
            index.insert("requires_aesthetics_score".into(), json!(refines));
        }
        let said = self.beside.config("model_index.json")?.unwrap_or_default();
        for key in ["force_zeros_for_empty_prompt", "requires_aesthetics_score"] {
            index.extend(said.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        self.description.add_json("model_index.json", index);
        Ok(())
    }

    fn card(&mut self, family: Family, lacks_autoencoder: bool) -> Result<(), CatalogError> {
        let mut card = self.beside.config("overpaint.json")?.unwrap_or_default();
        card.entry("name").or_insert(json!(self.file.name()));
        card.insert("family".into(), json!(family));
        card.insert("lacks_autoencoder".into(), json!(lacks_autoencoder));
        self.description.add_json("overpaint.json", card);
        Ok(())
    }

    /// A component that is in the file.
    fn network(
        &mut self,
        part: &str,
        component: &Component,
        derived: Config,
        keys: &[&str],
    ) -> Result<(), CatalogError> {
        let config = self.beside.network(part, &derived, keys)?.unwrap_or(derived);
        self.description.add_json(&inside(part, "config.json"), config);
        self.description.add_source(part, &component.source(&absolute(&self.file.path)));
        Ok(())
    }

    /// A component that the file lacks, if a folder beside it has it.
    fn found_beside(&mut self, part: &str) -> Result<bool, CatalogError> {
        let config = self.beside.config(&format!("{part}/config.json"))?;
        let (Some(config), Some(folder)) = (config, self.beside.weights(part)) else {
            return Ok(false);
        };
        self.description.add_json(&format!("{part}/config.json"), config);
        self.description.add_source(part, &Source::Folder(absolute(&folder)));
        Ok(true)
    }

    fn lacks_text(&self, part: &str) -> CatalogError {
        let path = self.file.path.clone();
        let place = path.with_extension("").join(part);
        let reason = format!(
            "this {} checkpoint comes without its text encoder; put one in diffusers layout \
             (config.json and its safetensors) at {}",
            self.file.kind.name(),
            place.display()
        );
        CatalogError::Broken { path, reason }
    }

    /// A result about this file.
    fn told<T>(&self, result: Result<T, String>) -> Result<T, CatalogError> {
        let path = self.file.path.clone();
        result.map_err(|reason| CatalogError::Broken { path, reason })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
