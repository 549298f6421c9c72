//! `CLIPTokenizer`: text to token ids, as transformers 5.23 does it. That class builds its
//! pipeline anew from the vocabulary, whatever `tokenizer.json` says about it, and so does this.

mod special;
mod vocabulary;

use std::{ops::Range, path::Path};

use tokenizers::{
    AddedToken, SplitDelimiterBehavior, Tokenizer,
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
use crate::prompt::chunks::{Frame, LongText, Token, lay_out};

/// What counts as a word; everything else is dropped.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// See the module.
pub struct ClipTokenizer {
    pipeline: Tokenizer,
    frame: Frame,
    inversions: Vec<Inversion>,
}

/// A word of textual inversion.
struct Inversion {
    word: String,
    /// The ids of its vectors.
    ids: Range<u32>,
    spelling: Spelling,
}

/// How a word of textual inversion must be spelled for all of its vectors to be taken; otherwise
/// only the first one is. Words are found whatever the case of their letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// In any way.
    Any,
    /// It was named in small letters: what Compel makes of words in the reference's pipelines.
    Small,
    /// Named in small letters and written as named: what those pipelines do.
    Verbatim,
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
        let frame = Frame {
            start: id(&special.start)?,
            end: id(&special.end)?,
            padding: id(&special.padding)?,
            length: special.max_length,
        };
        Ok(Self { pipeline, frame, inversions: Vec::new() })
    }

    /// This tokenizer with words of textual inversion, and how many vectors each has. Their ids
    /// follow those of the vocabulary, in order; the first one is given as well. A word with n
    /// vectors is added as `word`, `word_1` to `word_(n-1)`, as the reference does it.
    ///
    /// # Errors
    /// If the vocabulary has one of the words, or there are two of one name.
    pub fn with_words(&self, words: &[(&str, usize)], spelling: Spelling) -> Result<(Self, u32)> {
        let mut pipeline = self.pipeline.clone();
        let mut inversions = Vec::<Inversion>::new();
        for &(word, count) in words {
            let mut ids = 0..0;
            for index in 0..count {
                let name = if index == 0 { word.to_owned() } else { format!("{word}_{index}") };
                let id = add(&mut pipeline, &name)?;
                ids = if index == 0 { id..id + 1 } else { ids.start..id + 1 };
            }
            inversions.push(Inversion { word: word.to_owned(), ids, spelling });
        }
        let first = inversions.first().map_or(0, |inversion| inversion.ids.start);
        Ok((Self { pipeline, frame: self.frame, inversions }, first))
    }

    /// What its rows of ids are framed by.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// The text's tokens, without start, end or cut.
    ///
    /// # Errors
    /// If the pipeline fails, which no text is known to make it do.
    pub fn tokens(&self, text: &str) -> Result<Vec<Token>> {
        let fail = |error| failure("the prompt", error);
        let encoding = self.pipeline.encode(text, false).map_err(fail)?;
        let parts =
            encoding.get_ids().iter().zip(encoding.get_tokens()).zip(encoding.get_offsets());
        let mut tokens = Vec::with_capacity(encoding.len());
        for ((&id, token), &(start, end)) in parts {
            tokens.push(Token { id, text: token.clone(), start });
            let written = text.get(start..end).unwrap_or_default();
            for id in self.further_ids(id, written) {
                tokens.push(Token { id, text: String::new(), start });
            }
        }
        Ok(tokens)
    }

    /// The text's ids in one row, cut or padded to its length. Errors as
    /// [`tokens`](Self::tokens).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(lay_out(&[(self.tokens(text)?, 1.0)], &self.frame, LongText::Cut).ids)
    }

    /// The ids that follow the first one of a word with several vectors.
    fn further_ids(&self, id: u32, written: &str) -> Range<u32> {
        let found = self.inversions.iter().find(|inversion| inversion.ids.start == id);
        let Some(Inversion { word, ids, spelling }) = found else { return 0..0 };
        let is_small = *word == word.to_lowercase();
        let is_whole = match spelling {
            Spelling::Any => true,
            Spelling::Small => is_small,
            Spelling::Verbatim => is_small && written == word,
        };
        if is_whole { ids.start + 1..ids.end } else { 0..0 }
    }
}

/// Adds a word that the vocabulary lacks; gives its id, the next one.
fn add(pipeline: &mut Tokenizer, word: &str) -> Result<u32> {
    if pipeline.token_to_id(word).is_some() {
        return Err(NetworkError::WordTaken { word: word.to_owned() });
    }
    pipeline.add_tokens([AddedToken::from(word, false)]).map_err(|error| failure(word, error))?;
    let id = pipeline.token_to_id(word);
    id.ok_or_else(|| failure(word, "this word cannot be added to the vocabulary; name another"))
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
        let tokens = tokenizer.tokens(&text).unwrap();
        assert_eq!((tokens.len(), tokens[75].start), (80, 75 * 4));
    }

    #[test]
    fn tokens_begin_between_characters() {
        let text = format!("é {}", "ü🦊".repeat(40));
        let tokens = built_in().tokens(&text).unwrap();
        assert!(tokens.len() > 80 && tokens.iter().all(|token| text.is_char_boundary(token.start)));
    }

    #[test]
    fn words_of_ones_own_follow_the_vocabulary() {
        let plain = built_in();
        let words = [("<moss>", 1), ("EasyFog", 3)];
        let (tokenizer, first) = plain.with_words(&words, Spelling::Any).unwrap();
        assert_eq!(first, 49408);
        let ids = |text: &str, tokenizer: &ClipTokenizer| -> Vec<u32> {
            tokenizer.tokens(text).unwrap().iter().map(|token| token.id).collect()
        };
        assert_eq!(ids("a <MOSS> cat", &tokenizer), [320, 49408, 2368]);
        assert_eq!(ids("easyfog cat", &tokenizer), [49409, 49410, 49411, 2368]);
        let spelled = |spelling| {
            let words = [("EasyFog", 3), ("fog-x", 2)];
            ids("EasyFog fog-x FOG-X", &plain.with_words(&words, spelling).unwrap().0)
        };
        assert_eq!(spelled(Spelling::Small), [49408, 49411, 49412, 49411, 49412]);
        assert_eq!(spelled(Spelling::Verbatim), [49408, 49411, 49412, 49411]);
        let refuses = |words: &[(&str, usize)]| plain.with_words(words, Spelling::Any).is_err();
        assert!(refuses(&[("cat", 1)]), "a word of the vocabulary");
        assert!(refuses(&[("<a>", 1), ("<a>", 1)]), "one name twice");
        assert!(refuses(&[("<a>_1", 1), ("<a>", 2)]));
        assert_eq!(ids("<moss>", &plain).len(), 3, "the tokenizer itself stays as it was");
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
