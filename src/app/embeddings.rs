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
}
