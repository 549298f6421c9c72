//! Which files of a folder are looked at.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::catalog::single_file::{FORMATS, PICKLES};

/// Folders within folders, at most.
const DEPTH: usize = 12;
/// A folder with more entries than this is not one of models.
const MOST_ENTRIES: usize = 200_000;

/// Folders of programs that hold no models and many files.
const SKIPPED: [&str; 8] = [
    "node_modules",
    "venv",
    ".venv",
    "__pycache__",
    "site-packages",
    "custom_nodes",
    "outputs",
    "output",
];

/// How a program arranges its models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    ComfyUi,
    A1111,
    InvokeAi,
    /// Any folder.
    Plain,
}

impl Layout {
    /// What a folder looks like, and where below it the models are.
    pub fn of(folder: &Path) -> (Self, Vec<PathBuf>) {
        let has = |path: &str| folder.join(path).exists();
        let below = |paths: &[&str]| {
            let paths = paths.iter().map(|path| folder.join(path));
            paths.filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        if has("models/checkpoints") {
            return (Self::ComfyUi, below(&["models"]));
        }
        if has("models/Stable-diffusion") {
            return (Self::A1111, below(&["models", "embeddings"]));
        }
        if has("invokeai.yaml") && has("models") || has("databases/invokeai.db") {
            return (Self::InvokeAi, below(&["models"]));
        }
        (Self::Plain, vec![folder.to_owned()])
    }

    /// For a person.
    pub fn label(self) -> &'static str {
        match self {
            Self::ComfyUi => "ComfyUI",
            Self::A1111 => "A1111",
            Self::InvokeAi => "InvokeAI",
            Self::Plain => "folder",
        }
    }
}

/// What was come across.
#[derive(Debug, Default)]
pub struct Walked {
    pub files: Vec<Candidate>,
    /// Folders of a whole pipeline, or of what may be one network with its configuration.
    pub folders: Vec<PathBuf>,
    /// Files that hold models, but as pickles.
    pub pickles: usize,
}

/// A safetensors file as the folder's listing shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    pub path: PathBuf,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

/// Looks through a folder and those in it.
pub fn walk(root: &Path) -> Walked {
    let mut walked = Walked::default();
    let mut seen = HashSet::new();
    let mut entries = 0;
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        // A link can lead back to where we come from.
        let Ok(real) = folder.canonicalize() else { continue };
        if depth > DEPTH || entries > MOST_ENTRIES || !seen.insert(real) {
            continue;
        }
        let Ok(listing) = fs::read_dir(&folder) else { continue };
        let mut listed: Vec<PathBuf> =
            listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries += listed.len();
        listed.sort();
        let (inside, files): (Vec<_>, Vec<_>) = listed.into_iter().partition(|path| path.is_dir());
        let network = is_network(&files);
        if files.iter().any(|file| file.ends_with("model_index.json")) || network == Some(true) {
            walked.folders.push(folder);
            continue;
        }
        if network == Some(false) {
            walked.folders.push(folder);
        }
        let describes =
            |folder: &Path| FORMATS.iter().any(|format| files.contains(&added(folder, format)));
        let inside = inside.into_iter().filter(|folder| is_worth_it(folder) && !describes(folder));
        folders.extend(inside.map(|folder| (folder, depth + 1)));
        files.into_iter().for_each(|file| walked.note(file));
    }
    walked.files.sort_by(|a, b| a.path.cmp(&b.path));
    walked.folders.sort();
    walked
}

impl Walked {
    fn note(&mut self, path: PathBuf) {
        let extension =
            path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        if PICKLES.contains(&extension.as_str()) {
            self.pickles += 1;
        }
        if !FORMATS.contains(&extension.as_str()) {
            return;
        }
        let Ok(about) = fs::metadata(&path) else { return };
        let modified = about.modified().ok();
        let modified = modified.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |age| age.as_nanos() as u64);
        self.files.push(Candidate { bytes: about.len(), modified, path });
    }
}

/// Whether these are the files of one network with its configuration, and if so, whether its weights
/// are among them.
fn is_network(files: &[PathBuf]) -> Option<bool> {
    files.iter().find(|file| file.ends_with("config.json"))?;
    let weights =
        || files.iter().filter(|file| file.extension().is_some_and(|e| e == "safetensors"));
    let of_component = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        STEMS.iter().any(|stem| name.starts_with(stem))
    };
    weights().all(of_component).then(|| weights().next().is_some())
}

/// What the weights of a network in a folder of its own are called: diffusers' name, then
/// transformers'.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The file that a folder of the same name says more about.
fn added(folder: &Path, format: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(format);
    name.into()
}

fn is_worth_it(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !name.starts_with('.') && !SKIPPED.contains(&name)
}
