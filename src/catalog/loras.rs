//! Which LoRA files there are: in folders, at any depth, by their names without `.safetensors`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::{CatalogError, places};

/// How deep folders in folders are looked through.
const DEPTH: usize = 4;

/// A file that may be a LoRA; what it is shows when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoraFile {
    /// Without folder and extension.
    pub name: String,
    pub path: PathBuf,
}

/// Where they are looked for: the folders of `OVERPAINT_LORAS` (separated as in PATH), those that
/// were added in the window, then `loras` in the program's data folder.
pub fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("OVERPAINT_LORAS")
        .map(|paths| env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    folders.extend(added_folders());
    folders.extend(places::data_folder().map(|data| data.join("loras")));
    folders
}

/// The folders that were added in the window, one a line of a file.
fn added_folders() -> Vec<PathBuf> {
    let text = list_file().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
}

/// Looks into `folder`, too, now and in future.
///
/// # Errors
/// When it cannot be remembered.
pub fn add_folder(folder: &Path) -> io::Result<()> {
    let file = list_file().ok_or_else(|| io::Error::other("there is no home folder"))?;
    let mut added = added_folders();
    if added.iter().any(|known| known == folder) {
        return Ok(());
    }
    added.push(folder.to_path_buf());
    let lines: Vec<String> = added.iter().map(|folder| folder.display().to_string()).collect();
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    fs::write(file, lines.join("\n") + "\n")
}

fn list_file() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("overpaint/lora-folders.txt"))
}

/// All files in the folders, by name; the first of equal names counts.
pub fn list() -> Vec<LoraFile> {
    let mut found: Vec<LoraFile> = Vec::new();
    for folder in folders() {
        for file in files_in(&folder, DEPTH) {
            if found.iter().all(|known| known.name != file.name) {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

/// The file that a path or a name of the list stands for.
///
/// # Errors
/// When there is none.
pub fn find(named: &Path) -> Result<PathBuf, CatalogError> {
    if named.is_file() {
        return Ok(named.to_path_buf());
    }
    let name = named.to_string_lossy();
    if let Some(file) = list().into_iter().find(|file| file.name == name) {
        return Ok(file.path);
    }
    let folders: Vec<String> = folders().iter().map(|f| f.display().to_string()).collect();
    Err(CatalogError::NoLora { name: name.into_owned(), folders: folders.join(", ") })
}

fn files_in(folder: &Path, depth: usize) -> Vec<LoraFile> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            if depth > 1 {
                found.extend(files_in(&path, depth - 1));
            }
        } else if path.extension().is_some_and(|extension| extension == "safetensors")
            && let Some(name) = path.file_stem()
        {
            found.push(LoraFile { name: name.to_string_lossy().into_owned(), path });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_folders_of_folders() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("styles")).unwrap();
        for file in ["b.safetensors", "notes.txt", "styles/a.v2.safetensors"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        let found = files_in(root.path(), DEPTH);
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["b", "a.v2"]);
        assert_eq!(files_in(root.path(), 1).len(), 1);
        assert_eq!(find(&found[1].path).unwrap(), found[1].path);
        let error = find(Path::new("no such")).unwrap_err().to_string();
        assert!(error.contains("no such") && error.contains("OVERPAINT_LORAS"), "{error}");
    }
}
