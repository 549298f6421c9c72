//! Where models are looked for.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::{
    Kind,
    folder::folder_name,
    hub_cache,
    scan::{Found, Scan, scan},
};
use crate::hub;

/// Folders of models: those of `OVERPAINT_MODELS` (separated as in PATH), those that the person
/// added, then `models` in the program's data folder.
pub fn model_folders() -> Vec<PathBuf> {
    let mut folders = folders_of_variable("OVERPAINT_MODELS");
    folders.extend(ADDED.read());
    folders.extend(data_folder().map(|data| data.join("models")));
    folders
}

/// The folders that the person asked to be looked through for models of any kind.
pub const ADDED: FolderList = FolderList("model-folders.txt");

/// Folders that the person added, one a line of a file of this name in the program's settings.
#[derive(Clone, Copy, Debug)]
pub struct FolderList(pub(super) &'static str);

impl FolderList {
    pub fn read(self) -> Vec<PathBuf> {
        let text = self.file().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
    }

    /// Puts a folder at the end, unless it is there.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn remember(self, folder: &Path) -> io::Result<()> {
        let mut folders = self.read();
        if folders.iter().any(|known| known == folder) {
            return Ok(());
        }
        folders.push(folder.to_path_buf());
        self.write(&folders)
    }

    /// Takes a folder out; whether it was there.
    ///
    /// # Errors
    /// When that cannot be remembered.
    pub fn forget(self, folder: &Path) -> io::Result<bool> {
        let mut folders = self.read();
        let before = folders.len();
        folders.retain(|known| known != folder);
        if folders.len() == before { Ok(false) } else { self.write(&folders).map(|()| true) }
    }

    fn write(self, folders: &[PathBuf]) -> io::Result<()> {
        let file = self.file().ok_or_else(|| io::Error::other("there is no home folder"))?;
        let lines: Vec<String> =
            folders.iter().map(|folder| folder.display().to_string()).collect();
        save(&file, (lines.join("\n") + "\n").as_bytes())
    }

    fn file(self) -> Option<PathBuf> {
        let strategy = etcetera::choose_base_strategy().ok()?;
        Some(strategy.config_dir().join("overpaint").join(self.0))
    }
}

/// Writes a small file whole or not at all, and the folders that it lies in.
pub(super) fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    crate::pixels::codec::save_atomically(file, |writer| writer.write_all(bytes))
}

/// The folders that an environment variable names, separated as in PATH.
pub(super) fn folders_of_variable(name: &str) -> Vec<PathBuf> {
    let paths = env::var_os(name).unwrap_or_default();
    env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect()
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

/// The cache of the Hugging Face hub's own tools.
pub fn hub_cache_folder() -> PathBuf {
    hub::Settings::from_env().cache
}

/// Everything in the folders of models, by headers and configurations. Quick where nothing changed
/// since the last time, but not for the thread that draws.
pub fn look_through() -> Scan {
    scan(&model_folders(), &cache_folder().join("scan.json"))
}

/// The models found, by id and path: a folder's or a checkpoint's name, or `owner/name` from the
/// hub's cache. The first of equal ids counts.
pub fn models() -> Vec<(String, PathBuf)> {
    let scan = look_through();
    let local = scan.of_kind(|kind| matches!(kind, Kind::Model(_) | Kind::Prior)).map(named);
    distinct(local.chain(hub_cache::models(&hub_cache_folder())))
}

/// What was found, by its id: a folder's or a file's name.
pub(super) fn named(found: &Found) -> (String, PathBuf) {
    (folder_name(&found.path), found.path.clone())
}

/// The first of each id.
pub(super) fn distinct(places: impl Iterator<Item = (String, PathBuf)>) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for (id, path) in places {
        if found.iter().all(|(other, _)| *other != id) {
            found.push((id, path));
        }
    }
    found
}

pub(super) fn is_model(folder: &Path) -> bool {
    folder.join("model_index.json").is_file()
}
