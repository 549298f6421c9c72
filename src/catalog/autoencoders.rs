//! Autoencoders that lie on this machine by themselves, without a model: in folders with a
//! `config.json`, and tiny ones as files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{hub_cache, places};

/// The repository owner of the published tiny ones.
const TINY_OWNER: &str = "madebyollin";
/// Their names: for Stable Diffusion 1 and 2, and for XL.
const TINY: [&str; 2] = ["taesd", "taesdxl"];
const CLASSES: [&str; 2] = ["AutoencoderKL", "AutoencoderTiny"];

/// An autoencoder by itself; what it fits shows when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AutoencoderPlace {
    /// A folder's name, `owner/name` from the hub's cache, or a tiny one's.
    pub name: String,
    /// A folder with a `config.json`, or a file of weights.
    pub path: PathBuf,
}

/// All in the folders of models and the hub's cache, by name; the first of equal names counts.
pub fn autoencoders() -> Vec<AutoencoderPlace> {
    let folders = places::model_folders();
    let mut found: Vec<_> = folders.iter().flat_map(|folder| in_folder(folder)).collect();
    found.extend(places::hub_cache_folder().into_iter().flat_map(|cache| in_cache(&cache)));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|later, first| later.name == first.name);
    found
}

/// The tiny autoencoder `name` (`taesd`, `taesdxl`), where it lies in the folders of models (also by
/// the names of other programs) or in the hub's cache.
pub fn tiny_autoencoder(name: &str) -> Option<PathBuf> {
    let local = places::model_folders().into_iter().find_map(|folder| tiny_in(&folder, name));
    local.or_else(|| tiny_in_cache(&places::hub_cache_folder()?, name))
}

fn in_folder(folder: &Path) -> Vec<AutoencoderPlace> {
    let inside = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.to_owned();
        is_component(&path).then_some(AutoencoderPlace { name, path })
    });
    let tiny = TINY.into_iter().filter_map(|name| {
        Some(AutoencoderPlace { name: name.into(), path: tiny_in(folder, name)? })
    });
    inside.chain(tiny).collect()
}

fn in_cache(cache: &Path) -> Vec<AutoencoderPlace> {
    let place = |(name, repository): (String, PathBuf)| {
        let path = hub_cache::snapshot_where(&repository, is_component)?;
        Some(AutoencoderPlace { name, path })
    };
    hub_cache::repositories(cache).into_iter().filter_map(place).collect()
}

fn tiny_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let component = folder.join(name);
    if is_component(&component) {
        return Some(component);
    }
    let decoder = format!("{name}_decoder.safetensors");
    let files = [
        folder.join(format!("{name}.safetensors")),
        folder.join(&decoder),
        folder.join("vae_approx").join(&decoder),
    ];
    files.into_iter().find(|file| file.is_file())
}

fn tiny_in_cache(cache: &Path, name: &str) -> Option<PathBuf> {
    hub_cache::snapshot_where(&cache.join(format!("models--{TINY_OWNER}--{name}")), is_component)
}

/// Whether a folder's `config.json` is that of an autoencoder.
fn is_component(folder: &Path) -> bool {
    let Ok(text) = fs::read_to_string(folder.join("config.json")) else { return false };
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    config.get("_class_name").and_then(Value::as_str).is_some_and(|name| CLASSES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, class: &str) -> PathBuf {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!(r#"{{"_class_name": "{class}"}}"#)).unwrap();
        file
    }

    #[test]
    fn folders_come_before_files_and_the_cache_is_looked_through() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        assert_eq!(tiny_in(root, "taesd"), None);
        let approximate = write(root, "vae_approx/taesd_decoder.safetensors", "");
        assert_eq!(tiny_in(root, "taesd"), Some(approximate));
        let file = write(root, "taesd.safetensors", "");
        assert_eq!(tiny_in(root, "taesd"), Some(file));
        write(root, "taesd/config.json", "AutoencoderTiny");
        assert_eq!(tiny_in(root, "taesd"), Some(root.join("taesd")));
        assert_eq!(tiny_in(root, "taesdxl"), None);
        write(root, "models--madebyollin--taesdxl/snapshots/abc/config.json", "AutoencoderTiny");
        let cached = root.join("models--madebyollin--taesdxl/snapshots/abc");
        assert_eq!(tiny_in_cache(root, "taesdxl"), Some(cached));
    }

    #[test]
    fn only_autoencoders_are_listed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        write(root, "softer/config.json", "AutoencoderKL");
        write(root, "unet/config.json", "UNet2DConditionModel");
        write(root, "taesd.safetensors", "");
        let names: Vec<_> = in_folder(root).into_iter().map(|place| place.name).collect();
        assert_eq!(names, ["softer", "taesd"]);
        write(root, "models--some--vae/snapshots/abc/config.json", "AutoencoderKL");
        write(root, "models--some--text/snapshots/abc/config.json", "CLIPTextModel");
        let path = root.join("models--some--vae/snapshots/abc");
        assert_eq!(in_cache(root), [AutoencoderPlace { name: "some/vae".into(), path }]);
    }
}
