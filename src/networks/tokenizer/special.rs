//! Tokens with a meaning of their own, and how the configuration files declare them.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::{
    failure,
    vocabulary::{END, START, read_object},
};
use crate::networks::Result;

/// The longest text that CLIP takes, start and end included.
const CLIP_LENGTH: usize = 77;

/// Beyond this, `model_max_length` says "I do not know".
const UNKNOWN_LENGTH: f64 = 1e5;

pub struct SpecialTokens {
    /// Everything that is cut out of the text before it is parted into words, in the order in
    /// which it is declared.
    pub added: Vec<AddedToken>,
    pub start: String,
    pub end: String,
    pub unknown: String,
    pub padding: String,
    /// Start and end included.
    pub max_length: usize,
}

impl SpecialTokens {
    /// By transformers' rules: `added_tokens_decoder` of `tokenizer_config.json` counts most. Where
    /// it is absent, `special_tokens_map.json` overrides the configuration, and `tokenizer.json`
    /// declares its added tokens.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut config = optional(&folder.join("tokenizer_config.json"))?;
        let file = folder.join("tokenizer_config.json");
        let mut declared = match config.get("added_tokens_decoder") {
            Some(value) => {
                let entries = value.as_object().into_iter().flatten();
                entries.filter_map(|(id, token)| Some((id.parse().ok()?, added(token)?))).collect()
            }
            None => {
                config.extend(optional(&folder.join("special_tokens_map.json"))?);
                from_tokenizer_json(&folder.join("tokenizer.json"))?
            }
        };
        declared.sort_by_key(|(id, _): &(u64, AddedToken)| *id);
        let mut tokens: Vec<AddedToken> = declared.into_iter().map(|(_, token)| token).collect();
        let count = tokens.len();
        let mut named = |key: &str, default: &str| -> Result<String> {
            let token = match config.get(key) {
                None | Some(Value::Null) => AddedToken::from(default, true),
                Some(value) => {
                    added(value).ok_or_else(|| failure(&file, format!("\"{key}\" is no token")))?
                }
            };
            // A declared token keeps its flags; of those only named, the last one counts.
            if tokens[..count].iter().all(|declared| declared.content != token.content) {
                tokens.push(AddedToken { special: true, ..token.clone() });
            }
            Ok(token.content)
        };
        Ok(Self {
            start: named("bos_token", START)?,
            end: named("eos_token", END)?,
            unknown: named("unk_token", END)?,
            padding: named("pad_token", END)?,
            max_length: max_length(&config),
            added: tokens,
        })
    }
}

fn max_length(config: &Map<String, Value>) -> usize {
    let length = config.get("model_max_length").and_then(Value::as_f64);
    length.filter(|l| (2.0..UNKNOWN_LENGTH).contains(l)).map_or(CLIP_LENGTH, |l| l as usize)
}

fn optional(file: &Path) -> Result<Map<String, Value>> {
    if file.is_file() { read_object(file) } else { Ok(Map::new()) }
}

fn from_tokenizer_json(file: &Path) -> Result<Vec<(u64, AddedToken)>> {
    let json = optional(file)?;
    let tokens = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    Ok(tokens.filter_map(|token| Some((token.get("id")?.as_u64()?, added(token)?))).collect())
}

/// `"<token>"`, or an object with its content and flags.
fn added(token: &Value) -> Option<AddedToken> {
    if let Value::String(content) = token {
        return Some(AddedToken::from(content.as_str(), true));
    }
    let flag = |key: &str| token.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    Some(
        AddedToken::from(token.get("content")?.as_str()?, special)
            .single_word(flag("single_word").unwrap_or(false))
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(files: &[(&str, &str)]) -> SpecialTokens {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        SpecialTokens::open(folder.path()).unwrap()
    }

    #[test]
    fn declared_tokens_keep_their_flags() {
        let config = r#"{"bos_token": "<|startoftext|>", "pad_token": "!", "added_tokens_decoder":
            {"9": {"content": "<|startoftext|>", "normalized": true, "special": true},
             "0": {"content": "!", "special": true}}}"#;
        let ignored = r#"{"pad_token": "?"}"#;
        let special =
            open(&[("tokenizer_config.json", config), ("special_tokens_map.json", ignored)]);
        let contents: Vec<_> = special.added.iter().map(|token| token.content.as_str()).collect();
        assert_eq!(contents, ["!", START, END, END]);
        assert!(special.added[1].normalized && !special.added[0].normalized);
        assert_eq!((special.padding.as_str(), special.max_length), ("!", 77));
    }

    #[test]
    fn the_map_overrides_the_configuration() {
        let config = r#"{"pad_token": "a", "model_max_length": 20}"#;
        let map = r#"{"pad_token": {"content": "!", "lstrip": true}}"#;
        let special = open(&[("tokenizer_config.json", config), ("special_tokens_map.json", map)]);
        assert_eq!((special.padding.as_str(), special.max_length), ("!", 20));
        assert_eq!(
            open(&[("tokenizer_config.json", r#"{"model_max_length": 1e30}"#)]).max_length,
            77
        );
    }
}
