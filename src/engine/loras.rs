//! The LoRAs of a loaded model: files that were read for it, and which are in place.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{EngineError, LoraUse, Monitor, Request};
use crate::{
    catalog,
    networks::adapters::{AlphaRule, Lora, Parts, install},
};

/// Kept beside the networks whose slots they fill. A file is read when it is first asked for, and
/// kept as long as requests name it: changing a scale reads nothing.
pub struct Loras {
    read: Vec<(Version, Lora)>,
    /// Unknown after an error.
    in_place: Option<Vec<(Version, f64)>>,
    /// Those of them that change what prompts become.
    of_text: Vec<(Version, f64)>,
}

impl Default for Loras {
    fn default() -> Self {
        Self { read: Vec::new(), in_place: Some(Vec::new()), of_text: Vec::new() }
    }
}

/// A file as it was when it was read, and how its alphas were understood.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    rule: AlphaRule,
}

impl Loras {
    /// Puts those of the request in place, and no others. Gives whether prompts may read
    /// differently from before.
    ///
    /// # Errors
    /// If a file is not there, is no LoRA, or does not fit the model.
    pub fn put_in_place(
        &mut self,
        request: &Request,
        parts: &Parts<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<bool, EngineError> {
        let rule = if request.exact { AlphaRule::Reference } else { AlphaRule::Own };
        let version = |lora: &LoraUse| Ok((Version::of(&lora.path, rule)?, lora.scale));
        let wanted = request.lora.iter().map(version).collect::<Result<Vec<_>, EngineError>>()?;
        if self.in_place.as_ref() == Some(&wanted) {
            return Ok(false);
        }
        self.read(&wanted, parts, monitor)?;
        self.in_place = None;
        let chosen =
            wanted.iter().filter_map(|(version, scale)| Some((self.find(version)?, *scale)));
        install(parts, &chosen.collect::<Vec<_>>())?;
        let changes_text = |(version, scale): &&(Version, f64)| {
            *scale != 0.0 && self.find(version).is_some_and(Lora::changes_text)
        };
        let of_text: Vec<_> = wanted.iter().filter(changes_text).cloned().collect();
        let news = of_text != self.of_text;
        (self.in_place, self.of_text) = (Some(wanted), of_text);
        Ok(news)
    }

    /// Reads what is not read yet, and forgets what is not wanted any more.
    fn read(
        &mut self,
        wanted: &[(Version, f64)],
        parts: &Parts<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        self.read.retain(|(known, _)| wanted.iter().any(|(version, _)| version == known));
        for (version, _) in wanted {
            if self.find(version).is_none() {
                monitor.loading("Loading the LoRA", None)?;
                let lora = Lora::open(&version.path, parts, version.rule)?;
                self.read.push((version.clone(), lora));
            }
        }
        Ok(())
    }

    fn find(&self, version: &Version) -> Option<&Lora> {
        self.read.iter().find(|(known, _)| known == version).map(|(_, lora)| lora)
    }
}

impl Version {
    fn of(named: &Path, rule: AlphaRule) -> Result<Self, EngineError> {
        let path = catalog::LORAS.find(named).map_err(EngineError::invalid)?;
        let file = fs::metadata(&path)
            .map_err(|error| EngineError::invalid(format!("{}: {error}", path.display())))?;
        Ok(Self { path, length: file.len(), modified: file.modified().ok(), rule })
    }
}
