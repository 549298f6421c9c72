//! How a prompt is written: from text to fragments with weights, and from their tokens to the
//! chunks that a text encoder reads. Pure text and numbers: no tensors, no tokenizer.

mod a1111;
pub mod chunks;
mod compel;
mod count;
mod wildcards;

use serde::{Deserialize, Serialize};

pub use self::{count::Count, wildcards::resolve as resolve_wildcards};

/// How a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// Every character means itself.
    #[default]
    Plain,
    /// AUTOMATIC1111's: `(x)`, `(x:1.3)`, `[x]`, `\(`, `BREAK`. Embeddings are multiplied by their
    /// weights, and their mean is restored.
    A1111,
    /// Compel's: `x++`, `x--`, `(a b)1.3`, `("a", "b").and()`, `.blend()`. Embeddings are moved
    /// away from, or towards, those of a text without the words.
    Compel,
}

impl Syntax {
    /// Reads a prompt.
    ///
    /// # Errors
    /// Only for Compel's syntax: an operator that is not supported, or weights that are not as
    /// many as texts. What is not understood otherwise is text.
    pub fn parse(self, text: &str) -> Result<Prompt, PromptError> {
        match self {
            Self::Plain => Ok(Prompt::plain(text)),
            Self::A1111 => Ok(a1111::parse(text)),
            Self::Compel => compel::parse(text),
        }
    }
}

impl Syntax {
    /// What becomes of long texts: all of them is read, row after row, or their rest is cut.
    pub fn long_text(self, all: bool) -> chunks::LongText {
        match (all, self) {
            (false, _) => chunks::LongText::Cut,
            (true, Self::A1111) => chunks::LongText::Commas,
            (true, Self::Plain | Self::Compel) => chunks::LongText::Sentences,
        }
    }
}

/// Why a prompt cannot be read; says what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt: {0}")]
pub struct PromptError(String);

/// A prompt, read: parts whose embeddings are put one behind the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// One at least.
    pub parts: Vec<Part>,
}

/// One part of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// 1 is neutral; less moves the part towards an empty text.
    pub weight: f64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    Text(Vec<Fragment>),
    /// The weighted sum of the embeddings of several texts.
    Blend {
        texts: Vec<Vec<Fragment>>,
        /// As many as `texts`.
        weights: Vec<f64>,
        /// Whether the weights are divided by their sum.
        normalize: bool,
    },
}

/// A run of text with one weight; its words are tokenised by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fragment {
    pub text: String,
    /// 1 is neutral.
    pub weight: f64,
}

impl Prompt {
    /// One text of weight 1.
    pub fn plain(text: &str) -> Self {
        Self { parts: vec![Part::text(vec![Fragment::neutral(text)])] }
    }

    /// All fragments in order, those of blends included.
    pub fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        self.parts.iter().flat_map(|part| match &part.content {
            Content::Text(fragments) => std::slice::from_ref(fragments).iter().flatten(),
            Content::Blend { texts, .. } => texts.iter().flatten(),
        })
    }

    /// Whether this is one text without weights.
    pub fn is_plain(&self) -> bool {
        self.parts.len() == 1
            && self.parts.iter().all(|part| part.weight == 1.0)
            && matches!(&self.parts[0].content, Content::Text(_))
            && self.fragments().all(|fragment| fragment.weight == 1.0)
    }
}

impl Part {
    /// A text of weight 1 as a whole.
    pub fn text(fragments: Vec<Fragment>) -> Self {
        Self { weight: 1.0, content: Content::Text(fragments) }
    }
}

impl Fragment {
    pub fn neutral(text: impl Into<String>) -> Self {
        Self { text: text.into(), weight: 1.0 }
    }
}
