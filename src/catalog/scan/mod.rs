//! What lies in the folders that a person names: checkpoints, LoRAs, embeddings and the rest, known
//! by their headers. Nothing but headers is read, and each of them once.

mod memory;
mod walk;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use serde::{Deserialize, Serialize};

pub use self::walk::Layout;
use self::{memory::Memory, walk::Candidate};
use super::{
    Kind, Model, SingleFile, autoencoders, folder::folder_name, inspect_controlnet, places,
};

/// Everything found in some folders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    pub found: Vec<Found>,
    pub folders: Vec<ScannedFolder>,
}

/// A folder that was looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFolder {
    pub path: PathBuf,
    pub layout: Layout,
    /// How many models lie in it.
    pub models: usize,
    /// How many more cannot be used because they are pickles.
    pub pickles: usize,
    /// Whether it is there at all.
    pub exists: bool,
}

/// A file, or a folder that is one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub path: PathBuf,
    /// For a person: the file's name without its ending, or the folder's.
    pub name: String,
    pub bytes: u64,
    /// What it is; `Err` says what is wrong with it.
    pub class: Result<Class, String>,
}

/// What a header or a configuration tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    pub kind: Kind,
    /// Of a U-Net's input: 9 for those made for inpainting.
    pub in_channels: Option<usize>,
}

impl Found {
    /// What a person reads below its name.
    pub fn about(&self) -> String {
        let Class { kind, in_channels } = match &self.class {
            Ok(class) => *class,
            Err(why) => return why.clone(),
        };
        let family = match kind {
            Kind::Model(_) => None,
            kind => kind.family().map(|family| format!(" for {}", family.name())),
        };
        let inpainting = if in_channels == Some(9) { ", made for inpainting" } else { "" };
        format!("{}{}{inpainting}", kind.name(), family.unwrap_or_default())
    }

    pub fn kind(&self) -> Option<Kind> {
        self.class.as_ref().ok().map(|class| class.kind)
    }
}

/// Looks through folders. What was found out is remembered in `memory`.
pub fn scan(folders: &[PathBuf], memory: &Path) -> Scan {
    let mut known = Memory::open(memory);
    let mut scan = Scan::default();
    let mut changed = false;
    for folder in folders {
        changed |= scan.folder(folder, &mut known);
    }
    // What is named twice, or reached from two folders, is one model.
    let mut seen = HashSet::new();
    scan.found.retain(|found| seen.insert(found.path.clone()));
    if changed && let Err(error) = known.save(memory) {
        log::warn!("{}: {error}", memory.display());
    }
    scan
}

impl Scan {
    /// Everything of some kinds.
    pub fn of_kind(&self, is_wanted: fn(Kind) -> bool) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| found.kind().is_some_and(is_wanted))
    }

    /// Adds a folder; true if something new was learnt.
    fn folder(&mut self, folder: &Path, known: &mut Memory) -> bool {
        let (layout, roots) = Layout::of(folder);
        let before = self.found.len();
        let (mut pickles, mut learnt) = (0, false);
        for root in &roots {
            let walked = walk::walk(root);
            pickles += walked.pickles;
            learnt |= self.files(&walked.files, known);
            let folders = walked.folders.par_iter().filter_map(|path| found_folder(path));
            self.found.extend(folders.collect::<Vec<_>>());
            known.keep(root, &walked.files);
        }
        self.folders.push(ScannedFolder {
            path: folder.to_owned(),
            layout,
            models: self.found.len() - before,
            pickles,
            exists: folder.is_dir(),
        });
        learnt
    }

    fn files(&mut self, files: &[Candidate], known: &mut Memory) -> bool {
        let looked: Vec<(bool, memory::Found)> = files
            .par_iter()
            .map(|file| match known.get(file) {
                Some(found) => (false, found.clone()),
                None => (true, class_of(&file.path)),
            })
            .collect();
        let mut learnt = false;
        for (file, (new, class)) in files.iter().zip(looked) {
            if new {
                known.set(file, class.clone());
                learnt = true;
            }
            let (path, bytes) = (file.path.clone(), file.bytes);
            self.found.push(Found { name: name_of(&path), path, bytes, class });
        }
        learnt
    }
}

/// What one file is, from its header.
fn class_of(path: &Path) -> Result<Class, String> {
    let file = SingleFile::open(path).map_err(|error| error.to_string())?;
    Ok(Class { kind: file.kind(), in_channels: file.in_channels() })
}

/// A folder with a configuration: a pipeline, one network, or nothing that is known.
fn found_folder(path: &Path) -> Option<Found> {
    let class = class_of_folder(path).transpose()?;
    Some(Found { path: path.to_owned(), name: folder_name(path), bytes: bytes_in(path), class })
}

