//! Where the weights of smart select (Segment Anything) lie, if they are on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{hub_cache, places};

/// How the usual files begin, the smallest first: MobileSAM's, then the original's.
const NAMES: [&str; 4] = ["mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h"];

/// Where to get them, for a person.
pub const SOURCE: &str =
    "mobile_sam-tiny-vitt.safetensors (40 MB) of lmz/candle-sam on the Hugging Face hub";

/// The weights of smart select: in the model folders, one folder deeper, or in the hub's cache. Of
/// several, the quickest.
pub fn weights() -> Option<PathBuf> {
    let local = places::model_folders().into_iter().flat_map(|folder| with_folders(&folder));
    let cached =
        places::hub_cache_folder().into_iter().flat_map(|cache| hub_cache::snapshots(&cache));
    quickest(local.chain(cached))
}

fn quickest(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let files =
        folders.flat_map(|folder| entries(&folder)).filter_map(|file| Some((rank(&file)?, file)));
    files.min().map(|(_, file)| file)
}

/// A folder and the folders in it.
fn with_folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = entries(folder);
    folders.retain(|path| path.is_dir());
    folders.push(folder.to_owned());
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn rank(file: &Path) -> Option<usize> {
    let name = file.file_name()?.to_str()?.to_lowercase();
    NAMES.iter().position(|start| name.starts_with(start) && name.ends_with(".safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_of_the_usual_files_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let deeper = folder.path().join("sam");
        fs::create_dir(&deeper).unwrap();
        let found = || quickest(with_folders(folder.path()).into_iter());
        for name in ["mobile_sam.pt", "other.safetensors"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(found(), None);
        let large = folder.path().join("sam_vit_h_4b8939.safetensors");
        fs::write(&large, "").unwrap();
        assert_eq!(found(), Some(large));
        let small = deeper.join("mobile_sam-tiny-vitt.safetensors");
        fs::write(&small, "").unwrap();
        assert_eq!(found(), Some(small));
    }
}
