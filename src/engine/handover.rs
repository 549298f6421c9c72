//! How a pass of a chain gets what the one before it left. The one place for this rule: the window
//! tells it before a run, and the run follows it.

use std::path::{Path, PathBuf};

use super::{
    EngineError, Request,
    autoencoder::Found,
    memo::Memo,
    pass::{Pass, diffusion_model, passes},
};
use crate::networks::weights;

/// How many comparisons of autoencoders are remembered.
const COMPARISONS_KEPT: usize = 16;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The latents, as they are.
    Latents,
    /// The picture, decoded and encoded again. The text says why, for a person.
    Picture(String),
}

/// How the later passes of a request get what the one before them left, in order. Reads
/// configurations, and weights of autoencoders only where these agree; takes up to seconds then.
///
/// # Errors
/// If a model of the chain cannot be found or read.
pub fn handovers(request: &Request) -> Result<Vec<Handover>, EngineError> {
    let first = diffusion_model(&request.model)?;
    let mut passes = passes(&first, request)?;
    Handovers::default().settle(&mut passes)?;
    Ok(passes.into_iter().filter_map(|pass| pass.handover).collect())
}

/// Answers by the rule, and remembers which autoencoders are the same.
pub struct Handovers {
    comparisons: Memo<(PathBuf, PathBuf), bool>,
}

impl Default for Handovers {
    fn default() -> Self {
        Self { comparisons: Memo::new(COMPARISONS_KEPT) }
    }
}

impl Handovers {
    /// Settles for every pass but the first how it gets what the one before it left.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn settle(&mut self, passes: &mut [Pass]) -> Result<(), EngineError> {
        let count = passes.len();
        for index in 1..count {
            let (before, pass) = (&passes[index - 1], &passes[index]);
            let handover = self.between(before, pass).map_err(|e| e.in_pass(index, count))?;
            passes[index].handover = Some(handover);
        }
        Ok(())
    }

    fn between(&mut self, before: &Pass, pass: &Pass) -> Result<Handover, EngineError> {
        let (theirs, ours) = (&before.folder, &pass.folder);
        let looks_around = ours.is_inpainting() && ours.image_embeds.is_none();
        let reason = if looks_around {
            format!("{} looks at the picture around the mask", ours.name)
        } else if self.share_autoencoder(before, pass)? {
            return Ok(Handover::Latents);
        } else {
            format!("{} and {} have different autoencoders", theirs.name, ours.name)
        };
        let takes_over =
            pass.request.denoising_start.is_some() && before.request.denoising_end.is_some();
        let noise = if takes_over { ", and noise that is left in it suffers" } else { "" };
        Ok(Handover::Picture(format!("{reason}{noise}")))
    }

    /// Whether latents of one model mean the same to another: the same autoencoder, to the byte.
    fn share_autoencoder(&mut self, one: &Pass, other: &Pass) -> Result<bool, EngineError> {
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

    fn autoencoder(config: &str, weights: &[f32], shape: &[usize]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let weights = Tensor::from_slice(weights, shape, &candle_core::Device::Cpu).unwrap();
        weights.save_safetensors("a", folder.path().join("model.safetensors")).unwrap();
        folder
    }

    #[test]
    fn autoencoders_are_the_same_if_their_settings_and_bytes_are() {
        let set = r#"{"scaling_factor": 0.5}"#;
        let one = autoencoder(set, &[7.0; 1000], &[10, 100]);
        let mut changed = vec![7.0; 1000];
        changed[999] = 8.0;
        let elsewhere = r#"{"scaling_factor": 0.5, "_name_or_path": "elsewhere"}"#;
        for (config, weights, shape, right) in [
            (elsewhere, &[7.0; 1000][..], &[10, 100][..], true),
            (set, &[7.0; 1000], &[10, 100, 1, 1], true),
            (set, &[7.0; 1000], &[100, 10], false),
            (r#"{"scaling_factor": 0.4}"#, &[7.0; 1000], &[10, 100], false),
            (set, &changed, &[10, 100], false),
            (set, &[7.0; 990], &[10, 99], false),
        ] {
            let other = autoencoder(config, weights, shape);
            assert_eq!(same(one.path(), other.path()).unwrap(), right, "{config} {shape:?}");
        }
        assert!(same(one.path(), Path::new("/nowhere")).is_err());
    }
}
