//! The syntax of Compel 2.5: `x++` and `x--`, `(a b)1.3`, `"a b"+`, `x.attend(1.3)`, and for whole
//! prompts `("a", "b").and(1, 0.5)` and `.blend(...)`. What is no syntax is text, and everything
//! is cut into words, which come back with one space between them.

mod cursor;
mod grammar;

use self::grammar::{Argument, Node, Tree, unescaped};
use super::{Content, Fragment, Part, Prompt, PromptError};

/// A flag of `.blend()`: the weights count as they are.
const NO_NORMALIZE: &str = "no_normalize";

/// Reads a prompt.
///
/// # Errors
/// For operators that are not supported, and weights of a conjunction or blend that are no
/// numbers, or not as many as texts.
pub fn parse(text: &str) -> Result<Prompt, PromptError> {
    let text = spaced(text);
    if text.trim().is_empty() {
        return Ok(Prompt::plain(""));
    }
    let tree = grammar::tree(&text);
    let tree = tree.ok_or_else(|| PromptError("text after .blend() cannot be read".into()))?;
    let parts = match tree {
        Tree::One(nodes) => conjunction(vec![nodes], &[])?,
        Tree::And { texts, weights } => conjunction(texts, &weights)?,
        Tree::Blend { texts, weights } => vec![blend(texts, weights)?],
    };
    Ok(Prompt { parts })
}

/// A space behind each comma, as Compel puts it there before it reads.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        spaced.push(letter);
        if letter == ','
            && let Some(next) = letters.next()
        {
            if !next.is_whitespace() {
                spaced.push(' ');
            }
            spaced.push(next);
        }
    }
    spaced
}

/// Texts with nothing in them go, and their weights with them.
fn conjunction(texts: Vec<Vec<Node>>, weights: &[Argument]) -> Result<Vec<Part>, PromptError> {
    let weights = numbers(weights, texts.len(), ".and()")?;
    let mut parts = Vec::new();
    for (text, weight) in texts.iter().zip(weights) {
        let fragments = flatten(text)?;
        if !fragments.is_empty() {
            parts.push(Part { weight, content: Content::Text(fragments) });
        }
    }
    if parts.is_empty() {
        parts.push(Part::text(vec![Fragment::neutral("")]));
    }
    Ok(parts)
}

fn blend(texts: Vec<Vec<Node>>, mut weights: Vec<Argument>) -> Result<Part, PromptError> {
    let flag = weights.last() == Some(&Argument::Word(NO_NORMALIZE.into()));
    if flag {
        weights.pop();
    }
    let weights = numbers(&weights, texts.len(), ".blend()")?;
    let texts = texts.iter().map(|text| flatten(text)).collect::<Result<_, _>>()?;
    Ok(Part { weight: 1.0, content: Content::Blend { texts, weights, normalize: !flag } })
}

/// The weights of as many texts; 1 for each where none is named.
fn numbers(weights: &[Argument], texts: usize, what: &str) -> Result<Vec<f64>, PromptError> {
    if weights.is_empty() {
        return Ok(vec![1.0; texts]);
    }
    let numbers = weights.iter().map(|weight| match weight {
        Argument::Number(number) => Ok(*number),
        Argument::Word(word) => {
            Err(PromptError(format!("{what} takes numbers, and \"{word}\" is none")))
        }
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    if numbers.len() == texts {
        return Ok(numbers);
    }
    let count = numbers.len();
    Err(PromptError(format!("{what} has {count} weights for {texts} texts; name one for each")))
}

/// From the tree to a row; neighbours of one weight are joined.
fn flatten(nodes: &[Node]) -> Result<Vec<Fragment>, PromptError> {
    let mut fragments = Vec::new();
    walk(nodes, 1.0, &mut fragments)?;
    Ok(fragments)
}

fn walk(nodes: &[Node], weight: f64, fragments: &mut Vec<Fragment>) -> Result<(), PromptError> {
    for node in nodes {
        match node {
            Node::Text(text) => join(fragments, &unescaped(text), weight),
            Node::Weighted(factor, children) => walk(children, weight * factor, fragments)?,
            Node::Unsupported(what) => {
                return Err(PromptError(format!("{what} is not supported; leave it out")));
            }
        }
    }
    Ok(())
}

/// Each step takes one more backslash away, as it does in Compel.
fn join(fragments: &mut Vec<Fragment>, text: &str, weight: f64) {
    match fragments.last_mut() {
        Some(last) if last.weight == weight => {
            last.text = unescaped(&format!("{} {text}", last.text));
        }
        _ => fragments.push(Fragment { text: text.to_owned(), weight }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Vec<(String, f64)> {
        let prompt = parse(text).unwrap();
        prompt.fragments().map(|f| (f.text.clone(), (f.weight * 1e6).round() / 1e6)).collect()
    }

    fn expect(text: &str, expected: &[(&str, f64)]) {
        let expected: Vec<_> = expected.iter().map(|(t, w)| ((*t).to_owned(), *w)).collect();
        assert_eq!(one(text), expected, "{text}");
    }

    #[test]
    fn weights() {
        expect("a red++ cat", &[("a", 1.0), ("red", 1.21), ("cat", 1.0)]);
        expect("a (red fox)1.3,snow", &[("a", 1.0), ("red fox", 1.3), (", snow", 1.0)]);
        expect("\"red, fox\"-- (a b+)+", &[("red , fox", 0.81), ("a", 1.1), ("b", 1.21)]);
        expect("fox.attend(0.5) soft-light", &[("fox", 0.5), ("soft-light", 1.0)]);
        expect("(a - b) \\(c\\)", &[("(a - b) (c)", 1.0)]);
        expect(" ", &[("", 1.0)]);
    }

    #[test]
    fn conjunctions_and_blends() {
        let prompt = parse("(\"a cat\", \"a dog\").and(1, 0.5)").unwrap();
        assert_eq!(prompt.parts.len(), 2);
        assert_eq!(prompt.parts[1].weight, 0.5);
        let prompt = parse("(\"a - b\", c).blend(1, -0.5, no_normalize)").unwrap();
        let Content::Blend { texts, weights, normalize } = &prompt.parts[0].content else {
            panic!("no blend: {prompt:?}");
        };
        assert_eq!((texts.len(), weights.as_slice(), *normalize), (2, &[1.0, -0.5][..], false));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let refusal = |text| parse(text).unwrap_err().to_string();
        assert!(refusal("a cat.swap(dog)").contains(".swap()"));
        assert!(refusal("a cat withLora(x, 0.5)").contains("withLora"));
        assert!(refusal("(a, b).and(1)").contains("1 weights for 2 texts"));
        assert!(refusal("(a, b).blend(1, x)").contains("\"x\" is none"));
        assert!(refusal("(a, b).blend() c").contains("after .blend()"));
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(one(&text), [(text, 1.0)]);
    }
}
