//! The text encoders of a model, one or two, and what they make of texts together.

use std::{cell::RefCell, path::Path, rc::Rc};

use candle_core::{D, DType, Device, Tensor};

use super::{EngineError, networks::Part};
use crate::{
    diffusion::{
        self, Embedding,
        weighting::{self, RowEncoder},
    },
    networks::{
        ClipTextConfig, ClipTextModel, ClipTokenizer, Held, NetworkError, Reading, Residency,
        Spelling, TextualInversion, Weights, adapters,
    },
    prompt::{
        Count, Prompt, Syntax,
        chunks::{Frame, LongText, Token},
    },
};

/// The folders of an encoder and its tokenizer, in the order in which their states are joined.
const PARTS: [(&str, &str); 2] = [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")];

/// What LoRA files call them.
const ADAPTED: [adapters::Part; 2] = [adapters::Part::TextEncoder, adapters::Part::TextEncoder2];

/// Which states the U-Net was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// The last layer's, normalised: Stable Diffusion 1 and 2.
    Last,
    /// Those before the last layer, as they are, and the pooled text: Stable Diffusion XL.
    Penultimate,
}

/// What the text encoders read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub text: String,
    /// For the second encoder, where there are two.
    pub second: String,
    pub syntax: Syntax,
    /// Whether all of a long text is read.
    pub long: bool,
    /// Layers more to leave out at the end.
    pub clip_skip: Option<usize>,
}

/// What they compute in.
const DTYPE: DType = DType::F32;

/// See the module.
pub struct TextEncoders {
    encoders: Vec<TextEncoder>,
    states: States,
}

struct TextEncoder {
    /// Which of [`PARTS`] it is.
    place: usize,
    tokenizer: ClipTokenizer,
    network: Held<ClipTextModel>,
    slots: adapters::Slots,
    /// Of a token's state.
    width: usize,
    device: Device,
    words: Option<Words>,
}

/// Words of textual inversion.
struct Words {
    /// Knows them.
    tokenizer: ClipTokenizer,
    /// The id of the first vector.
    first: u32,
    /// [n, width].
    vectors: Tensor,
}

/// The encoders of a model, known but not loaded.
pub struct Found {
    encoders: Vec<(usize, ClipTextConfig, ClipTokenizer)>,
}

impl Found {
    /// For models that are told embeddings of pictures, and no text.
    pub fn none() -> Self {
        Self { encoders: Vec::new() }
    }

    /// Reads their configurations and tokenizers.
    ///
    /// # Errors
    /// If there is none, or one that is not understood.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let mut encoders = Vec::new();
        for (place, (encoder, tokenizer)) in PARTS.into_iter().enumerate() {
            let config = folder.join(encoder).join("config.json");
            if config.exists() {
                let config = ClipTextConfig::open(&config)?;
                encoders.push((place, config, ClipTokenizer::open(&folder.join(tokenizer))?));
            }
        }
        if encoders.is_empty() {
            let text = format!("{}: there is no text_encoder folder in it", folder.display());
            return Err(EngineError::invalid(text));
        }
        Ok(Self { encoders })
    }

    /// Loads them, in f32: they are small.
    pub fn load(
        self,
        states: States,
        part: &mut Part<'_>,
        residency: &Residency,
    ) -> Result<TextEncoders, EngineError> {
        let mut encoders = Vec::new();
        for (place, config, tokenizer) in self.encoders {
            let width = config.hidden_size;
            let (folder, what) = (part.folder.join(PARTS[place].0), "Loading the text encoder");
            let (network, slots) = part.load_from(&folder, what, DTYPE, residency, |weights| {
                let load =
                    move |weights: &Weights<'_>| ClipTextModel::load(config.clone(), weights);
                Ok((Held::load(weights, load)?, weights.slots()))
            })?;
            let device = part.device.clone();
            let words = None;
            encoders.push(TextEncoder { place, tokenizer, network, slots, width, device, words });
        }
        Ok(TextEncoders { encoders, states })
    }
}

/// The widths of a model's text encoders by their places, as far as they are there.
pub fn widths(folder: &Path) -> [Option<usize>; 2] {
    PARTS.map(|(encoder, _)| {
        let config = ClipTextConfig::open(&folder.join(encoder).join("config.json"));
        config.ok().map(|config| config.hidden_size)
    })
}

impl TextEncoders {
    /// Where LoRAs act.
    pub fn adaptable(&self) -> impl Iterator<Item = (adapters::Part, &adapters::Slots)> {
        self.encoders.iter().map(|encoder| (ADAPTED[encoder.place], &encoder.slots))
    }

