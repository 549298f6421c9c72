//! The words of textual inversion that a loaded model knows.

use std::{fs, path::PathBuf, time::SystemTime};

use super::{EmbeddingUse, EngineError, PromptSyntax, Request, text::TextEncoders};
use crate::{
    catalog,
    networks::{Spelling, TextualInversion},
};

/// What the text encoders have learned. Files are read again only where something changed.
pub struct Inversions {
    /// Unknown after an error.
    learned: Option<Vec<Version>>,
}

/// A file as it was when it was read.
#[derive(Debug, PartialEq)]
struct Version {
    path: PathBuf,
    token: Option<String>,
    spelling: Spelling,
    length: u64,
    modified: Option<SystemTime>,
}

impl Default for Inversions {
    fn default() -> Self {
        Self { learned: Some(Vec::new()) }
    }
}

impl Inversions {
    /// Teaches the encoders the words of the request, and no others. Gives whether prompts may
    /// read differently from before.
    ///
    /// # Errors
    /// If a file is not there, is no embedding, or does not fit the model.
    pub fn teach(
        &mut self,
        encoders: &mut TextEncoders,
        request: &Request,
    ) -> Result<bool, EngineError> {
        let version = |wanted: &EmbeddingUse| Version::of(wanted, spelling(request));
        let wanted = request.embeddings.iter().map(version).collect::<Result<Vec<_>, _>>()?;
        if self.learned.as_ref() == Some(&wanted) {
            return Ok(false);
        }
        self.learned = None;
        encoders.learn(&read(request)?, spelling(request))?;
        self.learned = Some(wanted);
        Ok(true)
    }
}

/// How words must be spelled to be taken whole: in exact mode as strictly as the reference is.
pub fn spelling(request: &Request) -> Spelling {
    match request.syntax() {
        PromptSyntax::Plain if request.exact => Spelling::Verbatim,
        PromptSyntax::Compel if request.exact => Spelling::Small,
        _ => Spelling::Any,
    }
}

/// The embeddings of a request.
///
/// # Errors
/// If a file is not there, or is no embedding.
pub fn read(request: &Request) -> Result<Vec<TextualInversion>, EngineError> {
    let open = |wanted: &EmbeddingUse| {
        let path = catalog::EMBEDDINGS.find(&wanted.path).map_err(EngineError::invalid)?;
        Ok(TextualInversion::open(&path, wanted.token.as_deref())?)
    };
    request.embeddings.iter().map(open).collect()
}

impl Version {
    fn of(wanted: &EmbeddingUse, spelling: Spelling) -> Result<Self, EngineError> {
        let path = catalog::EMBEDDINGS.find(&wanted.path).map_err(EngineError::invalid)?;
        let file = fs::metadata(&path)
            .map_err(|error| EngineError::invalid(format!("{}: {error}", path.display())))?;
        let (length, modified) = (file.len(), file.modified().ok());
        Ok(Self { path, token: wanted.token.clone(), spelling, length, modified })
    }
}
