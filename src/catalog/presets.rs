//! The models that can be had: `assets/catalogue.json`, which is all that a new one needs.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::Deserialize;

use super::Kind;
use crate::hub::{CachedRepository, Choice, MAIN, Precision, Wanted};

/// A model that is known to be worth having, and where it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What the command line calls it.
    pub id: String,
    /// For a person.
    pub name: String,
    pub kind: Kind,
    /// What it is for, in a line or two.
    pub purpose: String,
    pub licence: Licence,
    /// `owner/name`; the later ones are asked if the earlier have gone.
    pub repositories: Vec<String>,
    /// The files to fetch; empty for what is found to be needed.
    #[serde(default)]
    pub files: Vec<String>,
    /// Ids of what it cannot work without.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Bytes to fetch.
    pub download: Sizes,
    /// Bytes of memory while it paints at the size it was made for, with the program's own.
    pub memory: Sizes,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    pub name: String,
    pub url: String,
}

/// The same in two precisions, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Weights of 32 bits, as the processor takes them.
    pub full: u64,
    /// Weights of 16 bits, as graphics cards take them.
    pub half: u64,
}

impl Sizes {
    pub fn of(self, precision: Precision) -> u64 {
        match precision {
            Precision::Full => self.full,
            Precision::Half => self.half,
        }
    }
}

impl Preset {
    /// What to ask the hub for.
    pub fn wanted(&self, precision: Precision) -> Wanted {
        Wanted {
            repositories: self.repositories.clone(),
            revision: None,
            choice: Choice { files: self.files.clone(), precision },
        }
    }

    /// Where it lies in the hub's cache, if it was fetched: a folder, or its only file.
    pub fn installed(&self, cache: &Path) -> Option<PathBuf> {
        self.repositories.iter().find_map(|repository| {
            let folder = CachedRepository::new(cache, repository, MAIN).ok()?.current()?;
            match &self.files[..] {
                [] => has_configuration(&folder).then_some(folder),
                [only] => Some(folder.join(only)).filter(|file| file.is_file()),
                files => files.iter().all(|file| folder.join(file).is_file()).then_some(folder),
            }
        })
    }

    /// The presets that it cannot work without, itself first.
    pub fn with_needs(&self) -> impl Iterator<Item = &Preset> {
        let needs = self.needs.iter().filter_map(|id| preset(id));
        std::iter::once(self).chain(needs)
    }
}

/// A pipeline's index, or a network's configuration: what is linked last tells that all is there.
fn has_configuration(folder: &Path) -> bool {
    ["model_index.json", "config.json"].iter().any(|name| folder.join(name).is_file())
}

#[derive(Deserialize)]
struct Catalogue {
    presets: Vec<Preset>,
}

/// All presets, in the order in which they are shown.
pub fn presets() -> &'static [Preset] {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let text = include_str!("../../assets/catalogue.json");
        match serde_json::from_str::<Catalogue>(text) {
            Ok(catalogue) => catalogue.presets,
            Err(error) => {
                log::error!("the catalogue of models cannot be read: {error}");
                Vec::new()
            }
        }
    });
    &ALL
}

/// A preset by its id, or by the repository that it is in.
pub fn preset(name: &str) -> Option<&'static Preset> {
    let by_id = presets().iter().find(|preset| preset.id == name);
    let holds = |preset: &&Preset| {
        preset.files.is_empty() && preset.repositories.iter().any(|repository| repository == name)
    };
    by_id.or_else(|| presets().iter().find(holds))
}

/// The presets in whose name, id, purpose or kind each of the words stands.
pub fn search(words: &str) -> Vec<&'static Preset> {
    let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
    let fits = |preset: &&Preset| {
        let Preset { id, name, purpose, kind, repositories, .. } = preset;
        let text = format!("{id} {name} {purpose} {} {}", kind.name(), repositories.join(" "));
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    presets().iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::hub::check_name;

    #[test]
    fn the_catalogue_is_sound() {
        let all = presets();
        assert!(all.len() >= 11, "{} presets", all.len());
        for (index, preset) in all.iter().enumerate() {
            let name = &preset.id;
            assert!(all[..index].iter().all(|other| other.id != *name), "{name} stands twice");
            assert!(!name.contains('/') && !Path::new(name).exists(), "{name} is a path");
            assert!(!preset.repositories.is_empty(), "{name}");
            for repository in &preset.repositories {
                assert_eq!(check_name(repository), Ok(()), "{name}");
            }
            for need in &preset.needs {
                assert!(super::preset(need).is_some(), "{name} needs {need}");
            }
            assert!(preset.files.iter().all(|file| file.ends_with(".safetensors")), "{name}");
            assert!(preset.licence.url.starts_with("https://"), "{name}");
            assert!(preset.download.half <= preset.download.full, "{name}");
            assert!(preset.memory.half <= preset.memory.full, "{name}");
            assert!(preset.memory.half > preset.download.half / 3, "{name}");
        }
    }

    #[test]
    fn what_was_fetched_is_found_under_any_of_its_names() {
        let cache = tempfile::tempdir().unwrap();
        let preset = preset("sd15-inpainting").unwrap();
        assert_eq!(preset.installed(cache.path()), None);
        let root = cache.path().join("models--sd-legacy--stable-diffusion-inpainting");
        let snapshot = root.join("snapshots").join("a".repeat(40));
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(root.join("refs")).unwrap();
        fs::write(root.join("refs/main"), "a".repeat(40)).unwrap();
        assert_eq!(preset.installed(cache.path()), None, "an empty folder is no model");
        fs::write(snapshot.join("model_index.json"), "{}").unwrap();
        assert_eq!(preset.installed(cache.path()), Some(snapshot));
        let by_repository = super::preset("sd-legacy/stable-diffusion-inpainting").unwrap();
        assert_eq!(by_repository.id, preset.id);
    }
}
