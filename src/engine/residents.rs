//! The models that are loaded, and which of them share an autoencoder.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use candle_core::DType;

use super::{
    Device, EngineError, Monitor, autoencoder::Found, device, memo::Memo, models::Model, pass::Pass,
};

/// How many comparisons of autoencoders are remembered.
const COMPARISONS_KEPT: usize = 16;

/// See the module. The models of the run before stay, so that it can be repeated at once.
pub struct Residents {
    models: Vec<(Key, Model)>,
    comparisons: Memo<(PathBuf, PathBuf), bool>,
}

/// A loaded model serves requests that agree in these.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    path: PathBuf,
    device: Device,
    dtype: DType,
}

impl Default for Residents {
    fn default() -> Self {
        Self { models: Vec::new(), comparisons: Memo::new(COMPARISONS_KEPT) }
    }
}

impl Residents {
    /// Drops every model but those of a run: others need not fit into memory beside them.
    pub fn keep(&mut self, passes: &[Pass]) {
        self.models.retain(|(key, _)| passes.iter().any(|pass| pass.folder.path == key.path));
    }

    /// The model, loaded if it was not.
    pub fn get(
        &mut self,
        Pass { request, folder }: &Pass,
        monitor: &mut dyn Monitor,
    ) -> Result<&mut Model, EngineError> {
        let device = device::open(request.device)?;
        let dtype = device::dtype(request.dtype, &device);
        let key = Key { path: folder.path.clone(), device: request.device, dtype };
        let index = match self.models.iter().position(|(resident, _)| *resident == key) {
            Some(index) => index,
            None => {
                // Dropped first: the same in another format need not fit beside it.
                self.models.retain(|(resident, _)| resident.path != key.path);
                let model = Model::load(folder, device, dtype, monitor)?;
                self.models.push((key, model));
                self.models.len() - 1
            }
        };
        Ok(&mut self.models[index].1)
    }

    /// Whether latents of one model mean the same to another: the same autoencoder, to the byte.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn share_autoencoder(&mut self, one: &Pass, other: &Pass) -> Result<bool, EngineError> {
        // A chain that names another autoencoder names it for every pass.
        if one.request.vae.is_some() || one.folder.path == other.folder.path {
            return Ok(one.request.vae == other.request.vae);
        }
        let (one, other) = (one.folder.path.join("vae"), other.folder.path.join("vae"));
        self.comparisons.get_or_try((one.clone(), other.clone()), || same(&one, &other))
    }
}

fn same(one: &Path, other: &Path) -> Result<bool, EngineError> {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if resolved(one) == resolved(other) {
        return Ok(true);
    }
    if !Found::open(one)?.is_set_like(&Found::open(other)?) {
        return Ok(false);
    }
    let (ours, theirs) = (weights(one)?, weights(other)?);
    if ours.len() != theirs.len() {
        return Ok(false);
    }
    for (a, b) in ours.iter().zip(&theirs) {
        if !same_bytes(a, b).map_err(|error| unreadable(a, error))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The weight files of a folder, in order of their names.
fn weights(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    Ok(files)
}

fn same_bytes(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    const PIECE: usize = 1 << 16;
    let (mut one, mut other) =
        (BufReader::with_capacity(PIECE, one), BufReader::with_capacity(PIECE, other));
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = one.read(&mut a)?;
        if count == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..count])?;
        if a[..count] != b[..count] {
            return Ok(false);
        }
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> EngineError {
    EngineError::invalid(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoencoder(config: &str, weights: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
        folder
    }

    #[test]
    fn autoencoders_are_the_same_if_their_settings_and_bytes_are() {
        let one = autoencoder(r#"{"scaling_factor": 0.5}"#, &[7; 100_000]);
        let mut changed = vec![7; 100_000];
        changed[99_999] = 8;
        for (config, weights, right) in [
            (r#"{"scaling_factor": 0.5, "_name_or_path": "elsewhere"}"#, vec![7; 100_000], true),
            (r#"{"scaling_factor": 0.4}"#, vec![7; 100_000], false),
            (r#"{"scaling_factor": 0.5}"#, changed, false),
            (r#"{"scaling_factor": 0.5}"#, vec![7; 99_999], false),
        ] {
            let other = autoencoder(config, &weights);
            assert_eq!(same(one.path(), other.path()).unwrap(), right, "{config}");
        }
        assert!(same(one.path(), Path::new("/nowhere")).is_err());
    }
}
