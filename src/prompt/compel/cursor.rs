//! A place in a text, and the small steps from there. Steps give `None` where they do not fit, and
//! the place behind them otherwise, so that trying one costs nothing.

/// White space between parts of the syntax.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Characters with a meaning, which a plain word does not contain.
const SYNTAX: [char; 8] = ['(', ')', '"', ',', '.', '+', '-', '='];

#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub fn is_at_end(self) -> bool {
        self.skip_space().rest.is_empty()
    }

    pub fn skip_space(self) -> Self {
        Self { rest: self.rest.trim_start_matches(SPACE) }
    }

    /// `text`, white space before it allowed.
    pub fn literal(self, text: &str) -> Option<Self> {
        self.skip_space().rest.strip_prefix(text).map(Self::new)
    }

    /// The first `length` bytes and the place behind them; none of nothing.
    fn split(self, length: usize) -> Option<(&'a str, Self)> {
        let (head, rest) = self.rest.split_at(length);
        (!head.is_empty()).then_some((head, Self { rest }))
    }

    /// As many characters as `wanted` says, one at least.
    fn run(self, wanted: impl Fn(char) -> bool) -> Option<(&'a str, Self)> {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.split(end)
    }

    /// Everything up to the next white space.
    pub fn free_word(self) -> Option<(&'a str, Self)> {
        self.run(|c| !SPACE.contains(&c))
    }

    /// Letters, digits, `_` and `-`.
    pub fn keyword(self) -> Option<(&'a str, Self)> {
        self.skip_space().run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    }

    /// A word without syntax: characters with a meaning only behind a backslash, plus and minus
    /// also in front of another letter.
    pub fn plain_word(self) -> Option<(&'a str, Self)> {
        let start = self.skip_space();
        let mut at = start;
        while let Some(length) = at.plain_letter() {
            at = Self { rest: &at.rest[length..] };
        }
        start.split(start.rest.len() - at.rest.len())
    }

    /// The length in bytes of the next letter of a plain word.
    fn plain_letter(self) -> Option<usize> {
        let mut letters = self.rest.chars();
        let (first, second) = (letters.next()?, letters.next());
        if first == '\\' && second.is_some_and(|c| SYNTAX.contains(&c)) {
            return Some(2);
        }
        let ends = |c: char| SPACE.contains(&c) || SYNTAX.contains(&c);
        match first {
            '+' | '-' if second.is_some_and(|c| !ends(c)) => Some(1),
            _ if ends(first) => None,
            _ => Some(first.len_utf8()),
        }
    }

    /// One or more of `sign`; gives how many.
    pub fn signs(self, sign: char) -> Option<(usize, Self)> {
        self.run(|c| c == sign).map(|(run, rest)| (run.len(), rest))
    }

    /// `1.5`, `-.5`, `+2.`, `3`, `-3`.
    pub fn number(self) -> Option<(f64, Self)> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits =
            |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let whole = digits(&self.rest[sign..]);
        let behind = &self.rest[sign + whole..];
        let length = match behind.strip_prefix('.') {
            Some(fraction) if whole > 0 || digits(fraction) > 0 => {
                sign + whole + 1 + digits(fraction)
            }
            _ if whole > 0 && !self.rest.starts_with('+') => sign + whole,
            _ => return None,
        };
        let (number, rest) = self.split(length)?;
        Some((number.parse().ok()?, rest))
    }

    /// What stands in double quotes on one line, with its escapes resolved. Without a closing
    /// quote, the last escaped one closes.
    pub fn quoted(self) -> Option<(String, Self)> {
        let inside = self.literal("\"")?.rest;
        let line = &inside[..inside.find(['\n', '\r']).unwrap_or(inside.len())];
        let quotes = || line.match_indices('"').map(|(at, _)| at);
        let escaped = |at: &usize| line[..*at].ends_with('\\');
        let end = quotes().find(|at| !escaped(at)).or_else(|| quotes().next_back())?;
        Some((unescaped(&line[..end]), Self { rest: &inside[end + 1..] }))
    }
}

/// `\t`, `\n`, `\f`, `\r` become white space, `\"` a quote.
fn unescaped(text: &str) -> String {
    let spaced =
        [r"\t", r"\n", r"\f", r"\r"].iter().fold(text.to_owned(), |t, e| t.replace(e, " "));
    spaced.replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let number = |text| Cursor::new(text).number().map(|(n, rest)| (n, rest.rest));
        assert_eq!(number("1.5x"), Some((1.5, "x")));
        assert_eq!(number("-.5"), Some((-0.5, "")));
        assert_eq!(number("+2.)"), Some((2.0, ")")));
        assert_eq!(number("-3 "), Some((-3.0, " ")));
        assert_eq!(number("+3"), None);
        assert_eq!(number("."), None);
    }

    #[test]
    fn plain_words() {
        let word = |text| Cursor::new(text).plain_word().map(|(word, rest)| (word, rest.rest));
        assert_eq!(word(" soft-light++"), Some(("soft-light", "++")));
        assert_eq!(word(r"a\(b\)c(d)"), Some((r"a\(b\)c", "(d)")));
        assert_eq!(word("-1990s, x"), Some(("-1990s", ", x")));
        assert_eq!(word("- x"), None);
    }

    #[test]
    fn quotes() {
        let quoted = |text| Cursor::new(text).quoted().map(|(text, rest)| (text, rest.rest));
        assert_eq!(quoted(r#""a \"b\" c"++"#), Some((r#"a "b" c"#.into(), "++")));
        assert_eq!(quoted(r#""a \" b"#), Some((r"a \".into(), " b")));
        assert_eq!(quoted("\"a\nb\""), None);
        assert_eq!(quoted(r#""""#), Some((String::new(), "")));
    }
}
