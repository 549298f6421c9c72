//! What lies beside a single file and says more about it: a folder in diffusers layout that has the
//! file's name without its ending, or that the file lies in; and the original code's configuration.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{config::Config, describe::inside};
use crate::catalog::{CatalogError, places};

/// See the module; without a folder there is nothing.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    folder: Option<PathBuf>,
    /// Whether it was put there for this file: then what it says must be right.
    own: bool,
    /// The file's configuration in the original code.
    yaml: Option<PathBuf>,
}

/// Files of a tokenizer.
const TOKENIZER: [&str; 5] = [
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

impl Beside {
    pub fn of(file: &Path) -> Self {
        let yaml = Some(file.with_extension("yaml")).filter(|yaml| yaml.is_file());
        let own = file.with_extension("");
        if own.is_dir() {
            return Self { folder: Some(own), own: true, yaml };
        }
        let around = file.parent().filter(|folder| places::is_model(folder));
        Self { folder: around.map(Path::to_path_buf), own: false, yaml }
    }

    /// The folder of a component that has weights of its own.
    pub fn weights(&self, part: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref().filter(|_| self.own)?.join(part);
        let entries = fs::read_dir(&folder).ok()?;
        let mut names = entries.filter_map(|entry| Some(entry.ok()?.path()));
        names.any(|path| path.extension().is_some_and(|e| e == "safetensors")).then_some(folder)
    }

    /// A configuration, as it is; `None` where there is none.
    ///
    /// # Errors
    /// When it is there but is no JSON object.
    pub fn config(&self, name: &str) -> Result<Option<Config>, CatalogError> {
        let Some(file) = self.file(name) else { return Ok(None) };
        let broken = |reason: String| CatalogError::Broken { path: file.clone(), reason };
        let text = fs::read_to_string(&file).map_err(|error| broken(error.to_string()))?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(broken("the outermost value is not a JSON object".into())),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// The configuration of a network, if it agrees with what its tensors say about `keys`.
    ///
    /// # Errors
    /// When it was put there for this file and does not agree.
    pub fn network(
        &self,
        part: &str,
        derived: &Config,
        keys: &[&str],
    ) -> Result<Option<Config>, CatalogError> {
        let name = inside(part, "config.json");
        let Some(config) = self.config(&name)? else { return Ok(None) };
        let differs = keys.iter().find(|key| match (config.get(**key), derived.get(**key)) {
            (Some(said), Some(found)) => said != found,
            _ => false,
        });
        match differs {
            None => Ok(Some(config)),
            Some(_) if !self.own => Ok(None),
            Some(key) => {
                let path = self.file(&name).unwrap_or_default();
                let (said, found) = (&config[*key], &derived[*key]);
                let reason = format!(
                    "`{key}` is {said}, but the weights that it lies beside have {found}: it \
                     belongs to another model; correct or remove it"
                );
                Err(CatalogError::Broken { path, reason })
            }
        }
    }

    /// What the network predicts by a configuration of the original code (`NAME.yaml`), as other
    /// programs look for it; `v` or `eps`.
    pub fn parameterization(&self) -> Option<String> {
        let text = fs::read_to_string(self.yaml.as_ref()?).ok()?;
        let value = text.lines().find_map(|line| line.trim().strip_prefix("parameterization:"))?;
        let value = value.split('#').next().unwrap_or_default();
        Some(value.trim().trim_matches(['"', '\'']).to_owned())
    }

    /// The texts of a tokenizer's files, by their names.
    pub fn tokenizer(&self, part: &str) -> BTreeMap<&'static str, String> {
        let text = |name: &&'static str| {
            let file = self.file(&format!("{part}/{name}"))?;
            Some((*name, fs::read_to_string(file).ok()?))
        };
        TOKENIZER.iter().filter_map(text).collect()
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let file = self.folder.as_ref()?.join(name);
        file.is_file().then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> Config {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_folder_of_the_files_name_counts_and_must_agree() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("photo.v2.safetensors");
        assert!(Beside::of(&file).config("unet/config.json").unwrap().is_none());
        let folder = place.path().join("photo.v2/unet");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), r#"{"in_channels": 9, "norm_eps": 1e-6}"#).unwrap();
        let beside = Beside::of(&file);
        let network = |channels: usize| {
            beside.network("unet", &config(json!({ "in_channels": channels })), &["in_channels"])
        };
        assert_eq!(network(9).unwrap().unwrap()["norm_eps"], 1e-6);
        let error = network(4).unwrap_err().to_string();
        assert!(error.contains("in_channels") && error.contains("config.json"), "{error}");
        assert!(beside.weights("unet").is_none());
        fs::write(folder.join("model.safetensors"), "").unwrap();
        assert_eq!(beside.weights("unet"), Some(folder));
    }

    #[test]
    fn a_model_around_the_file_counts_where_it_agrees() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("unet")).unwrap();
        fs::write(place.path().join("unet/config.json"), r#"{"in_channels": 9}"#).unwrap();
        let file = place.path().join("photo.safetensors");
        let network = |channels: usize| {
            let derived = config(json!({ "in_channels": channels }));
            Beside::of(&file).network("unet", &derived, &["in_channels"]).unwrap()
        };
        assert!(network(9).is_none(), "not a model's folder");
        fs::write(place.path().join("model_index.json"), "{}").unwrap();
        assert!(network(9).is_some() && network(4).is_none());
    }

    #[test]
    fn the_original_configuration_says_what_is_predicted() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("photo.safetensors");
        assert_eq!(Beside::of(&file).parameterization(), None);
        let yaml = "model:\n  params:\n    parameterization: \"v\"  # of 768\n";
        fs::write(place.path().join("photo.yaml"), yaml).unwrap();
        assert_eq!(Beside::of(&file).parameterization().as_deref(), Some("v"));
    }
}
