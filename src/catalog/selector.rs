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

/// The weights of smart select: in the model folders, or in the hub's cache. Of several, the
/// quickest.
pub fn weights() -> Option<PathBuf> {
    let local = places::look_through().found.into_iter().map(|found| found.path);
    let cached = hub_cache::snapshots(&places::hub_cache_folder()).into_iter();
    quickest(local.chain(cached.flat_map(|folder| entries(&folder))))
}

fn quickest(files: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    files.filter_map(|file| Some((rank(&file)?, file))).min().map(|(_, file)| file)
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
        let files = ["mobile_sam.pt", "other.safetensors", "sam_vit_h_4b8939.safetensors"];
        let found = |names: &[&str]| quickest(names.iter().map(PathBuf::from));
        assert_eq!(found(&files[..2]), None);
        assert_eq!(found(&files), Some(files[2].into()));
        let small = "deeper/mobile_sam-tiny-vitt.safetensors";
        assert_eq!(found(&[&files[..], &[small]].concat()), Some(small.into()));
    }
}
