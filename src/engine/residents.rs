//! The models that are loaded, and which of them share an autoencoder.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::{
    Device, EngineError, Monitor, autoencoder::Found, device, memo::Memo, memory::Arrangement,
    models::Model, pass::Pass,
};
use crate::networks::weights;

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
        Pass { request, folder, arrangement, .. }: &Pass,
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
                self.rest_others(None, arrangement);
                let vae = request.vae.as_deref();
                let model = Model::load(folder, vae, device, dtype, arrangement, monitor)?;
                self.models.push((key, model));
                self.models.len() - 1
            }
        };
        self.rest_others(Some(index), arrangement);
        let model = &mut self.models[index].1;
        model.arrange(arrangement);
        Ok(model)
    }

    /// Makes room where one model does not fit beside another.
    fn rest_others(&self, index: Option<usize>, arrangement: &Arrangement) {
        if arrangement.alone {
            let others = self.models.iter().enumerate().filter(|(i, _)| Some(*i) != index);
            others.for_each(|(_, (_, model))| model.rest());
        }
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
        if one.folder.autoencoder_part != other.folder.autoencoder_part {
            return Ok(false);
        }
        let part = |pass: &Pass| pass.folder.path.join(pass.folder.autoencoder_part);
        let (one, other) = (part(one), part(other));
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
    Ok(weights::same(one, other)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;

    fn autoencoder(config: &str, weights: &[f32]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let weights = Tensor::new(weights, &candle_core::Device::Cpu).unwrap();
        weights.save_safetensors("a", folder.path().join("model.safetensors")).unwrap();
        folder
    }

    #[test]
    fn autoencoders_are_the_same_if_their_settings_and_bytes_are() {
        let one = autoencoder(r#"{"scaling_factor": 0.5}"#, &[7.0; 1000]);
        let mut changed = vec![7.0; 1000];
        changed[999] = 8.0;
        for (config, weights, right) in [
            (r#"{"scaling_factor": 0.5, "_name_or_path": "elsewhere"}"#, vec![7.0; 1000], true),
            (r#"{"scaling_factor": 0.4}"#, vec![7.0; 1000], false),
            (r#"{"scaling_factor": 0.5}"#, changed, false),
            (r#"{"scaling_factor": 0.5}"#, vec![7.0; 999], false),
        ] {
            let other = autoencoder(config, &weights);
            assert_eq!(same(one.path(), other.path()).unwrap(), right, "{config}");
        }
        assert!(same(one.path(), Path::new("/nowhere")).is_err());
    }
}
