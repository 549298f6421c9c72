//! The layout of the hub's cache: `models--owner--name/{refs/main, snapshots/COMMIT/...}`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::places::is_model;

/// The models in a hub cache, by `owner/name`.
pub fn models(cache: &Path) -> Vec<(String, PathBuf)> {
    let snapshot = |(id, path): (String, PathBuf)| Some((id, snapshot(&path)?));
    repositories(cache).into_iter().filter_map(snapshot).collect()
}

/// Every repository of models in a hub cache, by `owner/name`, whatever is in it.
pub fn repositories(cache: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(cache) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = path.file_name()?.to_str()?.strip_prefix("models--")?.replace("--", "/");
            Some((id, path))
        })
        .collect();
    found.sort();
    found
}

/// The folders of all snapshots in a hub cache.
pub fn snapshots(cache: &Path) -> Vec<PathBuf> {
    let folders = |folder: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let mut found: Vec<_> = folders(cache)
        .iter()
        .flat_map(|repository| folders(&repository.join("snapshots")))
        .collect();
    found.sort();
    found
}

/// The snapshot that `main` stands for, or any that holds a model.
pub fn snapshot(repository: &Path) -> Option<PathBuf> {
    snapshot_where(repository, is_model)
}

/// The same for what `is_whole` says is whole.
pub fn snapshot_where(repository: &Path, is_whole: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs/main"))
        .ok()
        .map(|commit| snapshots.join(commit.trim()));
    let others = fs::read_dir(&snapshots).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    main.into_iter().chain(others).find(|path| is_whole(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_of_main_counts_and_half_downloads_do_not() {
        let cache = tempfile::tempdir().unwrap();
        let model = |repository: &str, commit: &str| {
            let folder = cache.path().join(repository).join("snapshots").join(commit);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("model_index.json"), "{}").unwrap();
            folder
        };
        model("models--some--one", "aaa");
        let main = model("models--some--one", "bbb");
        fs::create_dir_all(cache.path().join("models--some--one/refs")).unwrap();
        fs::write(cache.path().join("models--some--one/refs/main"), "bbb\n").unwrap();
        fs::create_dir_all(cache.path().join("models--half--done/snapshots/ccc")).unwrap();
        model("datasets--some--pictures", "ddd");
        let without_main = model("models--no--main", "eee");
        let expected = [("no/main".to_owned(), without_main), ("some/one".to_owned(), main)];
        assert_eq!(models(cache.path()), expected);
    }
}