fn class_of_folder(path: &Path) -> Result<Option<Class>, String> {
    let told = |error: super::CatalogError| error.to_string();
    if places::is_model(path) {
        return Model::open(path).map(|model| class_of_model(&model)).map_err(told);
    }
    let alone = |kind| Some(Class { kind, in_channels: None });
    if let Some(controlnet) = inspect_controlnet(path).map_err(told)? {
        return Ok(alone(Kind::ControlNet(controlnet.family())));
    }
    Ok(autoencoders::kind_of_component(path).and_then(alone))
}

fn class_of_model(model: &Model) -> Option<Class> {
    match model {
        Model::ContentAware => None,
        Model::Prior(_) => Some(Class { kind: Kind::Prior, in_channels: None }),
        Model::Diffusion(folder) => {
            let in_channels = Some(folder.in_channels);
            Some(Class { kind: Kind::Model(folder.family), in_channels })
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            if path.is_dir() { Some(bytes_in(&path)) } else { Some(path.metadata().ok()?.len()) }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use super::*;

    /// A file of one empty tensor of this name.
    fn write(path: &Path, tensor: &str) {
        let header = format!(
            r#"{{"{tensor}": {{"dtype": "F16", "shape": [0, 768], "data_offsets": [0, 0]}}}}"#
        );
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(path, [&length[..], header.as_bytes()].concat()).unwrap();
    }

    const LORA: &str = "attn2.to_k.lora.down.weight";

    #[test]
    fn the_folders_of_other_programs_are_known() {
        let place = tempfile::tempdir().unwrap();
        let [comfy, a1111, invoke, plain] =
            ["comfy", "a1111", "invoke", "plain"].map(|name| place.path().join(name));
        fs::create_dir_all(comfy.join("models/checkpoints")).unwrap();
        write(&comfy.join("models/loras/deep/a.safetensors"), LORA);
        write(&comfy.join("custom_nodes/models/b.safetensors"), LORA);
        fs::write(comfy.join("models/checkpoints/old.ckpt"), "pickle").unwrap();
        fs::create_dir_all(a1111.join("models/Stable-diffusion")).unwrap();
        write(&a1111.join("models/Lora/c.safetensors"), LORA);
        write(&a1111.join("embeddings/d.safetensors"), "emb_params");
        fs::create_dir_all(invoke.join("models")).unwrap();
        fs::write(invoke.join("invokeai.yaml"), "").unwrap();
        write(&invoke.join("models/sd-1/lora/e.safetensors"), LORA);
        write(&plain.join("f.sft"), LORA);
        // What lies in the folder of a file's name says more about that file.
        write(&plain.join("f/vae/g.safetensors"), LORA);
        fs::write(plain.join("cut.safetensors"), [9; 20]).unwrap();
        let nowhere = place.path().join("nowhere");
        let folders = [comfy, a1111, invoke, plain, nowhere];
        let scan = scan(&folders, &place.path().join("memory.json"));
        let mut names: Vec<_> =
            scan.of_kind(|kind| matches!(kind, Kind::Lora(_))).map(|f| f.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "c", "e", "f"]);
        let counts = |folder: &ScannedFolder| (folder.layout, folder.models, folder.pickles);
        assert_eq!(
            scan.folders.iter().map(counts).collect::<Vec<_>>(),
            [
                (Layout::ComfyUi, 1, 1),
                (Layout::A1111, 2, 0),
                (Layout::InvokeAi, 1, 0),
                (Layout::Plain, 2, 0),
                (Layout::Plain, 0, 0),
            ]
        );
        assert!(!scan.folders[4].exists);
        let cut = scan.found.iter().find(|found| found.name == "cut").unwrap();
        assert!(cut.about().contains("damaged"), "{}", cut.about());
        let about = |name: &str| scan.found.iter().find(|f| f.name == name).unwrap().about();
        assert_eq!(about("a"), "a LoRA for Stable Diffusion 1");
    }

    #[test]
    fn a_header_is_read_again_only_when_its_file_changed() {
        let place = tempfile::tempdir().unwrap();
        let (folder, memory) = (place.path().join("models"), place.path().join("memory.json"));
        let file = folder.join("a.safetensors");
        let kind = || scan(std::slice::from_ref(&folder), &memory).found[0].kind();
        let touch = |seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        write(&file, LORA);
        touch(1000);
        assert!(matches!(kind(), Some(Kind::Lora(_))));
        // As long, of the same time, but something else: nobody looks.
        write(&file, &format!("{:_<27}", "emb_params"));
        touch(1000);
        assert!(matches!(kind(), Some(Kind::Lora(_))));
        touch(2000);
        assert!(!matches!(kind(), Some(Kind::Lora(_))));
        fs::remove_file(&file).unwrap();
        assert!(scan(std::slice::from_ref(&folder), &memory).found.is_empty());
        fs::write(&memory, "{").unwrap();
        write(&file, LORA);
        assert!(matches!(kind(), Some(Kind::Lora(_))), "a damaged memory is none");
    }
}
