//! Token ids of prompts that are hard to split, with every form of tokenizer folder.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use libtest_mimic::Trial;
use overpaint::networks::ClipTokenizer;
use serde::Deserialize;

use super::{
    compare::exact,
    fixtures::{self, unit},
};

#[derive(Deserialize)]
struct Tokens {
    prompts: Vec<String>,
    tokenizers: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    pad: u32,
    /// Ids up to the first padding.
    ids_without_repeated_padding: Vec<Vec<u32>>,
}

pub fn trials() -> Vec<Trial> {
    let Tokens { prompts, tokenizers } = unit("tokens");
    let mut trials = Vec::new();
    for (model, Expected { pad, ids_without_repeated_padding }) in tokenizers {
        let opened = Arc::new(OnceLock::new());
        for (prompt, expected) in prompts.iter().zip(ids_without_repeated_padding) {
            let (model, prompt, opened) = (model.clone(), prompt.clone(), Arc::clone(&opened));
            let shown: String = prompt.escape_debug().take(40).collect();
            trials.push(exact(format!("tokens::{model}-{shown}"), move || {
                let tokenizer =
                    opened.get_or_init(|| tokenizer(&model)).as_ref().map_err(String::clone)?;
                check(tokenizer, &prompt, expected, pad)
            }));
        }
    }
    trials
}

/// The tokenizer of a model of the fixtures.
pub fn tokenizer(model: &str) -> Result<ClipTokenizer, String> {
    let folder = fixtures::root().join("models").join(model).join("tokenizer");
    ClipTokenizer::open(&folder).map_err(|error| error.to_string())
}

fn check(
    tokenizer: &ClipTokenizer,
    prompt: &str,
    mut expected: Vec<u32>,
    pad: u32,
) -> Result<(), String> {
    let ids = tokenizer.encode(prompt).map_err(|error| error.to_string())?;
    expected.resize(ids.len(), pad);
    let Some(wrong) = ids.iter().zip(&expected).position(|(a, b)| a != b) else { return Ok(()) };
    let around = wrong.saturating_sub(2)..(wrong + 6).min(ids.len());
    Err(format!(
        "from place {wrong} on: {:?}, the reference has {:?}",
        &ids[around.clone()],
        &expected[around]
    ))
}
