//! AUTOMATIC1111's syntax: round brackets for more, square ones for less, `(x:1.3)` for a number,
//! a backslash before a bracket that is meant as such, `BREAK` for a new chunk.

use super::{Fragment, Part, Prompt};

/// What a pair of round brackets multiplies by; square ones divide.
const STEP: f64 = 1.1;

/// The word that ends a chunk.
const BREAK: &str = "BREAK";

/// Reads a prompt. Brackets that are not closed count to the end; those that close nothing are
/// text.
pub fn parse(text: &str) -> Prompt {
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[reader.take(first, rest)..];
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    /// The number of pieces before each bracket that is open.
    round: Vec<usize>,
    square: Vec<usize>,
}

enum Piece {
    Text(String, f64),
    Break,
}

impl Reader {
    /// Takes what begins with `first`, the first character of `rest`; gives its length in bytes.
    fn take(&mut self, first: char, rest: &str) -> usize {
        match first {
            '\\' => return self.escaped(rest),
            '(' => self.round.push(self.pieces.len()),
            '[' => self.square.push(self.pieces.len()),
            ')' => match self.round.pop() {
                Some(from) => self.multiply(from, STEP),
                None => self.push(")"),
            },
            ']' => match self.square.pop() {
                Some(from) => self.multiply(from, 1.0 / STEP),
                None => self.push("]"),
            },
            ':' => return self.weight(rest),
            _ => {
                let end = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                self.words(&rest[..end]);
                return end;
            }
        }
        first.len_utf8()
    }

    fn push(&mut self, text: &str) {
        self.pieces.push(Piece::Text(text.to_owned(), 1.0));
    }

    /// A backslash and the bracket or backslash behind it, which then means itself.
    fn escaped(&mut self, rest: &str) -> usize {
        let behind = rest[1..].chars().next();
        match behind.filter(|c| matches!(c, '(' | ')' | '[' | ']' | '\\')) {
            Some(c) => self.push(c.encode_utf8(&mut [0; 4])),
            // A single backslash disappears.
            None => return 1,
        }
        2
    }

    /// `:1.3)` ends a round bracket with a number of its own; any other colon is text.
    fn weight(&mut self, rest: &str) -> usize {
        let Some((weight, length)) = weight_and_bracket(rest) else {
            self.push(":");
            return 1;
        };
        match self.round.pop() {
            Some(from) => self.multiply(from, weight),
            None => self.push(&rest[..length]),
        }
        length
    }

    fn multiply(&mut self, from: usize, factor: f64) {
        for piece in &mut self.pieces[from..] {
            if let Piece::Text(_, weight) = piece {
                *weight *= factor;
            }
        }
    }

    /// Text without brackets, which may hold breaks.
    fn words(&mut self, text: &str) {
        let mut from = 0;
        while let Some(at) = find_break(text, from) {
            self.push(text[from..at].trim_end());
            self.pieces.push(Piece::Break);
            let behind = &text[at + BREAK.len()..];
            from = text.len() - behind.trim_start().len();
        }
        self.push(&text[from..]);
    }

    fn finish(mut self) -> Prompt {
        for from in std::mem::take(&mut self.round) {
            self.multiply(from, STEP);
        }
        for from in std::mem::take(&mut self.square) {
            self.multiply(from, 1.0 / STEP);
        }
        let mut parts = vec![Vec::new()];
        for piece in self.pieces {
            match piece {
                Piece::Break => parts.push(Vec::new()),
                Piece::Text(text, weight) => {
                    if let Some(part) = parts.last_mut() {
                        join(part, text, weight);
                    }
                }
            }
        }
        Prompt { parts: parts.into_iter().map(Part::text).collect() }
    }
}

/// Neighbours of one weight are one text, so that a word is tokenised as a whole.
fn join(part: &mut Vec<Fragment>, text: String, weight: f64) {
    match part.last_mut() {
        Some(last) if last.weight == weight => last.text += &text,
        _ if text.is_empty() => {}
        _ => part.push(Fragment { text, weight }),
    }
}

/// The next `BREAK` that stands alone, not before `from`.
fn find_break(text: &str, from: usize) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text[from..].match_indices(BREAK).map(|(at, _)| from + at).find(|at| {
        let (before, behind) = (&text[..*at], &text[at + BREAK.len()..]);
        !before.ends_with(is_word) && !behind.starts_with(is_word)
    })
}

/// The number in `: 1.3 )`, and the length of it all.
fn weight_and_bracket(text: &str) -> Option<(f64, usize)> {
    let end = text.find(')')?;
    let number = text[1..end].trim();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    Some((number.parse().ok()?, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Content;

    fn parts(text: &str) -> Vec<Vec<(String, f64)>> {
        let fragments = |part: Part| match part.content {
            Content::Text(fragments) => {
                fragments.into_iter().map(|f| (f.text, (f.weight * 1e6).round() / 1e6)).collect()
            }
            Content::Blend { .. } => Vec::new(),
        };
        parse(text).parts.into_iter().map(fragments).collect()
    }

    fn one(text: &str) -> Vec<(String, f64)> {
        let mut parts = parts(text);
        assert_eq!(parts.len(), 1, "{text}");
        parts.remove(0)
    }

    fn expect(text: &str, expected: &[(&str, f64)]) {
        let expected: Vec<_> = expected.iter().map(|(t, w)| ((*t).to_owned(), *w)).collect();
        assert_eq!(one(text), expected, "{text}");
    }

    #[test]
    fn brackets_and_numbers() {
        expect("a cat", &[("a cat", 1.0)]);
        expect("a (cat) b", &[("a ", 1.0), ("cat", 1.1), (" b", 1.0)]);
        expect("a ((cat))", &[("a ", 1.0), ("cat", 1.21)]);
        expect("[fog]", &[("fog", 0.909091)]);
        expect("(a:1.3)", &[("a", 1.3)]);
        expect("(a : -0.5 )b", &[("a ", -0.5), ("b", 1.0)]);
        expect("(a (b:2) c:1.5)", &[("a ", 1.5), ("b", 3.0), (" c", 1.5)]);
        expect("[(a:1.1)]", &[("a", 1.0)]);
    }

    #[test]
    fn what_is_not_closed_or_not_open() {
        expect("a (b", &[("a ", 1.0), ("b", 1.1)]);
        expect("a ((b [c", &[("a ", 1.0), ("b ", 1.21), ("c", 1.1)]);
        expect("a) b] c", &[("a) b] c", 1.0)]);
        expect("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]);
        expect("5:30 b:1.2)", &[("5:30 b:1.2)", 1.0)]);
        expect("(a:1.2.3)", &[("a:1.2.3", 1.1)]);
        expect("(a:)", &[("a:", 1.1)]);
        expect("", &[]);
    }

    #[test]
    fn escapes() {
        expect(r"\(a\) \[b\] \\ c\d", &[(r"(a) [b] \ cd", 1.0)]);
        expect(r"(a \(b\):1.2)", &[("a (b)", 1.2)]);
    }

    #[test]
    fn breaks_part_the_text() {
        let text = |t: &str| vec![(t.to_owned(), 1.0)];
        assert_eq!(parts("a cat BREAK a dog"), [text("a cat"), text("a dog")]);
        assert_eq!(parts("BREAKFAST"), [text("BREAKFAST")]);
        assert_eq!(parts("BREAK BREAK"), [vec![], vec![], vec![]]);
        assert_eq!(
            parts("(a BREAK b:2)"),
            [vec![("a".to_owned(), 2.0)], vec![("b".to_owned(), 2.0)]],
            "within brackets too"
        );
    }
}
