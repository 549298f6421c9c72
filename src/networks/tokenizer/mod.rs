//! `CLIPTokenizer`: text to token ids, as transformers 5.23 does it. That class builds its
//! pipeline anew from the vocabulary, whatever `tokenizer.json` says about it, and so does this.

mod special;
mod vocabulary;

use std::path::Path;

use tokenizers::{
    Encoding, SplitDelimiterBehavior, Tokenizer,
    models::bpe::BPE,
    normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern},
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence as PreTokenizers,
        split::{Split, SplitPattern},
    },
};

use self::{special::SpecialTokens, vocabulary::Vocabulary};
use super::{NetworkError, Result};

/// What counts as a word; everything else is dropped.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// How much of a text the encoder will see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// Tokens of the text, without start and end.
    pub tokens: usize,
    /// As many are encoded at most.
    pub limit: usize,
    /// Where the part begins that is cut off, in bytes of the text.
    pub cut_from: Option<usize>,
}

/// See the module.
pub struct ClipTokenizer {
    pipeline: Tokenizer,
    start: u32,
    end: u32,
    padding: u32,
    max_length: usize,
}

impl ClipTokenizer {
    /// From a `tokenizer` folder: `tokenizer.json`, or `vocab.json` and `merges.txt`. Where it has
    /// neither, or does not exist, OpenAI's CLIP vocabulary is used.
    ///
    /// # Errors
    /// If a file is there but is not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        let special = SpecialTokens::open(folder)?;
        let build =
            || -> tokenizers::Result<Self> { Self::build(Vocabulary::open(folder)?, special) };
        build().map_err(|error| match error.downcast::<NetworkError>() {
            Ok(error) => *error,
            Err(error) => failure(folder, error),
        })
    }

    fn build(vocabulary: Vocabulary, special: SpecialTokens) -> tokenizers::Result<Self> {
        let model = BPE::builder()
            .vocab_and_merges(vocabulary.ids, vocabulary.merges)
            .unk_token(special.unknown)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix("</w>".to_owned())
            .build()?;
        let mut pipeline = Tokenizer::new(model);
        let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
        pipeline.with_normalizer(Some(Normalizers::new(vec![
            NFC.into(),
            spaces.into(),
            Lowercase.into(),
        ])))?;
        let words = SplitPattern::Regex(WORDS.to_owned());
        pipeline.with_pre_tokenizer(Some(PreTokenizers::new(vec![
            Split::new(words, SplitDelimiterBehavior::Removed, true)?.into(),
            ByteLevel::new(false, true, true).into(),
        ])));
        pipeline.add_tokens(special.added)?;
        let id = |token: &str| {
            pipeline.token_to_id(token).ok_or_else(|| format!("the token {token} has no id"))
        };
        let (start, end) = (id(&special.start)?, id(&special.end)?);
        let padding = id(&special.padding)?;
        Ok(Self { start, end, padding, max_length: special.max_length, pipeline })
    }

    /// Ids a text is made of, start, end and padding included: 77.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The text's ids, cut or padded to [`max_length`](Self::max_length).
    ///
    /// # Errors
    /// If the pipeline fails, which no text is known to make it do.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.parts(text)?;
        let kept = &encoding.get_ids()[..encoding.len().min(self.limit())];
        let mut ids = Vec::with_capacity(self.max_length);
        ids.push(self.start);
        ids.extend_from_slice(kept);
        ids.push(self.end);
        ids.resize(self.max_length, self.padding);
        Ok(ids)
    }

    /// How many tokens the text has, and where it will be cut off. Errors as
    /// [`encode`](Self::encode).
    pub fn count(&self, text: &str) -> Result<TokenCount> {
        let encoding = self.parts(text)?;
        let limit = self.limit();
        let cut_from = encoding.get_offsets().get(limit).map(|(start, _)| *start);
        Ok(TokenCount { tokens: encoding.len(), limit, cut_from })
    }

    /// Tokens between start and end.
    fn limit(&self) -> usize {
        self.max_length.saturating_sub(2)
    }

    fn parts(&self, text: &str) -> Result<Encoding> {
        let fail = |error| failure("the prompt", error);
        self.pipeline.encode(text, false).map_err(fail)
    }
}

fn failure(file: impl AsRef<Path>, why: impl ToString) -> NetworkError {
    NetworkError::Tokenizer { file: file.as_ref().to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> ClipTokenizer {
        ClipTokenizer::open(Path::new("a folder that does not exist")).unwrap()
    }

    #[test]
    fn a_prompt_everyone_knows() {
        let ids = built_in().encode("a photo of a cat").unwrap();
        assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert!(ids.len() == 77 && ids[7..].iter().all(|id| *id == 49407));
    }

    #[test]
    fn long_texts_are_cut_at_the_limit() {
        let tokenizer = built_in();
        let text = "cat ".repeat(80);
        let ids = tokenizer.encode(&text).unwrap();
        assert!(ids.len() == 77 && ids[75] == 2368 && ids[76] == 49407);
        let count = tokenizer.count(&text).unwrap();
        assert_eq!(count, TokenCount { tokens: 80, limit: 75, cut_from: Some(75 * 4) });
        assert_eq!(tokenizer.count("cat").unwrap().cut_from, None);
    }

    #[test]
    fn the_cut_lies_between_characters() {
        let text = format!("é {}", "ü🦊".repeat(40));
        let cut = built_in().count(&text).unwrap().cut_from.unwrap();
        assert!(text.is_char_boundary(cut));
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), "{\"model\": 3}").unwrap();
        let text = ClipTokenizer::open(folder.path()).err().unwrap().to_string();
        assert!(text.contains("tokenizer.json"), "{text}");
        std::fs::write(folder.path().join("tokenizer_config.json"), "{").unwrap();
        let text = ClipTokenizer::open(folder.path()).err().unwrap().to_string();
        assert!(text.contains("tokenizer_config.json"), "{text}");
    }
}
