//! How much of a prompt is read.

use super::{
    Content, Fragment, Prompt,
    chunks::{Frame, LongText, Token, lay_out},
};

/// The tokens of a prompt, and how many of them are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Without start, end and padding.
    pub tokens: usize,
    /// As many fit: 75 a row.
    pub room: usize,
    /// What is not read, as it is written.
    pub cut: Option<String>,
}

impl Count {
    /// Counts a prompt whose fragments have these tokens.
    ///
    /// # Errors
    /// Those of `tokens`.
    pub fn of<E>(
        prompt: &Prompt,
        frame: &Frame,
        long: LongText,
        tokens: impl Fn(&str) -> Result<Vec<Token>, E>,
    ) -> Result<Self, E> {
        let mut count = Self::default();
        for part in &prompt.parts {
            match &part.content {
                Content::Text(text) => count.add(text, frame, long, &tokens)?,
                Content::Blend { texts, .. } => {
                    for text in texts {
                        count.add(text, frame, long, &tokens)?;
                    }
                }
            }
        }
        Ok(count)
    }

    fn add<E>(
        &mut self,
        text: &[Fragment],
        frame: &Frame,
        long: LongText,
        tokens: impl Fn(&str) -> Result<Vec<Token>, E>,
    ) -> Result<(), E> {
        let mut fragments = Vec::with_capacity(text.len());
        for fragment in text {
            fragments.push((tokens(&fragment.text)?, fragment.weight));
        }
        self.tokens += fragments.iter().map(|(tokens, _)| tokens.len()).sum::<usize>();
        let rows = lay_out(&fragments, frame, long).ids.len() / frame.length.max(1);
        self.room += rows * frame.capacity();
        if long == LongText::Cut
            && let Some(cut) = behind(text, &fragments, frame.capacity())
        {
            let words = self.cut.get_or_insert_default();
            if !words.is_empty() {
                words.push_str(" ... ");
            }
            words.push_str(&cut);
        }
        Ok(())
    }
}

/// The text from the token on that is the first not to be read.
fn behind(text: &[Fragment], tokens: &[(Vec<Token>, f64)], capacity: usize) -> Option<String> {
    let mut before = 0;
    for (index, (fragment, (tokens, _))) in text.iter().zip(tokens).enumerate() {
        if let Some(first) = capacity.checked_sub(before).and_then(|at| tokens.get(at)) {
            let rest = text[index + 1..].iter().map(|fragment| fragment.text.trim());
            let head = fragment.text.get(first.start..).unwrap_or_default().trim();
            let words = std::iter::once(head).chain(rest).filter(|words| !words.is_empty());
            return Some(words.collect::<Vec<_>>().join(" "));
        }
        before += tokens.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::prompt::Syntax;

    fn count(text: &str, syntax: Syntax, long: LongText) -> Count {
        let frame = Frame { start: 0, end: 0, padding: 0, length: 5 };
        // Each word is a token.
        let tokens = |text: &str| {
            let words = text.split_whitespace();
            let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
            let token =
                |word: &str| Token { id: 1, text: format!("{word}</w>"), start: start(word) };
            Ok::<_, Infallible>(words.map(token).collect())
        };
        Count::of(&syntax.parse(text).unwrap(), &frame, long, tokens).unwrap()
    }

    #[test]
    fn what_fits_is_counted() {
        let expected = Count { tokens: 3, room: 3, cut: None };
        assert_eq!(count("a b c", Syntax::Plain, LongText::Cut), expected);
        let expected = Count { tokens: 5, room: 6, cut: None };
        assert_eq!(count("a b c d e", Syntax::Plain, LongText::Sentences), expected);
        let expected = Count { tokens: 3, room: 6, cut: None };
        assert_eq!(count("a b BREAK c", Syntax::A1111, LongText::Cut), expected);
    }

    #[test]
    fn what_is_cut_is_named() {
        let cut = |text, syntax| count(text, syntax, LongText::Cut).cut;
        assert_eq!(cut("a b c dog ever", Syntax::Plain).as_deref(), Some("dog ever"));
        assert_eq!(cut("a (b c dog) [ever]", Syntax::A1111).as_deref(), Some("dog ever"));
        assert_eq!(cut("a b c d BREAK e f g h", Syntax::A1111).as_deref(), Some("d ... h"));
        assert_eq!(cut("(a b c d)++ e", Syntax::Compel).as_deref(), Some("d e"));
        assert_eq!(cut("a b c", Syntax::Plain), None);
    }
}
