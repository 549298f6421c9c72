//! How much of the prompts is read, counted beside their fields.

use super::{App, background::Background};
use crate::engine::{EmbeddingUse, PromptReader, Request, prompts::PromptReading};

/// What a reader is opened for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderKey {
    model: String,
    embeddings: Vec<EmbeddingUse>,
}

/// The words of one model, and what it made of the prompts last.
#[derive(Default)]
pub struct PromptCounts {
    /// What `reader` is for, or will be.
    key: Option<ReaderKey>,
    reader: Option<Box<PromptReader>>,
    counted: Option<(Request, Result<[PromptReading; 2], String>)>,
}

impl PromptCounts {
    /// The prompt and the negative prompt as they are read, or why they cannot be; nothing while
    /// nothing is known.
    pub fn readings(&self) -> Option<Result<&[PromptReading; 2], &str>> {
        let (_, readings) = self.counted.as_ref()?;
        Some(readings.as_ref().map_err(String::as_str))
    }

    /// Counts the prompts of a request, as soon as there is a reader for it.
    fn count(&mut self, request: Request, background: &Background) {
        if self.counted.as_ref().is_some_and(|(counted, _)| *counted == request) {
            return;
        }
        if request.prompt.is_empty() && request.negative_prompt.is_none() {
            self.counted = None;
            return;
        }
        let key =
            ReaderKey { model: request.model.clone(), embeddings: request.embeddings.clone() };
        if self.key.as_ref() != Some(&key) {
            self.reader = None;
            self.key = Some(key.clone());
            background.open_prompt_reader(key, request.clone());
        }
        self.counted = self.reader.as_ref().map(|reader| {
            let readings = reader.read(&request).map_err(|error| error.to_string());
            (request, readings)
        });
    }

    /// Takes a reader that was opened in the background, unless another is wanted by now.
    pub fn opened(&mut self, key: &ReaderKey, reader: Result<Box<PromptReader>, String>) {
        if self.key.as_ref() != Some(key) {
            return;
        }
        match reader {
            Ok(reader) => self.reader = Some(reader),
            // The run will say the same.
            Err(why) => log::info!("the prompts are not counted: {why}"),
        }
    }
}

impl App {
    /// Keeps the counts beside the fields right.
    pub(super) fn count_prompts(&mut self) {
        let diffuses = self.models.iter().any(|m| m.id == self.settings.model && m.diffuses);
        if diffuses {
            self.prompt_counts.count(self.settings.request(), &self.background);
        }
    }
}
