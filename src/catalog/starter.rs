//! The model that ships inside the program. It is unpacked once to the cache folder, under a name
//! that changes with its bytes, so that it loads by the same code as any other.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::{CatalogError, places};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/starter.rs"));
}

/// Whether this build carries a starter model.
pub fn is_available() -> bool {
    !embedded::FILES.is_empty()
}

/// The folder of the starter model, unpacked if it was not yet.
pub fn folder() -> Result<PathBuf, CatalogError> {
    static UNPACKING: Mutex<()> = Mutex::new(());
    if !is_available() {
        return Err(CatalogError::NoStarter);
    }
    let _one_at_a_time = UNPACKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = places::cache_folder().join(format!("starter-{:016x}", embedded::HASH));
    if is_complete(&target) {
        return Ok(target);
    }
    unpack(&target).map_err(|error| CatalogError::Unpack {
        path: target.clone(),
        reason: error.to_string(),
    })?;
    Ok(target)
}

/// Every file is there with its full length.
fn is_complete(folder: &Path) -> bool {
    embedded::FILES.iter().all(|(name, bytes)| {
        fs::metadata(folder.join(name)).is_ok_and(|file| file.len() == bytes.len() as u64)
    })
}

/// Writes the files beside the target and renames the folder into place: never half a model, also
/// when two programs start at once.
fn unpack(target: &Path) -> io::Result<()> {
    let partial = target.with_extension(format!("part-{}", std::process::id()));
    for (name, bytes) in embedded::FILES {
        let file = partial.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&partial))?;
        fs::write(file, bytes)?;
    }
    if target.exists() && !is_complete(target) {
        fs::remove_dir_all(target)?;
    }
    let renamed = fs::rename(&partial, target);
    if renamed.is_err() {
        // Another program may have been faster; what counts is a complete folder.
        fs::remove_dir_all(&partial)?;
        if is_complete(target) {
            return Ok(());
        }
    }
    renamed
}
