//! Which LoRAs and embeddings there are: files in folders, at any depth, by their names without
//! `.safetensors`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    CatalogError, Kind,
    places::{self, FolderList},
    preset, presets,
};

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
    /// The folders that were added in the window.
    added: FolderList,
    /// What of the folders of models belongs to it.
    holds: fn(Kind) -> bool,
}

/// Additions to a model's layers.
pub const LORAS: Shelf = Shelf {
    kind: "LoRA",
    variable: "OVERPAINT_LORAS",
    folder: "loras",
    added: FolderList("lora-folders.txt"),
    holds: |kind| matches!(kind, Kind::Lora(_)),
};

/// Words of one's own (textual inversion).
pub const EMBEDDINGS: Shelf = Shelf {
    kind: "embedding",
    variable: "OVERPAINT_EMBEDDINGS",
    folder: "embeddings",
    added: FolderList("embedding-folders.txt"),
    holds: |kind| matches!(kind, Kind::Embedding(_)),
};

/// A file that may be of its shelf's kind; what it is shows when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShelfFile {
    /// Without folder and extension.
    pub name: String,
    pub path: PathBuf,
}

impl Shelf {
    /// Where they are looked for besides the folders of models: the folders of the variable, those
    /// that were added in the window, then the one in the program's data folder.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = places::folders_of_variable(self.variable);
        folders.extend(self.added.read());
        folders.extend(places::data_folder().map(|data| data.join(self.folder)));
        folders
    }

    /// Looks into `folder`, too, now and in future.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn add_folder(&self, folder: &Path) -> io::Result<()> {
        self.added.remember(folder)
    }

    /// All files in the folders, those of the kind in the folders of models, and what was fetched of
    /// the catalogue, by name; the first of equal names counts.
    pub fn list(&self) -> Vec<ShelfFile> {
        let own = self.folders().into_iter().flat_map(|folder| files_in(&folder, DEPTH));
        let scan = places::look_through();
        let others = scan.of_kind(self.holds);
        let others =
            others.map(|found| ShelfFile { name: found.name.clone(), path: found.path.clone() });
        let cache = places::hub_cache_folder();
        let fetched = presets().iter().filter(|preset| (self.holds)(preset.kind));
        let fetched = fetched.filter_map(|preset| {
            Some(ShelfFile { name: preset.id.clone(), path: preset.installed(&cache)? })
        });
        let mut found: Vec<ShelfFile> = Vec::new();
        for file in own.chain(others).chain(fetched) {
            if found.iter().all(|known| known.name != file.name) {
                found.push(file);
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
        if let Some(preset) = preset(&name).filter(|preset| (self.holds)(preset.kind)) {
            return Err(CatalogError::NotFetched { model: preset.id.clone() });
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
