//! Which LoRAs and embeddings there are: files in folders, at any depth, by their names without
//! `.safetensors`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::{CatalogError, places};

/// How deep folders in folders are looked through.
const DEPTH: usize = 4;

/// Files of one kind, and where they are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Shelf {
    /// What one of them is called.
    kind: &'static str,
    /// The variable that names folders, separated as in PATH.
    variable: &'static str,
    /// The folder in the program's data folder.
    folder: &'static str,
    /// The file in the program's settings that lists the folders that were added in the window.
    list: &'static str,
}

/// Additions to a model's layers.
pub const LORAS: Shelf =
    Shelf { kind: "LoRA", variable: "OVERPAINT_LORAS", folder: "loras", list: "lora-folders.txt" };

/// Words of one's own (textual inversion).
pub const EMBEDDINGS: Shelf = Shelf {
    kind: "embedding",
    variable: "OVERPAINT_EMBEDDINGS",
    folder: "embeddings",
    list: "embedding-folders.txt",
};

/// A file that may be of its shelf's kind; what it is shows when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShelfFile {
    /// Without folder and extension.
    pub name: String,
    pub path: PathBuf,
}

impl Shelf {
    /// Where they are looked for: the folders of the variable, those that were added in the window,
    /// then the one in the program's data folder.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = env::var_os(self.variable)
            .map(|paths| env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()).collect())
            .unwrap_or_default();
        folders.extend(self.added_folders());
        folders.extend(places::data_folder().map(|data| data.join(self.folder)));
        folders
    }

    /// The folders that were added in the window, one a line of a file.
    fn added_folders(&self) -> Vec<PathBuf> {
        let text = self.list_file().and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
    }

    /// Looks into `folder`, too, now and in future.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn add_folder(&self, folder: &Path) -> io::Result<()> {
        let file = self.list_file().ok_or_else(|| io::Error::other("there is no home folder"))?;
        let mut added = self.added_folders();
        if added.iter().any(|known| known == folder) {
            return Ok(());
        }
        added.push(folder.to_path_buf());
        let lines: Vec<String> = added.iter().map(|folder| folder.display().to_string()).collect();
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(file, lines.join("\n") + "\n")
    }

    fn list_file(&self) -> Option<PathBuf> {
        let strategy = etcetera::choose_base_strategy().ok()?;
        Some(strategy.config_dir().join("overpaint").join(self.list))
    }

    /// All files in the folders, by name; the first of equal names counts.
    pub fn list(&self) -> Vec<ShelfFile> {
        let mut found: Vec<ShelfFile> = Vec::new();
        for folder in self.folders() {
            for file in files_in(&folder, DEPTH) {
                if found.iter().all(|known| known.name != file.name) {
                    found.push(file);
                }
            }
        }
        found.sort();
        found
    }

    /// The file that a path, a file's name or a name of the list stands for.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, named: &Path) -> Result<PathBuf, CatalogError> {
        if named.is_file() {
            return Ok(named.to_path_buf());
        }
        let name = named.to_string_lossy();
        let is_it = |file: &ShelfFile| {
            file.name == name || file.path.file_name().is_some_and(|file| file == named.as_os_str())
        };
        if let Some(file) = self.list().into_iter().find(is_it) {
            return Ok(file.path);
        }
        let folders: Vec<String> = self.folders().iter().map(|f| f.display().to_string()).collect();
        Err(CatalogError::NoFile {
            kind: self.kind,
            name: name.into_owned(),
            folders: folders.join(", "),
            variable: self.variable,
        })
    }
}

fn files_in(folder: &Path, depth: usize) -> Vec<ShelfFile> {
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
            found.push(ShelfFile { name: name.to_string_lossy().into_owned(), path });
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
        assert_eq!(LORAS.find(&found[1].path).unwrap(), found[1].path);
        let error = LORAS.find(Path::new("no such")).unwrap_err().to_string();
        assert!(error.contains("no such") && error.contains("OVERPAINT_LORAS"), "{error}");
    }
}
