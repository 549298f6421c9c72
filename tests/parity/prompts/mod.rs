//! Prompts: how Compel reads them, and what its weights, AUTOMATIC1111's, chunks of long texts and
//! textual inversion make of their embeddings.

mod runs;

use std::{fs, path::PathBuf};

use candle_core::{Device, Tensor};
use libtest_mimic::Trial;
use overpaint::{
    diffusion::{
        self,
        weighting::{RowEncoder, embed},
    },
    networks::{ClipTextModel, ClipTokenizer, Reading, Spelling, TextualInversion},
    prompt::{
        Content, Fragment, Prompt, Syntax,
        chunks::{Frame, Token},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    compare::{Deviation, exact, measured, numbers},
    fixtures,
    networks::text_encoder,
    tokens::tokenizer,
};

/// Of each row of 77 tokens the first ones are stored, and every seventh of the others.
fn is_stored(position: &u32) -> bool {
    position % 77 < 12 || position.is_multiple_of(7)
}

/// A text as Compel reads it, or nothing where it refuses.
#[derive(Deserialize)]
struct Read {
    text: String,
    prompt: Option<Prompt>,
}

/// An embedding that the reference made.
#[derive(Clone, Deserialize)]
struct Row {
    name: String,
    model: String,
    syntax: Syntax,
    prompt: String,
    #[serde(default)]
    long: bool,
    clip_skip: Option<usize>,
    /// Files of textual inversion, and their words.
    #[serde(default)]
    embeddings: Vec<(String, Option<String>)>,
    /// Tokens of the whole embedding.
    positions: usize,
}

/// Something about a prompt that is not as it was.
type Change = fn(&mut Row);

const CHANGES: [(&str, &str, Change); 9] = [
    ("compel-1", "weight", |row| row.prompt = row.prompt.replace("red++", "red+")),
    ("compel-2", "syntax", |row| row.syntax = Syntax::A1111),
    ("compel-5", "and-weight", |row| row.prompt = row.prompt.replace("0.6", "0.65")),
    ("compel-6", "blend-weight", |row| row.prompt = row.prompt.replace("0.7", "0.75")),
    ("compel-long", "fragment", |row| row.prompt = row.prompt.replace("0.6", "0.62")),
    ("a1111-1", "weight", |row| row.prompt = row.prompt.replace("((snow))", "(snow)")),
    ("a1111-long-words", "splitting", |row| row.syntax = Syntax::Compel),
    ("compel-skip", "clip-skip", |row| row.clip_skip = None),
    ("inversion", "word", |row| row.embeddings[0].1 = Some("<other>".into())),
];

pub fn trials() -> Vec<Trial> {
    let rows: Vec<Read> = load("syntax.json");
    let reading = |(index, row): (usize, Read)| {
        exact(format!("prompts::syntax-{index:03}"), move || same_reading(&row))
    };
    let mut trials: Vec<_> = rows.into_iter().enumerate().map(reading).collect();
    let rows: Vec<Row> = load("embeddings.json");
    for (name, what, change) in CHANGES {
        let row = rows.iter().find(|row| row.name == name).cloned();
        trials.push(exact(format!("prompts::{name}-{what}-differs"), move || {
            let mut row = row.ok_or_else(|| format!("there is no {name}"))?;
            change(&mut row);
            match deviation(&row) {
                Ok(deviation) if deviation.is_within() => Err(format!("still {deviation}")),
                _ => Ok(()),
            }
        }));
    }
    let encoding = |row: Row| measured(format!("prompts::{}", row.name), move || deviation(&row));
    trials.extend(rows.into_iter().map(encoding));
    trials.extend(runs::trials());
    trials
}

fn folder() -> PathBuf {
    fixtures::root().with_file_name("prompts")
}

/// The folder of files of textual inversion.
fn embeddings() -> PathBuf {
    fixtures::root().join("inputs/embeddings")
}

fn deviation(row: &Row) -> Result<Deviation, String> {
    let encoder = Encoder::open(row)?;
    let prompt = row.syntax.parse(&row.prompt).map_err(told)?;
    let states = embed(&encoder, &prompt, row.syntax, row.long).map_err(told)?;
    let positions = states.dim(1).map_err(told)?;
    if positions != row.positions {
        return Err(format!("{positions} tokens instead of {}", row.positions));
    }
    let kept: Vec<u32> = (0..positions as u32).filter(is_stored).collect();
    let kept = Tensor::new(kept, &Device::Cpu).map_err(told)?;
    let states = states.index_select(&kept, 1).map_err(told)?;
    let file = folder().join("embeddings.safetensors");
    let expected = candle_core::safetensors::load(file, &Device::Cpu).map_err(told)?;
    Deviation::of(&numbers(&states)?, &numbers(&expected[&row.name])?)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The text encoder of a model of the fixtures.
struct Encoder {
    tokenizer: ClipTokenizer,
    network: ClipTextModel,
    /// The id of the first vector, and all of them [n, width].
    vectors: Option<(u32, Tensor)>,
    clip_skip: usize,
}

impl Encoder {
    fn open(row: &Row) -> Result<Self, String> {
        let (plain, network) = (tokenizer(&row.model)?, text_encoder(&row.model)?);
        let clip_skip = row.clip_skip.unwrap_or(0);
        let open = |(file, word): &(String, Option<String>)| {
            TextualInversion::open(&embeddings().join(file), word.as_deref())
        };
        let inversions = row.embeddings.iter().map(open).collect::<Result<Vec<_>, _>>();
        let inversions = inversions.map_err(told)?;
        if inversions.is_empty() {
            return Ok(Self { tokenizer: plain, network, vectors: None, clip_skip });
        }
        let spelling =
            if row.syntax == Syntax::Compel { Spelling::Small } else { Spelling::Verbatim };
        let words: Vec<_> = inversions.iter().map(|word| (word.token(), word.count(0))).collect();
        let (tokenizer, first) = plain.with_words(&words, spelling).map_err(told)?;
        let width = network.config().hidden_size;
        let rows = inversions.iter().filter_map(|word| word.vectors(0, width).transpose());
        let rows = rows.collect::<Result<Vec<_>, _>>().map_err(told)?;
        let vectors = Some((first, Tensor::cat(&rows, 0).map_err(told)?));
        Ok(Self { tokenizer, network, vectors, clip_skip })
    }
}

impl RowEncoder for Encoder {
    fn frame(&self) -> Frame {
        self.tokenizer.frame()
    }

    fn tokens(&self, text: &str) -> diffusion::Result<Vec<Token>> {
        self.tokenizer.tokens(text).map_err(|error| diffusion::Error::Invalid(told(error)))
    }

    fn encode(&self, ids: &[u32], seen: Option<&[bool]>) -> diffusion::Result<Tensor> {
        let added = self.vectors.as_ref().map(|(first, vectors)| (*first, vectors));
        let output = self.network.forward(&[ids.to_vec()], Reading { seen, added })?;
        let index = output.hidden_states.len() - 1 - self.clip_skip;
        Ok(self.network.normalized(&output.hidden_states[index])?)
    }
}

fn load<T: DeserializeOwned>(file: &str) -> T {
    let path = folder().join(file);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn same_reading(row: &Read) -> Result<(), String> {
    let found = Syntax::Compel.parse(&row.text);
    let same = match (&found, &row.prompt) {
        (Ok(found), Some(expected)) => same_prompt(found, expected),
        (Err(_), None) => true,
        _ => false,
    };
    let Read { text, prompt } = row;
    if same { Ok(()) } else { Err(format!("{text:?}\n  {found:?}\n  {prompt:?}")) }
}

fn same_prompt(found: &Prompt, expected: &Prompt) -> bool {
    found.parts.len() == expected.parts.len()
        && found.parts.iter().zip(&expected.parts).all(|(found, expected)| {
            near(&[found.weight], &[expected.weight])
                && same_content(&found.content, &expected.content)
        })
}

fn same_content(found: &Content, expected: &Content) -> bool {
    match (found, expected) {
        (Content::Text(found), Content::Text(expected)) => same_text(found, expected),
        (
            Content::Blend { texts, weights, normalize },
            Content::Blend { texts: other, weights: others, normalize: flag },
        ) => {
            normalize == flag
                && near(weights, others)
                && texts.len() == other.len()
                && texts.iter().zip(other).all(|(found, expected)| same_text(found, expected))
        }
        _ => false,
    }
}

fn same_text(found: &[Fragment], expected: &[Fragment]) -> bool {
    let weights = |text: &[Fragment]| text.iter().map(|f| f.weight).collect::<Vec<_>>();
    let same_words = |(a, b): (&Fragment, &Fragment)| a.text == b.text;
    near(&weights(found), &weights(expected)) && found.iter().zip(expected).all(same_words)
}

fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs())
}
