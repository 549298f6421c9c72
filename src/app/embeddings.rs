//! The words of one's own that prompts may hold, and the files behind them.

use std::path::Path;

use super::App;
use crate::{
    catalog::EMBEDDINGS,
    engine::{
        EmbeddingUse,
        prompts::{FoundEmbedding, TextShape},
    },
};

/// Embeddings that were found, and the model that they must fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    pub found: Vec<FoundEmbedding>,
    pub shape: TextShape,
}

impl Embeddings {
    /// Those that the model can read.
    pub fn fitting(&self) -> impl Iterator<Item = &FoundEmbedding> {
        self.found.iter().filter(|embedding| self.shape.fits_found(embedding))
    }

    /// What is in the folders now; files from elsewhere stay as long as they are there.
    pub fn take(&mut self, mut found: Vec<FoundEmbedding>) {
        for known in std::mem::take(&mut self.found) {
            if found.iter().all(|embedding| embedding.path != known.path) && known.path.is_file() {
                found.push(known);
            }
        }
        self.found = found;
    }

    /// Those whose words stand in one of the texts.
    pub fn wanted(&self, texts: &[&str]) -> Vec<EmbeddingUse> {
        let is_named =
            |embedding: &&FoundEmbedding| texts.iter().any(|text| has_word(text, &embedding.token));
        let wanted = self.fitting().filter(is_named);
        wanted
            .map(|embedding| EmbeddingUse {
                path: embedding.path.clone(),
                token: Some(embedding.token.clone()),
            })
            .collect()
    }
}

/// A word behind a text.
fn append(text: &mut String, word: &str) {
    if !text.is_empty() && !text.ends_with(char::is_whitespace) {
        text.push(' ');
    }
    text.push_str(word);
}

/// Whether a word stands in a text by itself, in letters of any case.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    text.match_indices(&word).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        !before.ends_with(joins) && !behind.starts_with(joins)
    })
}

impl App {
    /// Looks into the folders again.
    pub(super) fn find_embeddings(&mut self) {
        self.background.find_embeddings();
    }

    /// Puts the word of an embedding into the prompt, and the file into the list if it is new.
    pub(super) fn use_embedding(&mut self, path: &Path) {
        let embeddings = &mut self.settings.embeddings;
        if embeddings.found.iter().all(|embedding| embedding.path != path) {
            match FoundEmbedding::open(path) {
                Ok(embedding) => embeddings.found.push(embedding),
                Err(why) => return self.complain(why.to_string()),
            }
        }
        let chosen = embeddings.found.iter().find(|embedding| embedding.path == path);
        let Some(embedding) = chosen else { return };
        if embeddings.shape.fits_found(embedding) {
            append(&mut self.settings.prompt, &embedding.token);
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.complain(format!(
                "{name} was made for another family of models; choose one of those first"
            ));
        }
    }

    /// Looks into another folder from now on.
    pub(super) fn add_embedding_folder(&mut self, folder: &Path) {
        match EMBEDDINGS.add_folder(folder) {
            Ok(()) => self.find_embeddings(),
            Err(why) => self.complain(format!("the folder of embeddings is not remembered: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_by_themselves() {
        assert!(has_word("a <Moss> boat", "<moss>"));
        assert!(has_word("(FOG-x:1.2)", "fog-x"));
        assert!(!has_word("a foggy day", "fog"));
        assert!(!has_word("fog_2", "fog"));
    }

    #[test]
    fn words_are_appended() {
        let mut text = String::new();
        append(&mut text, "<moss>");
        append(&mut text, "fog");
        assert_eq!(text, "<moss> fog");
    }
}
