//! The layout of the hub's cache: `models--owner--name/{refs/main, snapshots/COMMIT/...}`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::places::is_model;

/// The models in a hub cache, by `owner/name`.
pub fn models(cache: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(cache) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = path.file_name()?.to_str()?.strip_prefix("models--")?.replace("--", "/");
            Some((id, snapshot(&path)?))
        })
        .collect();
    found.sort();
    found
}

/// The snapshot that `main` stands for, or any that holds a model.
pub fn snapshot(repository: &Path) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs/main"))
        .ok()
        .map(|commit| snapshots.join(commit.trim()));
    let others = fs::read_dir(&snapshots).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    main.into_iter().chain(others).find(|path| is_model(path))
}
