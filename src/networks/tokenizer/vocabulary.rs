//! Tokens, their ids, and the merges that build them.

use std::{fs, path::Path};

use serde_json::{Map, Value};
use tokenizers::models::bpe::{Merges, Vocab};

use super::failure;
use crate::networks::{NetworkError, Result};

/// The merges of OpenAI's CLIP, which nearly all models use. Ids follow from their order.
const CLIP_MERGES: &str = include_str!("../../../assets/clip/merges.txt");

pub const START: &str = "<|startoftext|>";
pub const END: &str = "<|endoftext|>";

pub struct Vocabulary {
    pub ids: Vocab,
    pub merges: Merges,
}

impl Vocabulary {
    /// From `vocab.json` and `merges.txt`, or from `tokenizer.json`; the built-in one where the
    /// folder has neither.
    pub fn open(folder: &Path) -> Result<Self> {
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let whole = folder.join("tokenizer.json");
        if whole.is_file() {
            Self::from_tokenizer_json(&whole)
        } else if vocab.is_file() && merges.is_file() {
            let text = fs::read_to_string(&merges).map_err(NetworkError::io(&merges))?;
            let ids = ids(&read_object(&vocab)?).ok_or_else(|| not_ids(&vocab))?;
            Ok(Self { ids, merges: parse_merges(&text).map_err(|line| failure(&merges, line))? })
        } else {
            Self::built_in()
        }
    }

    /// OpenAI's CLIP.
    pub fn built_in() -> Result<Self> {
        let file = Path::new("the built-in CLIP vocabulary");
        let merges = parse_merges(CLIP_MERGES).map_err(|line| failure(file, line))?;
        let letters: Vec<String> = byte_letters().map(String::from).collect();
        let endings = letters.iter().map(|letter| format!("{letter}</w>"));
        let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
        let specials = [START, END].map(str::to_owned);
        let tokens = letters.iter().cloned().chain(endings).chain(merged).chain(specials);
        Ok(Self { ids: tokens.zip(0..).collect(), merges })
    }

    fn from_tokenizer_json(file: &Path) -> Result<Self> {
        let json = read_object(file)?;
        let model = json.get("model").and_then(Value::as_object);
        let model = model.ok_or_else(|| failure(file, "it has no \"model\""))?;
        if model.get("type").is_some_and(|kind| kind != "BPE") {
            return Err(failure(file, "its model is not BPE, so it is no CLIP tokenizer"));
        }
        let vocab = model.get("vocab").and_then(Value::as_object);
        let merges = model
            .get("merges")
            .and_then(Value::as_array)
            .map(|merges| merges.iter().map(merge_of_json).collect::<Option<Merges>>());
        match (vocab.and_then(ids), merges.flatten()) {
            (Some(ids), Some(merges)) => Ok(Self { ids, merges }),
            _ => Err(failure(file, "its vocabulary or merges are not understood")),
        }
    }
}

/// Older files join the two with a space, newer ones list them.
fn merge_of_json(merge: &Value) -> Option<(String, String)> {
    let (left, right) = match merge {
        Value::String(text) => text.split_once(' ')?,
        Value::Array(pair) => match pair.as_slice() {
            [left, right] => (left.as_str()?, right.as_str()?),
            _ => return None,
        },
        _ => return None,
    };
    Some((left.to_owned(), right.to_owned()))
}

/// Lines of two tokens; the error names the line that is none.
fn parse_merges(text: &str) -> Result<Merges, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
            _ => Err(format!("line {} is not a merge of two tokens", number + 1)),
        })
        .collect()
}

fn ids(object: &Map<String, Value>) -> Option<Vocab> {
    let entry =
        |(token, id): (&String, &Value)| Some((token.clone(), u32::try_from(id.as_u64()?).ok()?));
    object.iter().map(entry).collect()
}

fn not_ids(file: &Path) -> NetworkError {
    failure(file, "it is not an object of tokens and their ids")
}

pub fn read_object(file: &Path) -> Result<Map<String, Value>> {
    let text = fs::read_to_string(file).map_err(NetworkError::io(file))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(failure(file, "it is not a JSON object")),
        Err(error) => Err(failure(file, format!("it is not JSON ({error})"))),
    }
}

/// A printable letter for each byte, in the order of their ids: printable bytes stand for
/// themselves and come first; the rest follow from U+0100 on.
fn byte_letters() -> impl Iterator<Item = char> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=u8::MAX).filter(move |byte| !printable(byte)).zip('\u{100}'..);
    (0..=u8::MAX).filter(printable).map(char::from).chain(others.map(|(_, letter)| letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_vocabulary_is_clips() {
        let vocabulary = Vocabulary::built_in().unwrap();
        assert_eq!(vocabulary.ids.len(), 49408);
        for (token, id) in
            [("!", 0), ("a</w>", 320), ("cat</w>", 2368), (START, 49406), (END, 49407)]
        {
            assert_eq!(vocabulary.ids.get(token), Some(&id), "{token}");
        }
    }

    #[test]
    fn both_ways_to_write_merges_are_read() {
        let pair = Some(("a".to_owned(), "b".to_owned()));
        assert_eq!(merge_of_json(&serde_json::json!("a b")), pair);
        assert_eq!(merge_of_json(&serde_json::json!(["a", "b"])), pair);
        assert_eq!(merge_of_json(&serde_json::json!(["a"])), None);
        assert!(parse_merges("#version: 0.2\na b\nbroken\n").unwrap_err().contains("line 3"));
    }
}
