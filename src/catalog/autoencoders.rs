//! Autoencoders that lie on this machine by themselves, without a model: in folders with a
//! `config.json`, and tiny ones as files.

use std::path::{Path, PathBuf};

use super::{
    Kind, hub_cache,
    json::read_object,
    places,
    scan::{Found, Scan},
};

/// The repository owner of the published tiny ones.
const TINY_OWNER: &str = "madebyollin";
/// Their names: for Stable Diffusion 1 and 2, and for XL.
const TINY: [&str; 2] = ["taesd", "taesdxl"];

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
    let scan = places::look_through();
    let cached = in_cache(&places::hub_cache_folder());
    let mut found: Vec<_> = in_folders(&scan).chain(cached).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|later, first| later.name == first.name);
    found
}

/// The tiny autoencoder `name` (`taesd`, `taesdxl`), where it lies in the folders of models (also by
/// the names of other programs) or in the hub's cache.
pub fn tiny_autoencoder(name: &str) -> Option<PathBuf> {
    let local = in_folders(&places::look_through()).find(|place| place.name == name);
    let local = local.map(|place| place.path);
    local.or_else(|| tiny_in_cache(&places::hub_cache_folder(), name))
}

/// Tiny ones first by their usual names, under which other programs keep the decoder alone.
fn in_folders(scan: &Scan) -> impl Iterator<Item = AutoencoderPlace> {
    let kinds = |kind| matches!(kind, Kind::Autoencoder | Kind::TinyAutoencoder);
    let place = |found: &Found| {
        let (id, path) = places::named(found);
        let tiny = Some(found.name.strip_suffix("_decoder").unwrap_or(&found.name));
        let name = tiny.filter(|name| TINY.contains(name)).map_or(id, str::to_owned);
        AutoencoderPlace { name, path }
    };
    let mut found: Vec<_> = scan.of_kind(kinds).map(place).collect();
    // Folders before files: they say more.
    found.sort_by_key(|place| {
        (place.path.is_file(), place.path.to_string_lossy().contains("_decoder"))
    });
    found.into_iter()
}

fn in_cache(cache: &Path) -> Vec<AutoencoderPlace> {
    let place = |(name, repository): (String, PathBuf)| {
        let path = hub_cache::snapshot_where(&repository, is_component)?;
        Some(AutoencoderPlace { name, path })
    };
    hub_cache::repositories(cache).into_iter().filter_map(place).collect()
}

fn tiny_in_cache(cache: &Path, name: &str) -> Option<PathBuf> {
    hub_cache::snapshot_where(&cache.join(format!("models--{TINY_OWNER}--{name}")), is_component)
}

fn is_component(folder: &Path) -> bool {
    kind_of_component(folder).is_some()
}

/// Whether a folder's `config.json` is that of an autoencoder, and of which kind.
pub(super) fn kind_of_component(folder: &Path) -> Option<Kind> {
    let config = read_object(&folder.join("config.json")).ok()?;
    match config.get("_class_name")?.as_str()? {
        "AutoencoderKL" => Some(Kind::Autoencoder),
        "AutoencoderTiny" => Some(Kind::TinyAutoencoder),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::catalog::scan::scan;

    fn write(root: &Path, path: &str, class: &str) -> PathBuf {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!(r#"{{"_class_name": "{class}"}}"#)).unwrap();
        file
    }

    fn look_through(folder: &Path) -> Vec<AutoencoderPlace> {
        let memory = folder.join("scan.json");
        in_folders(&scan(&[folder.to_owned()], &memory)).collect()
    }

    /// A tiny decoder as its author publishes it: numbered layers.
    fn write_tiny(root: &Path, path: &str) -> PathBuf {
        let header = r#"{"1.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
        let file = write(root, path, "");
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&file, [&length[..], header.as_bytes(), &[0; 4]].concat()).unwrap();
        file
    }

    #[test]
    fn folders_come_before_files_and_the_cache_is_looked_through() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let tiny = || look_through(root).into_iter().find(|place| place.name == "taesd");
        assert_eq!(tiny(), None);
        let approximate = write_tiny(root, "vae_approx/taesd_decoder.safetensors");
        assert_eq!(tiny().unwrap().path, approximate);
        let file = write_tiny(root, "taesd.safetensors");
        assert_eq!(tiny().unwrap().path, file);
        write(root, "others/taesd/config.json", "AutoencoderTiny");
        assert_eq!(tiny().unwrap().path, root.join("others/taesd"));
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
        write_tiny(root, "taesd.safetensors");
        let names: Vec<_> = look_through(root).into_iter().map(|place| place.name).collect();
        assert_eq!(names, ["softer", "taesd"]);
        write(root, "models--some--vae/snapshots/abc/config.json", "AutoencoderKL");
        write(root, "models--some--text/snapshots/abc/config.json", "CLIPTextModel");
        let path = root.join("models--some--vae/snapshots/abc");
        assert_eq!(in_cache(root), [AutoencoderPlace { name: "some/vae".into(), path }]);
    }
}
