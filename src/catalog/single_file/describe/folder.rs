//! A description as a folder in the cache.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};

use crate::{
    catalog::{CatalogError, places, single_file::config::Config},
    key_map::{Source, TABLE},
};

/// A folder to be written: its files' texts, by their paths in it.
pub struct Description {
    name: String,
    files: BTreeMap<String, String>,
}

impl Description {
    pub fn new(name: String) -> Self {
        Self { name, files: BTreeMap::new() }
    }

    pub fn add(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), text);
    }

    pub fn add_json(&mut self, path: &str, object: Config) {
        self.add(path, Value::Object(object).to_string());
    }

    pub fn add_source(&mut self, part: &str, source: &Source) {
        self.add(&inside(part, TABLE), json!(source).to_string());
    }

    /// The folder with these files; it is there already if the same was described before.
    pub fn write(&self) -> Result<PathBuf, CatalogError> {
        let root = places::cache_folder().join("single-files");
        let folder = root.join(format!("{}-{:016x}", self.name, self.hash()));
        if folder.is_dir() {
            return Ok(folder);
        }
        self.write_to(&folder).map_err(|error| CatalogError::Describe {
            path: folder.clone(),
            reason: error.to_string(),
        })?;
        Ok(folder)
    }

    /// Beside the target, then renamed: never half a description.
    fn write_to(&self, folder: &Path) -> io::Result<()> {
        // Other threads and programs may be describing the same file.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = folder.with_extension(format!("part-{}-{number}", std::process::id()));
        for (name, text) in &self.files {
            let file = partial.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&partial))?;
            fs::write(file, text)?;
        }
        let renamed = fs::rename(&partial, folder);
        if renamed.is_err() {
            // Another program may have been faster.
            fs::remove_dir_all(&partial)?;
            if folder.is_dir() {
                return Ok(());
            }
        }
        renamed
    }

    /// FNV-1a over everything.
    fn hash(&self) -> u64 {
        let texts =
            self.files.iter().flat_map(|(name, text)| [name.as_bytes(), b"\0", text.as_bytes()]);
        texts.flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// A file of a component; one without a name is the folder itself.
pub fn inside(part: &str, name: &str) -> String {
    if part.is_empty() { name.to_owned() } else { format!("{part}/{name}") }
}
