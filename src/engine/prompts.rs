//! The texts of a request: their wildcards resolved, read by a model, and counted.

use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::{
    EngineError, Monitor, PromptSyntax, Request, inversions,
    models::Model,
    text::{self, Text, Vocabulary},
};
use crate::{
    catalog::{self, ModelFolder, ShelfFile},
    diffusion::{Embedding, guidance::is_guided},
    networks::TextualInversion,
    prompt::{Count, Prompt, resolve_wildcards},
};

/// What is read in place of the prompts of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub prompt: String,
    pub prompt_2: String,
    pub negative: String,
    pub negative_2: String,
}

/// How a prompt is read by a model's first text encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptReading {
    /// Its wildcards resolved.
    pub text: String,
    pub count: Count,
}

impl Request {
    /// Its texts as they are read: wildcards resolved by the seed (0 where there is none yet),
    /// except in exact mode and in plain syntax, where braces are text.
    pub fn texts(&self) -> Texts {
        let resolves = !self.exact && self.syntax() != PromptSyntax::Plain;
        let resolved = |text: &str, stream| {
            if resolves {
                resolve_wildcards(text, self.seed.unwrap_or_default(), stream)
            } else {
                text.to_owned()
            }
        };
        let prompt = resolved(&self.prompt, 0);
        let negative = resolved(self.negative_prompt.as_deref().unwrap_or_default(), 1);
        // As the reference: an empty second text is none.
        let second = |text: &Option<String>, first: &String, stream| {
            let named = text.as_deref().filter(|text| !text.is_empty());
            named.map_or_else(|| first.clone(), |text| resolved(text, stream))
        };
        Texts {
            prompt_2: second(&self.prompt_2, &prompt, 2),
            negative_2: second(&self.negative_prompt_2, &negative, 3),
            prompt,
            negative,
        }
    }
}

/// The encoded prompt and, where there is guidance, the negative one, of equal length.
pub fn encode(
    model: &mut Model,
    request: &Request,
    monitor: &mut dyn Monitor,
) -> Result<(Embedding, Option<Embedding>), EngineError> {
    model.use_embeddings(request)?;
    let texts = request.texts();
    let (syntax, long) = (request.syntax(), request.long_prompts);
    let clip_skip = request.clip_skip;
    let cond = Text { text: texts.prompt, second: texts.prompt_2, syntax, long, clip_skip };
    let embedding = model.text(&cond, monitor)?;
    if !is_guided(request.guidance_scale) {
        return Ok((embedding, None));
    }
    if request.negative_prompt.is_none() && model.folder().zero_negative {
        let nothing = nothing(&embedding).map_err(EngineError::failed)?;
        return Ok((embedding, Some(nothing)));
    }
    // The reference's pipelines skip no layers for the negative prompt; Compel and AUTOMATIC1111
    // do.
    let clip_skip = if syntax == PromptSyntax::Plain && !long { None } else { clip_skip };
    let (text, second) = (texts.negative, texts.negative_2);
    let uncond = Text { text, second, syntax, long, clip_skip };
    let negative = model.text(&uncond, monitor)?;
    let tokens = embedding.tokens()?.max(negative.tokens()?);
    let embedding = padded(model, embedding, tokens, cond.clip_skip, monitor)?;
    let negative = padded(model, negative, tokens, uncond.clip_skip, monitor)?;
    Ok((embedding, Some(negative)))
}

/// The embedding of no prompt at all, for models trained with zeros in its place.
fn nothing(like: &Embedding) -> candle_core::Result<Embedding> {
    let pooled = like.pooled.as_ref().map(Tensor::zeros_like).transpose()?;
    Ok(Embedding { hidden: like.hidden.zeros_like()?, pooled })
}

/// An embedding with an empty text behind it, as often as it takes to have so many tokens.
fn padded(
    model: &mut Model,
    embedding: Embedding,
    tokens: usize,
    clip_skip: Option<usize>,
    monitor: &mut dyn Monitor,
) -> Result<Embedding, EngineError> {
    if embedding.tokens()? >= tokens {
        return Ok(embedding);
    }
    let empty = model.text(&Text { clip_skip, ..Text::default() }, monitor)?;
    Ok(embedding.followed_by(&empty, tokens)?)
}

/// Reads the texts of requests for a model without loading it: to say what is cut.
pub struct PromptReader {
    vocabulary: Vocabulary,
}

