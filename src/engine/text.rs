//! The text encoders of a model, one or two, and what they make of texts together.

use std::path::Path;

use candle_core::{D, DType, Tensor};

use super::{EngineError, networks::Part};
use crate::{
    diffusion::Embedding,
    networks::{ClipTextConfig, ClipTextModel, ClipTokenizer, adapters},
};

/// The folders of an encoder and its tokenizer, in the order in which their states are joined.
const PARTS: [(&str, &str); 2] = [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")];

/// Which states the U-Net was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// The last layer's, normalised: Stable Diffusion 1 and 2.
    Last,
    /// Those before the last layer, as they are, and the pooled text: Stable Diffusion XL.
    Penultimate,
}

/// A text in the form that one encoder reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Ids with start, end and padding, each chunk as long as the encoder reads at once; the
    /// states of several are joined along the tokens.
    pub chunks: Vec<Vec<u32>>,
}

/// See the module.
pub struct TextEncoders {
    encoders: Vec<TextEncoder>,
    states: States,
}

struct TextEncoder {
    part: adapters::Part,
    tokenizer: ClipTokenizer,
    network: ClipTextModel,
}

/// What LoRA files call the encoder in this folder.
fn adapted(folder: &str) -> adapters::Part {
    match folder {
        "text_encoder_2" => adapters::Part::TextEncoder2,
        _ => adapters::Part::TextEncoder,
    }
}

/// The encoders of a model, known but not loaded.
pub struct Found {
    encoders: Vec<(&'static str, ClipTextConfig, ClipTokenizer)>,
}

impl Found {
    /// Reads their configurations and tokenizers.
    ///
    /// # Errors
    /// If there is none, or one that is not understood.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let mut encoders = Vec::new();
        for (encoder, tokenizer) in PARTS {
            let config = folder.join(encoder).join("config.json");
            if config.exists() {
                let config = ClipTextConfig::open(&config)?;
                encoders.push((encoder, config, ClipTokenizer::open(&folder.join(tokenizer))?));
            }
        }
        if encoders.is_empty() {
            let text = format!("{}: there is no text_encoder folder in it", folder.display());
            return Err(EngineError::invalid(text));
        }
        Ok(Self { encoders })
    }

    /// Loads them, in f32: they are small.
    pub fn load(self, states: States, part: &mut Part<'_>) -> Result<TextEncoders, EngineError> {
        let mut encoders = Vec::new();
        for (name, config, tokenizer) in self.encoders {
            let network = part.load(name, "Loading the text encoder", DType::F32, |weights| {
                ClipTextModel::load(config, weights)
            })?;
            encoders.push(TextEncoder { part: adapted(name), tokenizer, network });
        }
        Ok(TextEncoders { encoders, states })
    }
}

impl TextEncoders {
    /// Where LoRAs act.
    pub fn adaptable(&self) -> impl Iterator<Item = (adapters::Part, &adapters::Slots)> {
        self.encoders.iter().map(|encoder| (encoder.part, encoder.network.slots()))
    }

    /// The tokens of a text for the first encoder, and of another for the second. Where there is
    /// one encoder only, it reads the first.
    pub fn tokens(&self, text: &str, second: &str) -> Result<Vec<Tokens>, EngineError> {
        let texts = [text, second];
        let read = |(encoder, text): (&TextEncoder, &str)| {
            Ok(Tokens { chunks: vec![encoder.tokenizer.encode(text)?] })
        };
        self.encoders.iter().zip(texts).map(read).collect()
    }

    /// What the encoders say, each about its own tokens; their states lie side by side, and the
    /// last one's pooled text stands for the whole. `clip_skip` leaves out as many layers more.
    ///
    /// # Errors
    /// If tokens do not fit the encoders, or there are not as many layers to skip.
    pub fn encode(
        &self,
        tokens: &[Tokens],
        clip_skip: Option<usize>,
    ) -> Result<Embedding, EngineError> {
        let mut states = Vec::new();
        let mut pooled = None;
        for (encoder, tokens) in self.encoders.iter().zip(tokens) {
            let mut chunks = Vec::new();
            for (index, ids) in tokens.chunks.iter().enumerate() {
                let (state, whole) = encoder.read(ids, self.states, clip_skip)?;
                chunks.push(state);
                if index == 0 {
                    pooled = whole;
                }
            }
            states.push(Tensor::cat(&chunks, 1).map_err(EngineError::invalid)?);
        }
        let hidden = Tensor::cat(&states, D::Minus1).map_err(EngineError::invalid)?;
        Ok(Embedding { hidden, pooled })
    }
}

impl TextEncoder {
    /// The states [1, tokens, width] of one chunk and its pooled text, where that is used.
    fn read(
        &self,
        ids: &[u32],
        states: States,
        clip_skip: Option<usize>,
    ) -> Result<(Tensor, Option<Tensor>), EngineError> {
        let ids = [ids.to_vec()];
        match states {
            States::Last => {
                let state = self.network.encode(&ids, clip_skip).map_err(EngineError::invalid)?;
                Ok((state, None))
            }
            States::Penultimate => {
                let mut output = self.network.forward(&ids).map_err(EngineError::invalid)?;
                let skipped = clip_skip.unwrap_or(0).saturating_add(2);
                let count = output.hidden_states.len();
                let Some(index) = count.checked_sub(skipped) else {
                    let text = format!(
                        "clip skip is {}, but the text encoder has {} layers, of which the last is \
                         always left out",
                        clip_skip.unwrap_or(0),
                        count - 1
                    );
                    return Err(EngineError::invalid(text));
                };
                Ok((output.hidden_states.swap_remove(index), output.text_embeds))
            }
        }
    }
}
