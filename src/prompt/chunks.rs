//! From the tokens of weighted fragments to the rows of ids that a text encoder reads: 75 tokens
//! each, between a start and an end.

use std::ops::Range;

/// What a text encoder's rows are framed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub start: u32,
    pub end: u32,
    /// Fills a row up behind its end.
    pub padding: u32,
    /// Ids a row, start and end included: 77. At least 3.
    pub length: usize,
}

impl Frame {
    /// Tokens of the text that a row holds: 75.
    pub fn capacity(&self) -> usize {
        self.length.saturating_sub(2).max(1)
    }
}

/// A token as the vocabulary has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: u32,
    /// With `</w>` behind it where a word ends.
    pub text: String,
    /// Where it begins in the fragment's text, in bytes.
    pub start: usize,
}

/// What becomes of a text that is longer than one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LongText {
    /// Its rest is not read.
    Cut,
    /// A row ends behind the last full stop, where there is none behind the last comma, semicolon
    /// or colon, where there is none behind the last word (Compel 2.5).
    Sentences,
    /// A row ends where it is full, or behind a comma among its last 20 tokens (AUTOMATIC1111).
    Commas,
}

/// A text in rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Row behind row, [`Frame::length`] ids each; one row at least.
    pub ids: Vec<u32>,
    /// The weight of each id; 1 for start, end and padding.
    pub weights: Vec<f64>,
    /// Where each fragment lies in `ids`, with all that lies between its first token and its last.
    /// Empty for one without tokens, or beyond the cut; one that is cut goes to the row's end.
    pub spans: Vec<Range<usize>>,
}

/// How far back a comma may be to end a row before it is full.
const COMMA_REACH: usize = 20;

/// Lays fragments out: their tokens, and one weight for each.
pub fn lay_out(fragments: &[(Vec<Token>, f64)], frame: &Frame, long: LongText) -> Rows {
    let capacity = frame.capacity();
    // Compel cuts each fragment for itself first; a fragment of full length counts as whole.
    let limit = if long == LongText::Cut { capacity } else { usize::MAX };
    let tokens: Vec<Placed<'_>> = fragments
        .iter()
        .enumerate()
        .flat_map(|(fragment, (tokens, weight))| {
            tokens.iter().take(limit).map(move |token| Placed { token, weight: *weight, fragment })
        })
        .collect();
    let mut rows = Rows { spans: vec![0..0; fragments.len()], ..Rows::default() };
    let mut rest = tokens.as_slice();
    loop {
        let (row, behind) = rest.split_at(row_length(rest, capacity, long));
        rows.push(row, frame);
        rest = behind;
        if rest.is_empty() || long == LongText::Cut {
            break;
        }
    }
    if let Some(cut) = rest.first() {
        rows.reach_end_of(cut.fragment);
    }
    rows
}

/// A token with what is known of its fragment.
#[derive(Clone, Copy)]
struct Placed<'a> {
    token: &'a Token,
    weight: f64,
    fragment: usize,
}