impl PromptReader {
    /// Opens the tokenizer of a model, with the words of a request.
    ///
    /// # Errors
    /// If it, or an embedding of the request, is not understood.
    pub fn open(folder: &ModelFolder, request: &Request) -> Result<Self, EngineError> {
        if folder.image_embeds.is_some() {
            let prior = catalog::prior_for(folder, request.prior.model.as_deref());
            let prior = prior.map_err(EngineError::invalid)?;
            let tokenizer = prior.path.join(prior.part("tokenizer"));
            return Ok(Self { vocabulary: Vocabulary::of_tokenizer(&tokenizer)? });
        }
        let words = inversions::read(request)?;
        let vocabulary = Vocabulary::open(&folder.path, &words, inversions::spelling(request))?;
        Ok(Self { vocabulary })
    }

    /// The prompt and the negative prompt of a request, as they are read.
    ///
    /// # Errors
    /// If one of them is not understood.
    pub fn read(&self, request: &Request) -> Result<[PromptReading; 2], EngineError> {
        let texts = request.texts();
        Ok([self.text(request, texts.prompt)?, self.text(request, texts.negative)?])
    }

    fn text(&self, request: &Request, text: String) -> Result<PromptReading, EngineError> {
        let prompt: Prompt = request.syntax().parse(&text).map_err(EngineError::invalid)?;
        let long = request.syntax().long_text(request.long_prompts);
        Ok(PromptReading { count: self.vocabulary.count(&prompt, long)?, text })
    }
}

/// An embedding in the folders of `catalog::EMBEDDINGS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEmbedding {
    /// The word that stands for it in prompts.
    pub token: String,
    pub path: PathBuf,
    /// How many vectors it has, the most for one text encoder.
    pub vectors: usize,
    widths: [Option<usize>; 2],
}

impl FoundEmbedding {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no embedding.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let inversion = TextualInversion::open(path, None)?;
        Ok(Self {
            token: inversion.token().to_owned(),
            path: path.to_owned(),
            vectors: inversion.count(0).max(inversion.count(1)),
            widths: widths(&inversion),
        })
    }
}

/// All embeddings in the folders. Files of other kinds are passed over.
pub fn found_embeddings() -> Vec<FoundEmbedding> {
    let found = |file: ShelfFile| FoundEmbedding::open(&file.path).ok();
    catalog::EMBEDDINGS.list().into_iter().filter_map(found).collect()
}

fn widths(inversion: &TextualInversion) -> [Option<usize>; 2] {
    [inversion.width(0), inversion.width(1)]
}

/// The text encoders of a model, as far as embeddings must fit them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextShape {
    widths: [Option<usize>; 2],
}

impl TextShape {
    pub fn of(folder: &ModelFolder) -> Self {
        Self { widths: text::widths(&folder.path) }
    }

    /// Whether there are two, so that a second prompt is read.
    pub fn is_pair(&self) -> bool {
        self.widths.iter().all(Option::is_some)
    }

    /// Whether an embedding has vectors for every encoder.
    pub fn fits(&self, embedding: &TextualInversion) -> bool {
        self.takes(widths(embedding))
    }

    /// The same for one that was found.
    pub fn fits_found(&self, embedding: &FoundEmbedding) -> bool {
        self.takes(embedding.widths)
    }

    fn takes(&self, widths: [Option<usize>; 2]) -> bool {
        let fits = |(own, its): (&Option<usize>, &Option<usize>)| own.is_none() || own == its;
        self.widths.iter().any(Option::is_some) && self.widths.iter().zip(&widths).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_resolved_but_in_plain_syntax_and_exact_mode() {
        let request = Request { prompt: "{a|a}".into(), seed: Some(1), ..Request::default() };
        let read = |request: &Request| request.texts().prompt;
        assert_eq!(read(&request), "a");
        let plain = Some(PromptSyntax::Plain);
        assert_eq!(read(&Request { prompt_syntax: plain, ..request.clone() }), "{a|a}");
        let named = Some(PromptSyntax::Compel);
        let exact = Request { exact: true, prompt_syntax: named, ..request.clone() };
        assert_eq!(read(&exact), "{a|a}");
    }

    #[test]
    fn a_second_text_is_the_first_one_unless_named() {
        let named = |text: &str| Request {
            prompt: "a".into(),
            prompt_2: Some(text.into()),
            ..Request::default()
        };
        assert_eq!(named("b").texts().prompt_2, "b");
        assert_eq!(named("").texts().prompt_2, "a");
    }

    #[test]
    fn embeddings_fit_where_all_encoders_have_vectors() {
        let fits = |own, its| TextShape { widths: own }.takes(its);
        assert!(fits([Some(768), None], [Some(768), None]));
        assert!(fits([None, Some(1280)], [Some(768), Some(1280)]));
        assert!(!fits([Some(768), Some(1280)], [Some(768), None]));
        assert!(!fits([Some(1024), None], [Some(768), None]));
        assert!(!fits([None, None], [Some(768), None]));
    }
}
