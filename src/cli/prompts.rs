//! What is told about prompts: how they are read, and what of them is not.

use serde_json::{Value, json};

use super::Failure;
use crate::{
    catalog::Model,
    engine::{PromptReader, Request, prompts::PromptReading},
};

/// How the prompts of a run are read; none for a model that reads no words.
#[derive(Default)]
pub struct Prompts(Option<[PromptReading; 2]>);

/// Options that say which prompt it is.
const OPTIONS: [&str; 2] = ["prompt", "negative_prompt"];

/// Reads the prompts of a request.
pub fn read(model: &Model, request: &Request) -> Result<Prompts, Failure> {
    let Model::Diffusion(folder) = model else { return Ok(Prompts::default()) };
    let reader = PromptReader::open(folder, request).map_err(Failure::bad)?;
    Ok(Prompts(Some(reader.read(request).map_err(Failure::bad)?)))
}

impl Prompts {
    /// Says what is cut, on standard error.
    pub fn warn(&self, quiet: bool) {
        for (option, reading) in OPTIONS.iter().zip(self.0.iter().flatten()) {
            if let Some(cut) = reading.count.cut.as_ref().filter(|_| !quiet) {
                let count = &reading.count;
                eprintln!(
                    "overpaint: warning: --{} has {} tokens, of which {} are read; not read: \
                     {cut:?} (--long-prompts reads all)",
                    option.replace('_', "-"),
                    count.tokens,
                    count.room
                );
            }
        }
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        let told = OPTIONS.iter().zip(self.0.iter().flatten()).map(|(option, reading)| {
            let count = &reading.count;
            let told = json!({
                "text": reading.text,
                "tokens": count.tokens,
                "room": count.room,
                "cut": count.cut,
            });
            ((*option).to_owned(), told)
        });
        Value::Object(told.collect())
    }
}
