//! ControlNets: folders with a `config.json` of their own, or single files, beside the models that
//! they steer.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    CatalogError, Family, Kind, SingleFile,
    folder::folder_name,
    hub_cache,
    json::{broken, read_object},
    places, preset, stored,
};

/// The class that a ControlNet's configuration names.
const CLASS: &str = "ControlNetModel";

/// A ControlNet in `diffusers` layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlNetFolder {
    pub path: PathBuf,
    /// The single file that the folder describes, where it does.
    pub file: Option<PathBuf>,
    /// For a person.
    pub name: String,
    /// Width of the prompts of the models that it steers.
    pub prompt_width: usize,
    /// Whether those models are told sizes and a pooled text besides (Stable Diffusion XL).
    pub has_conditions: bool,
    /// Red, green and blue the other way round.
    pub is_bgr: bool,
}

impl ControlNetFolder {
    /// The number format that the weights are stored in, such as `f16`, where it can be told.
    pub fn dtype(&self) -> Option<String> {
        match &self.file {
            Some(file) => SingleFile::open(file).ok()?.dtype(),
            None => stored::dtype(&self.path),
        }
    }

    /// Of the models that it steers.
    pub fn family(&self) -> Family {
        match (self.prompt_width, self.has_conditions) {
            (2048, true) => Family::StableDiffusionXl,
            (768, false) => Family::StableDiffusion1,
            (1024, false) => Family::StableDiffusion2,
            _ => Family::Custom,
        }
    }

    /// One line: what it is, and for which models.
    pub fn about(&self) -> String {
        let family = match self.family() {
            Family::Custom => format!("models with prompts of width {}", self.prompt_width),
            family => family.name().to_owned(),
        };
        let order = if self.is_bgr { ", blue first" } else { "" };
        format!("a ControlNet for {family}{order}")
    }
}

/// The ControlNet that a folder or file is, or `None` if it is none. The folder of a hub cache's repository
/// stands for its snapshot.
///
/// # Errors
/// When its configuration cannot be read.
pub fn inspect_controlnet(path: &Path) -> Result<Option<ControlNetFolder>, CatalogError> {
    if path.is_file() {
        return inspect_file(path);
    }
    let file = path.join("config.json");
    if !file.is_file() {
        let snapshot =
            hub_cache::snapshot_where(path, |folder| folder.join("config.json").is_file());
        return snapshot.map_or(Ok(None), |snapshot| inspect_controlnet(&snapshot));
    }
    let config = read_object(&file)?;
    if config.get("_class_name").and_then(Value::as_str) != Some(CLASS) {
        return Ok(None);
    }
    let prompt_width = prompt_width(&config)
        .ok_or_else(|| broken(&file, "`cross_attention_dim` is not a whole number"))?;
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    Ok(Some(ControlNetFolder {
        path: path.to_path_buf(),
        file: None,
        name: folder_name(path),
        prompt_width,
        has_conditions: text("addition_embed_type").is_some(),
        is_bgr: text("controlnet_conditioning_channel_order") == Some("bgr"),
    }))
}

fn inspect_file(path: &Path) -> Result<Option<ControlNetFolder>, CatalogError> {
    let file = SingleFile::open(path)?;
    let Kind::ControlNet(_) = file.kind() else { return Ok(None) };
    let name = file.name();
    let found = inspect_controlnet(&file.controlnet_folder()?)?;
    Ok(found.map(|found| ControlNetFolder { name, file: Some(path.to_path_buf()), ..found }))
}

/// One number, or one for each level.
fn prompt_width(config: &Map<String, Value>) -> Option<usize> {
    let value = match config.get("cross_attention_dim") {
        None | Some(Value::Null) => return Some(1280),
        Some(Value::Array(widths)) => widths.first()?,
        Some(value) => value,
    };
    value.as_u64().map(|width| width as usize)
}

/// The ControlNet that an id, a folder or a file stands for.
///
/// # Errors
/// When there is none, or what is there is something else.
pub fn find_controlnet(name: &str) -> Result<ControlNetFolder, CatalogError> {
    let path = Path::new(name);
    if path.exists() {
        return opened(path);
    }
    let found = controlnets();
    if let Some((_, folder)) = found.iter().find(|(id, _)| id == name) {
        return Ok(folder.clone());
    }
    if let Some(preset) = preset(name).filter(|preset| matches!(preset.kind, Kind::ControlNet(_))) {
        return opened(&super::locate(&preset.id)?);
    }
    let known: Vec<String> = found.into_iter().map(|(id, _)| id).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    Err(CatalogError::NoControlNet { name: name.into(), known })
}

fn opened(path: &Path) -> Result<ControlNetFolder, CatalogError> {
    inspect_controlnet(path)?.ok_or_else(|| {
        let reason = "this is no ControlNet: name a folder with the config.json of a \
                      ControlNetModel and its weights, or a ControlNet's .safetensors";
        broken(path, reason)
    })
}

/// The ControlNets on this machine, by id: in the model folders and the hub's cache.
pub fn controlnets() -> Vec<(String, ControlNetFolder)> {
    let scan = places::look_through();
    let local = scan.of_kind(|kind| matches!(kind, Kind::ControlNet(_))).map(places::named);
    let cached = hub_cache::repositories(&places::hub_cache_folder());
    let opened = |(id, path): (String, PathBuf)| Some((id, inspect_controlnet(&path).ok()??));
    places::distinct(local.chain(cached)).into_iter().filter_map(opened).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_configuration_tells_a_controlnet_and_its_family() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let inspect = |text: &str| {
            fs::write(&file, text).unwrap();
            inspect_controlnet(folder.path())
        };
        assert_eq!(inspect(r#"{"_class_name": "UNet2DConditionModel"}"#).unwrap(), None);
        let config = r#"{"_class_name": "ControlNetModel", "cross_attention_dim": 768}"#;
        let about = inspect(config).unwrap().unwrap().about();
        assert_eq!(about, "a ControlNet for Stable Diffusion 1");
        let config = r#"{"_class_name": "ControlNetModel", "cross_attention_dim": 2048,
            "addition_embed_type": "text_time", "controlnet_conditioning_channel_order": "bgr"}"#;
        let about = inspect(config).unwrap().unwrap().about();
        assert_eq!(about, "a ControlNet for Stable Diffusion XL, blue first");
        assert!(inspect("{").is_err());
        let text = find_controlnet("no/such").unwrap_err().to_string();
        assert!(text.contains("no/such"), "{text}");
    }
}
