//! Tiny autoencoders: where one lies on this machine.

use std::path::{Path, PathBuf};

use super::{hub_cache, places};

/// The repository owner of the published ones.
const OWNER: &str = "madebyollin";

/// The tiny autoencoder `name` (`taesd`, `taesdxl`): a folder with a `config.json`, or a file of
/// its weights, in the folders of models (also by the names of other programs), or in the hub's
/// cache.
pub fn tiny_autoencoder(name: &str) -> Option<PathBuf> {
    let local = places::model_folders().into_iter().find_map(|folder| in_folder(&folder, name));
    local.or_else(|| in_cache(&places::hub_cache_folder()?, name))
}

fn in_folder(folder: &Path, name: &str) -> Option<PathBuf> {
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

fn in_cache(cache: &Path, name: &str) -> Option<PathBuf> {
    hub_cache::snapshot_where(&cache.join(format!("models--{OWNER}--{name}")), is_component)
}

fn is_component(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_come_before_files_and_the_cache_is_looked_through() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let file = place.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "{}").unwrap();
            file
        };
        assert_eq!(in_folder(place.path(), "taesd"), None);
        let approximate = write("vae_approx/taesd_decoder.safetensors");
        assert_eq!(in_folder(place.path(), "taesd"), Some(approximate));
        let file = write("taesd.safetensors");
        assert_eq!(in_folder(place.path(), "taesd"), Some(file));
        write("taesd/config.json");
        assert_eq!(in_folder(place.path(), "taesd"), Some(place.path().join("taesd")));
        assert_eq!(in_folder(place.path(), "taesdxl"), None);
        write("models--madebyollin--taesdxl/snapshots/abc/config.json");
        let cached = place.path().join("models--madebyollin--taesdxl/snapshots/abc");
        assert_eq!(in_cache(place.path(), "taesdxl"), Some(cached));
    }
}
