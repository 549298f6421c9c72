//! Where models are looked for.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::{Kind, SingleFile, hub_cache};

/// Folders of models: those of `OVERPAINT_MODELS` (separated as in PATH), then `models` in the
/// program's data folder.
pub fn model_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("OVERPAINT_MODELS")
        .map(|paths| env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    folders.extend(data_folder().map(|data| data.join("models")));
    folders
}

/// Where the person keeps what belongs to the program.
pub fn data_folder() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.data_dir().join("overpaint"))
}

/// Where the program keeps what must survive it and belongs to this machine alone.
pub fn state_folder() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    // Not all platforms have a place of its own for it.
    Some(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("overpaint"))
}

/// Where the program keeps what it can make again.
pub fn cache_folder() -> PathBuf {
    match etcetera::choose_base_strategy() {
        Ok(strategy) => strategy.cache_dir().join("overpaint"),
        Err(_) => env::temp_dir().join("overpaint"),
    }
}

/// The cache of the Hugging Face hub's own tools, as `HF_HUB_CACHE` and `HF_HOME` say.
pub fn hub_cache_folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("HF_HUB_CACHE") {
        return Some(folder.into());
    }
    if let Some(home) = env::var_os("HF_HOME") {
        return Some(PathBuf::from(home).join("hub"));
    }
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("huggingface/hub"))
}

/// The models found, by id and path: a folder's or a checkpoint's name, or `owner/name` from the hub's cache.
/// The first of equal ids counts.
pub fn models() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let local = model_folders().into_iter().flat_map(|folder| models_in(&folder));
    let cached = hub_cache_folder().into_iter().flat_map(|folder| hub_cache::models(&folder));
    for (id, path) in local.chain(cached) {
        if found.iter().all(|(other, _)| *other != id) {
            found.push((id, path));
        }
    }
    found
}

/// Everything that may hold something, by id: folders and files in the model folders, and the repositories of
/// the hub's cache.
pub(super) fn all() -> Vec<(String, PathBuf)> {
    let local = model_folders().into_iter().flat_map(|folder| {
        let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.is_dir() || path.extension().is_some_and(|e| e == "safetensors"));
        found.sort();
        found.push(folder);
        found
    });
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let local = local.filter_map(|path| Some((name(&path)?, path)));
    let cached = hub_cache_folder().into_iter().flat_map(|cache| hub_cache::repositories(&cache));
    local.chain(cached).collect()
}

/// A folder that is a model itself, or the models directly in it, by name.
fn models_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    if is_model(folder) {
        return name(folder).map(|id| (id, folder.to_path_buf())).into_iter().collect();
    }
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_model(path) || is_checkpoint(path))
        .filter_map(|path| Some((name(&path)?, path)))
        .collect();
    found.sort();
    found
}

/// By the header: such folders hold LoRAs and autoencoders, too.
fn is_checkpoint(path: &Path) -> bool {
    path.is_file() && SingleFile::open(path).is_ok_and(|file| matches!(file.kind(), Kind::Model(_)))
}

pub(super) fn is_model(folder: &Path) -> bool {
    folder.join("model_index.json").is_file()
}