    /// Takes these words of textual inversion in place of those it knew; `spelling` says
    /// where they are taken whole.
    ///
    /// # Errors
    /// If one does not fit the encoders, or is in their vocabulary.
    pub fn learn(
        &mut self,
        inversions: &[TextualInversion],
        spelling: Spelling,
    ) -> Result<(), EngineError> {
        for encoder in &mut self.encoders {
            encoder.words = None;
        }
        for inversion in inversions {
            let fits = |encoder: &TextEncoder| inversion.count(encoder.place) > 0;
            if !self.encoders.iter().any(fits) {
                return Err(EngineError::invalid(format!(
                    "{}: this embedding has nothing for the model's text encoder: it was made for \
                     another family of models",
                    inversion.file().display()
                )));
            }
        }
        for encoder in &mut self.encoders {
            encoder.words = encoder.words(inversions, spelling)?;
        }
        Ok(())
    }

    /// What the encoders say, each about its own text; their states lie side by side, and the
    /// last one's pooled text stands for the whole.
    ///
    /// # Errors
    /// If a text cannot be read, or there are not as many layers to skip.
    pub fn encode(&self, text: &Text) -> Result<Embedding, EngineError> {
        let texts = [&text.text, &text.second];
        let readers = self.readers(text.clip_skip)?;
        let mut states = Vec::new();
        for (reader, words) in readers.iter().zip(texts) {
            let prompt = text.syntax.parse(words).map_err(EngineError::invalid)?;
            states.push(weighting::embed(reader, &prompt, text.syntax, text.long)?);
        }
        let mut tokens = 0;
        for states in &states {
            tokens = tokens.max(states.dim(1).map_err(EngineError::failed)?);
        }
        for (reader, states) in readers.iter().zip(&mut states) {
            *states = weighting::padded(reader, states, tokens)?;
        }
        let hidden = Tensor::cat(&states, D::Minus1).map_err(EngineError::invalid)?;
        let pooled = match (self.states, readers.iter().zip(texts).last()) {
            (States::Penultimate, Some((reader, words))) => reader.pooled(words, text)?,
            _ => None,
        };
        Ok(Embedding { hidden, pooled })
    }

    fn readers(&self, clip_skip: Option<usize>) -> Result<Vec<Reader<'_>>, EngineError> {
        let reader = |encoder| {
            Ok(Reader {
                encoder,
                network: encoder.network.part().map_err(EngineError::failed)?,
                states: self.states,
                clip_skip: clip_skip.unwrap_or(0),
                kept: RefCell::default(),
            })
        };
        self.encoders.iter().map(reader).collect()
    }
}

impl TextEncoder {
    fn words(
        &self,
        inversions: &[TextualInversion],
        spelling: Spelling,
    ) -> Result<Option<Words>, EngineError> {
        let (mut words, mut vectors) = (Vec::new(), Vec::new());
        for inversion in inversions {
            if let Some(rows) = inversion.vectors(self.place, self.width)? {
                words.push((inversion.token(), rows.dim(0).map_err(EngineError::failed)?));
                vectors.push(rows);
            }
        }
        if words.is_empty() {
            return Ok(None);
        }
        let (tokenizer, first) = self.tokenizer.with_words(&words, spelling)?;
        let vectors = Tensor::cat(&vectors, 0).and_then(|v| v.to_dtype(DTYPE));
        let vectors = vectors.and_then(|v| v.to_device(&self.device));
        Ok(Some(Words { tokenizer, first, vectors: vectors.map_err(EngineError::failed)? }))
    }
}

/// The words that a model's first text encoder reads, without the encoder.
pub struct Vocabulary {
    tokenizer: ClipTokenizer,
}

impl Vocabulary {
    /// Of a `tokenizer` folder.
    ///
    /// # Errors
    /// If it is not understood.
    pub fn of_tokenizer(folder: &Path) -> Result<Self, EngineError> {
        Ok(Self { tokenizer: ClipTokenizer::open(folder)? })
    }

    /// Of the model in `folder`, with words of textual inversion; `spelling` says
    /// where they are taken whole.
    ///
    /// # Errors
    /// If there is no tokenizer that is understood, or it has one of the words already.
    pub fn open(
        folder: &Path,
        inversions: &[TextualInversion],
        spelling: Spelling,
    ) -> Result<Self, EngineError> {
        let is_there = |place: &usize| folder.join(PARTS[*place].0).is_dir();
        let place = (0..PARTS.len()).find(is_there).unwrap_or(0);
        let plain = ClipTokenizer::open(&folder.join(PARTS[place].1))?;
        let words = inversions.iter().map(|inversion| (inversion.token(), inversion.count(place)));
        let words: Vec<_> = words.filter(|(_, count)| *count > 0).collect();
        let tokenizer =
            if words.is_empty() { plain } else { plain.with_words(&words, spelling)?.0 };
        Ok(Self { tokenizer })
    }

