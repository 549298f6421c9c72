//! From a prompt with weights to its embedding.
//!
//! A prompt's parts are encoded row by row (77 ids each) and joined along the tokens. How weights
//! act depends on the syntax in which they were written: see [`compel`] and [`a1111`].

mod a1111;
mod compel;
#[cfg(test)]
mod tests;

use candle_core::Tensor;

use super::{Embedding, Error, Result};
use crate::prompt::{
    Content, Fragment, Prompt, Syntax,
    chunks::{Frame, LongText, Rows, Token, lay_out},
};

/// A text encoder with its tokenizer.
pub trait RowEncoder {
    fn frame(&self) -> Frame;

    /// The tokens of a text, without start and end.
    fn tokens(&self, text: &str) -> Result<Vec<Token>>;

    /// The states [1, length, width] of one row of ids. Attention goes only to the places that
    /// `seen` says, where it says any.
    fn encode(&self, ids: &[u32], seen: Option<&[bool]>) -> Result<Tensor>;
}

/// The embedding of a prompt [1, rows * length, width]. Of a long text all is read with `long`,
/// otherwise one row for each part.
pub fn embed(
    encoder: &dyn RowEncoder,
    prompt: &Prompt,
    syntax: Syntax,
    long: bool,
) -> Result<Tensor> {
    let text = Text { encoder, syntax, long: syntax.long_text(long) };
    let mut parts = Vec::with_capacity(prompt.parts.len());
    for part in &prompt.parts {
        let states = text.content(&part.content)?;
        parts.push(if part.weight == 1.0 {
            states
        } else {
            compel::moved(&states, &text.empty(states.dim(1)?)?, part.weight)?
        });
    }
    Ok(Tensor::cat(&parts, 1)?)
}

/// The ids of a prompt's first row.
pub fn first_row(
    encoder: &dyn RowEncoder,
    prompt: &Prompt,
    syntax: Syntax,
    long: bool,
) -> Result<Vec<u32>> {
    let text = Text { encoder, syntax, long: syntax.long_text(long) };
    let first = prompt.parts.first().map(|part| match &part.content {
        Content::Text(fragments) => fragments.as_slice(),
        Content::Blend { texts, .. } => texts.first().map_or(&[][..], Vec::as_slice),
    });
    let mut ids = text.rows(first.unwrap_or_default())?.ids;
    ids.truncate(encoder.frame().length);
    Ok(ids)
}

/// An embedding [1, n * length, width] with rows of an empty text behind it, up to `tokens`
/// tokens in all.
pub fn padded(encoder: &dyn RowEncoder, states: &Tensor, tokens: usize) -> Result<Tensor> {
    let missing = tokens.saturating_sub(states.dim(1)?);
    if missing == 0 {
        return Ok(states.clone());
    }
    let text = Text { encoder, syntax: Syntax::Plain, long: LongText::Cut };
    Ok(Tensor::cat(&[states, &text.empty(missing)?], 1)?)
}

impl Embedding {
    /// The number of tokens.
    pub fn tokens(&self) -> Result<usize> {
        Ok(self.hidden.dim(1)?)
    }

    /// This one with `filling` behind it as often as it takes to have `tokens` tokens; the text as
    /// a whole stays this one's.
    pub fn followed_by(&self, filling: &Self, tokens: usize) -> Result<Self> {
        let missing = tokens.saturating_sub(self.tokens()?);
        let times = missing.div_ceil(filling.tokens()?.max(1));
        let filling = filling.hidden.repeat((1, times, 1))?;
        let hidden = Tensor::cat(&[&self.hidden, &filling], 1)?;
        Ok(Self { hidden, pooled: self.pooled.clone() })
    }
}

/// How texts are read.
struct Text<'a> {
    encoder: &'a dyn RowEncoder,
    syntax: Syntax,
    long: LongText,
}

impl Text<'_> {
    fn content(&self, content: &Content) -> Result<Tensor> {
        match content {
            Content::Text(fragments) => self.fragments(fragments),
            Content::Blend { texts, weights, normalize } => {
                let states = texts.iter().map(|text| self.fragments(text));
                let mut states = states.collect::<Result<Vec<_>>>()?;
                let mut longest = 0;
                for states in &states {
                    longest = longest.max(states.dim(1)?);
                }
                for states in &mut states {
                    *states = padded(self.encoder, states, longest)?;
                }
                let parts: Vec<_> = states.into_iter().zip(weights.iter().copied()).collect();
                compel::blended(&parts, *normalize)
            }
        }
    }

    fn rows(&self, fragments: &[Fragment]) -> Result<Rows> {
        let tokens = fragments.iter().map(|f| Ok((self.encoder.tokens(&f.text)?, f.weight)));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        Ok(lay_out(&tokens, &self.encoder.frame(), self.long))
    }

    fn fragments(&self, fragments: &[Fragment]) -> Result<Tensor> {
        let rows = self.rows(fragments)?;
        match self.syntax {
            Syntax::Plain => self.states(&rows),
            Syntax::A1111 => a1111::weighted(self, &rows),
            Syntax::Compel => {
                let weights: Vec<f64> = fragments.iter().map(|fragment| fragment.weight).collect();
                compel::weighted(self, &rows, &weights)
            }
        }
    }

    /// The states of all rows, without weights.
    fn states(&self, rows: &Rows) -> Result<Tensor> {
        let length = self.encoder.frame().length;
        let states = rows.ids.chunks(length).map(|ids| self.encoder.encode(ids, None));
        Ok(Tensor::cat(&states.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// Rows of an empty text, `tokens` tokens in all.
    fn empty(&self, tokens: usize) -> Result<Tensor> {
        let frame = self.encoder.frame();
        let row = self.encoder.encode(&lay_out(&[], &frame, LongText::Cut).ids, None)?;
        Ok(row.repeat((1, tokens / frame.length.max(1), 1))?)
    }
}

/// Weights as a column [1, n, 1], for states [1, n, width].
fn column(weights: &[f64], states: &Tensor) -> Result<Tensor> {
    let column: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
    let column = Tensor::from_vec(column, (1, weights.len(), 1), states.device())?;
    Ok(column.to_dtype(states.dtype())?)
}