impl Rows {
    fn push(&mut self, row: &[Placed<'_>], frame: &Frame) {
        let from = self.ids.len();
        self.ids.push(frame.start);
        self.weights.push(1.0);
        for placed in row {
            let (at, span) = (self.ids.len(), &mut self.spans[placed.fragment]);
            // Nothing lies at 0, where the row starts.
            let first = if span.start == 0 { at } else { span.start };
            *span = first..at + 1;
            self.ids.push(placed.token.id);
            self.weights.push(placed.weight);
        }
        self.ids.push(frame.end);
        self.ids.resize(from + frame.length, frame.padding);
        self.weights.resize(from + frame.length, 1.0);
    }

    /// A fragment that began before the cut goes to the end of the row, the row's end included.
    fn reach_end_of(&mut self, fragment: usize) {
        let end = self.ids.len();
        if let Some(span) = self.spans.get_mut(fragment).filter(|span| span.start > 0) {
            span.end = end;
        }
    }
}

/// How many of the tokens make the next row.
fn row_length(tokens: &[Placed<'_>], capacity: usize, long: LongText) -> usize {
    if tokens.len() <= capacity {
        return tokens.len();
    }
    let last = |wanted: &dyn Fn(&str) -> bool| {
        tokens[..capacity].iter().rposition(|placed| wanted(&placed.token.text))
    };
    let index = match long {
        LongText::Cut => None,
        LongText::Sentences => last(&|text| text == ".</w>")
            .or_else(|| last(&|text| matches!(text, ".</w>" | ",</w>" | ";</w>" | ":</w>")))
            .or_else(|| last(&|text| text.ends_with("</w>"))),
        // A comma that would come next stays with the words before it only if there is room.
        LongText::Commas if tokens[capacity].token.text == COMMA => None,
        LongText::Commas => {
            last(&|text| text == COMMA).filter(|index| capacity - index <= COMMA_REACH)
        }
    };
    index.map_or(capacity, |index| index + 1)
}

const COMMA: &str = ",</w>";

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { start: 100, end: 101, padding: 0, length: 7 };

    /// Each letter is a token whose id is its place in the alphabet.
    fn tokens(text: &str) -> Vec<Token> {
        let id = |c: char| if c.is_ascii_lowercase() { c as u32 - 'a' as u32 + 1 } else { 50 };
        let token = |(start, c)| Token { id: id(c), text: format!("{c}</w>"), start };
        text.char_indices().map(token).collect()
    }

    fn rows(text: &str, long: LongText) -> Vec<usize> {
        let laid = lay_out(&[(tokens(text), 1.0)], &FRAME, long);
        let rows = laid.ids.chunks(FRAME.length);
        rows.map(|row| row.iter().position(|id| *id == FRAME.end).unwrap() - 1).collect()
    }

    #[test]
    fn one_row_is_framed_and_filled() {
        let laid = lay_out(&[(tokens("ab"), 1.0), (tokens("c"), 0.5)], &FRAME, LongText::Cut);
        assert_eq!(laid.ids, [100, 1, 2, 3, 101, 0, 0]);
        assert_eq!(laid.weights, [1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(laid.spans, [1..3, 3..4]);
        assert_eq!(lay_out(&[], &FRAME, LongText::Sentences).ids, [100, 101, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_cut_fragment_reaches_over_the_end() {
        let text = [(tokens("abcd"), 1.0), (tokens("ef"), 0.5), (tokens("g"), 0.5)];
        let laid = lay_out(&text, &FRAME, LongText::Cut);
        assert_eq!(laid.ids, [100, 1, 2, 3, 4, 5, 101]);
        assert_eq!(laid.spans, [1..5, 5..7, 0..0]);
        let whole = lay_out(&[(tokens("abcdefgh"), 0.5)], &FRAME, LongText::Cut);
        assert_eq!(whole.spans[0], 1..6, "cut by itself, it counts as whole");
    }

    #[test]
    fn sentences_keep_together() {
        assert_eq!(rows("abcde", LongText::Sentences), [5]);
        assert_eq!(rows("abcdefg", LongText::Sentences), [5, 2]);
        assert_eq!(rows("ab.d,fg", LongText::Sentences), [3, 4]);
        assert_eq!(rows("ab,defg", LongText::Sentences), [3, 4]);
        let laid = lay_out(&[(tokens("a.bcdef"), 0.5)], &FRAME, LongText::Sentences);
        assert_eq!((laid.ids.len(), laid.spans[0].clone()), (14, 1..13));
    }

    #[test]
    fn commas_end_a_row_early() {
        assert_eq!(rows("abc,efg", LongText::Commas), [4, 3]);
        assert_eq!(rows("abcde,g", LongText::Commas), [5, 2]);
        assert_eq!(rows("abcdefg", LongText::Commas), [5, 2]);
    }
}