    /// How much of a prompt is read.
    pub fn count(&self, prompt: &Prompt, long: LongText) -> Result<Count, EngineError> {
        let tokens = |text: &str| self.tokenizer.tokens(text);
        Ok(Count::of(prompt, &self.tokenizer.frame(), long, tokens)?)
    }
}

/// One encoder, reading rows of one text.
struct Reader<'a> {
    encoder: &'a TextEncoder,
    network: Rc<ClipTextModel>,
    states: States,
    clip_skip: usize,
    /// What was read already: weights need some rows several times.
    kept: RefCell<Vec<Row>>,
}

struct Row {
    ids: Vec<u32>,
    seen: Option<Vec<bool>>,
    states: Tensor,
    pooled: Option<Tensor>,
}

impl Reader<'_> {
    fn tokenizer(&self) -> &ClipTokenizer {
        let words = self.encoder.words.as_ref();
        words.map_or(&self.encoder.tokenizer, |words| &words.tokenizer)
    }

    /// The text as a whole: with AUTOMATIC1111's syntax its first row, otherwise as much as a row
    /// holds of what was typed, without any weights. Compel reads it as it is, marks and all.
    fn pooled(&self, words: &str, text: &Text) -> Result<Option<Tensor>, EngineError> {
        let ids = match text.syntax {
            Syntax::A1111 => {
                let prompt = text.syntax.parse(words).map_err(EngineError::invalid)?;
                weighting::first_row(self, &prompt, text.syntax, text.long)?
            }
            Syntax::Plain | Syntax::Compel => self.tokenizer().encode(words)?,
        };
        Ok(self.read(&ids, None)?.1)
    }

    /// The states [1, tokens, width] of one row and its pooled text, where that is used.
    fn read(
        &self,
        ids: &[u32],
        seen: Option<&[bool]>,
    ) -> diffusion::Result<(Tensor, Option<Tensor>)> {
        let is_same = |row: &&Row| row.ids == ids && row.seen.as_deref() == seen;
        if let Some(row) = self.kept.borrow().iter().find(is_same) {
            return Ok((row.states.clone(), row.pooled.clone()));
        }
        let (states, pooled) = self.compute(ids, seen)?;
        self.kept.borrow_mut().push(Row {
            ids: ids.to_vec(),
            seen: seen.map(<[bool]>::to_vec),
            states: states.clone(),
            pooled: pooled.clone(),
        });
        Ok((states, pooled))
    }

    fn compute(
        &self,
        ids: &[u32],
        seen: Option<&[bool]>,
    ) -> diffusion::Result<(Tensor, Option<Tensor>)> {
        let network = &self.network;
        let invalid = |why: candle_core::Error| diffusion::Error::Invalid(why.to_string());
        let words = self.encoder.words.as_ref();
        let reading = Reading { seen, added: words.map(|words| (words.first, &words.vectors)) };
        let mut output = network.forward(&[ids.to_vec()], reading).map_err(invalid)?;
        let always = match self.states {
            States::Last => 0,
            States::Penultimate => 1,
        };
        let layers = output.hidden_states.len() - 1;
        let Some(index) = layers.checked_sub(always).and_then(|n| n.checked_sub(self.clip_skip))
        else {
            return Err(diffusion::Error::Invalid(format!(
                "clip skip is {}, but the text encoder has only {} layers to skip",
                self.clip_skip,
                layers - always
            )));
        };
        let states = output.hidden_states.swap_remove(index);
        match self.states {
            States::Last => Ok((network.normalized(&states)?, None)),
            States::Penultimate => Ok((states, output.text_embeds)),
        }
    }
}

impl RowEncoder for Reader<'_> {
    fn frame(&self) -> Frame {
        self.tokenizer().frame()
    }

    fn tokens(&self, text: &str) -> diffusion::Result<Vec<Token>> {
        let invalid = |why: NetworkError| diffusion::Error::Invalid(why.to_string());
        self.tokenizer().tokens(text).map_err(invalid)
    }

    fn encode(&self, ids: &[u32], seen: Option<&[bool]>) -> diffusion::Result<Tensor> {
        Ok(self.read(ids, seen)?.0)
    }
}
