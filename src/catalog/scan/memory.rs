//! What is known of files that have not changed since the last time: a header is read once.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Class, walk::Candidate};
use crate::catalog::places;

/// Changes whenever what is remembered, or how it is found out, does.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    files: HashMap<PathBuf, Remembered>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    bytes: u64,
    modified: u64,
    found: Found,
}

/// What a header told, or why it was not read.
pub type Found = Result<Class, String>;

impl Memory {
    /// As stored; empty where there is none, or none that can be used.
    pub fn open(file: &Path) -> Self {
        let text = fs::read(file).unwrap_or_default();
        let memory: Self = serde_json::from_slice(&text).unwrap_or_default();
        if memory.version == VERSION { memory } else { Self::default() }
    }

    /// What is known of a file that is still as it was.
    pub fn get(&self, file: &Candidate) -> Option<&Found> {
        let known = self.files.get(&file.path)?;
        (known.bytes == file.bytes && known.modified == file.modified).then_some(&known.found)
    }

    pub fn set(&mut self, file: &Candidate, found: Found) {
        let remembered = Remembered { bytes: file.bytes, modified: file.modified, found };
        self.files.insert(file.path.clone(), remembered);
    }

    /// Forgets files that were in this folder and are no longer.
    pub fn keep(&mut self, folder: &Path, there: &[Candidate]) {
        let there: HashSet<&Path> = there.iter().map(|file| file.path.as_path()).collect();
        self.files.retain(|path, _| !path.starts_with(folder) || there.contains(path.as_path()));
    }

    pub fn save(&mut self, file: &Path) -> io::Result<()> {
        self.version = VERSION;
        places::save(file, &serde_json::to_vec(self)?)
    }
}
