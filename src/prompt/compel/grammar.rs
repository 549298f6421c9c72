//! The rules of the syntax, in the order in which they are tried.

use super::cursor::Cursor;

/// What a `+` multiplies by, and a `-`.
const PLUS: f64 = 1.1;
const MINUS: f64 = 0.9;

/// Deeper nesting is text.
const MAX_DEPTH: usize = 32;

/// A piece of a prompt; weights multiply towards the leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Text(String),
    Weighted(f64, Vec<Node>),
    /// An operator that is understood but not supported.
    Unsupported(&'static str),
}

/// A whole prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    One(Vec<Node>),
    /// `("a", "b").and(1, 0.5)`
    And {
        texts: Vec<Vec<Node>>,
        weights: Vec<Argument>,
    },
    /// `("a", "b").blend(1, 0.5)`
    Blend {
        texts: Vec<Vec<Node>>,
        weights: Vec<Argument>,
    },
}

/// One argument of `.and()` or `.blend()`.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    Number(f64),
    Word(String),
}

type Parsed<'a, T> = Option<(T, Cursor<'a>)>;

/// Something that an operator may follow.
enum Target<'a> {
    /// In quotes or brackets.
    Group(Vec<Node>),
    Word(&'a str),
}

impl Target<'_> {
    fn into_nodes(self) -> Vec<Node> {
        match self {
            Self::Group(nodes) => nodes,
            Self::Word(word) => vec![text(word)],
        }
    }
}

/// Reads a text. `None` where something follows a blend.
pub fn tree(source: &str) -> Option<Tree> {
    let start = Cursor::new(source);
    if let Some((texts, weights, _)) = operation(start, &[".and", ".add"]) {
        // What follows is dropped.
        return Some(Tree::And { texts, weights });
    }
    if let Some((texts, weights, rest)) = operation(start, &[".blend"]) {
        return rest.is_at_end().then_some(Tree::Blend { texts, weights });
    }
    Some(Tree::One(prompt(start, 0)))
}

/// `(target, target ...)`, one of the operators, and its arguments.
fn operation<'a>(
    start: Cursor<'a>,
    operators: &[&str],
) -> Option<(Vec<Vec<Node>>, Vec<Argument>, Cursor<'a>)> {
    let (texts, rest) = list(start.literal("(")?, operand)?;
    let rest = rest.literal(")")?;
    let rest = operators.iter().find_map(|operator| rest.literal(operator))?.literal("(")?;
    let (arguments, rest) = list(rest, argument).unwrap_or((Vec::new(), rest));
    Some((texts, arguments, rest.literal(")")?))
}

/// One or more, with commas between.
fn list<'a, T>(
    start: Cursor<'a>,
    entry: impl Fn(Cursor<'a>) -> Parsed<'a, T>,
) -> Parsed<'a, Vec<T>> {
    let (first, mut rest) = entry(start)?;
    let mut entries = vec![first];
    while let Some((next, behind)) = rest.literal(",").and_then(&entry) {
        entries.push(next);
        rest = behind;
    }
    Some((entries, rest))
}

/// A text of a conjunction or blend; in quotes it may hold anything.
fn operand(at: Cursor<'_>) -> Parsed<'_, Vec<Node>> {
    if let Some((target, rest)) = target(at, 0) {
        return Some((target.into_nodes(), rest));
    }
    let (inside, rest) = at.quoted()?;
    Some((prompt(Cursor::new(&inside.replace('"', "\\\"")), 1), rest))
}

/// `0.5`, `word`, `key=value` (whose key counts only as a word).
fn argument(at: Cursor<'_>) -> Parsed<'_, Argument> {
    if let Some((key, rest)) = at.keyword()
        && let Some(value) = rest.literal("=")
    {
        let number = value.skip_space().number().map(|(_, rest)| rest);
        let rest = number.or_else(|| value.keyword().map(|(_, rest)| rest))?;
        return Some((Argument::Word(key.to_owned()), rest));
    }
    if let Some((number, rest)) = at.skip_space().number() {
        return Some((Argument::Number(number), rest));
    }
    at.keyword().map(|(word, rest)| (Argument::Word(word.to_owned()), rest))
}

/// A whole text: what is no syntax is a word up to the next space.
fn prompt(start: Cursor<'_>, depth: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while let Some((more, rest)) = term(at, depth).or_else(|| bare(at.skip_space().free_word())) {
        nodes.extend(more);
        at = rest;
    }
    nodes
}

/// What stands in brackets or quotes: syntax, plain words, commas and full stops.
fn fragments(start: Cursor<'_>, depth: usize) -> (Vec<Node>, Cursor<'_>) {
    let mut nodes = Vec::new();
    let mut at = start;
    while let Some((more, rest)) =
        term(at, depth).or_else(|| bare(at.plain_word())).or_else(|| mark(at))
    {
        nodes.extend(more);
        at = rest;
    }
    (nodes, at)
}

fn bare<'a>(word: Parsed<'a, &'a str>) -> Parsed<'a, Vec<Node>> {
    word.map(|(word, rest)| (vec![text(word)], rest))
}

/// A comma or full stop.
fn mark(at: Cursor<'_>) -> Parsed<'_, Vec<Node>> {
    let mark = |mark| at.literal(mark).map(|rest| (vec![text(mark)], rest));
    mark(",").or_else(|| mark("."))
}

/// Something with an operator behind it, or in brackets or quotes.
fn term(at: Cursor<'_>, depth: usize) -> Parsed<'_, Vec<Node>> {
    if let Some(rest) = lora(at) {
        return Some((
            vec![Node::Unsupported("withLora() (name the file as a LoRA instead)")],
            rest,
        ));
    }
    let (target, rest) = target(at, depth)?;
    if let Some((operator, rest)) = operator(rest, matches!(target, Target::Word(_))) {
        return Some((vec![operator.applied(target)], rest));
    }
    match target {
        Target::Group(nodes) => Some((nodes, rest)),
        Target::Word(_) => None,
    }
}

fn target(at: Cursor<'_>, depth: usize) -> Parsed<'_, Target<'_>> {
    let group = quoted(at, depth).or_else(|| brackets(at, depth));
    let group = group.map(|(nodes, rest)| (Target::Group(nodes), rest));
    group.or_else(|| at.plain_word().map(|(word, rest)| (Target::Word(word), rest)))
}

fn brackets(at: Cursor<'_>, depth: usize) -> Parsed<'_, Vec<Node>> {
    let inside = at.literal("(").filter(|_| depth < MAX_DEPTH)?;
    let (nodes, rest) = fragments(inside, depth + 1);
    Some((nodes, rest.literal(")")?))
}

/// Quotes whose inside is understood to its end.
fn quoted(at: Cursor<'_>, depth: usize) -> Parsed<'_, Vec<Node>> {
    let (inside, rest) = at.quoted().filter(|_| depth < MAX_DEPTH)?;
    if inside.trim().is_empty() {
        return Some((vec![text("")], rest));
    }
    let inside = inside.replace('"', "\\\"");
    let (nodes, end) = fragments(Cursor::new(&inside), depth + 1);
    end.is_at_end().then_some((nodes, rest))
}

enum Operator {
    Weight(f64),
    Swap,
}

impl Operator {
    fn applied(self, target: Target<'_>) -> Node {
        match self {
            Self::Weight(weight) => Node::Weighted(weight, target.into_nodes()),
            Self::Swap => Node::Unsupported(".swap()"),
        }
    }
}

/// `.swap(`, `.attend(1.3)`; `++`, `--` or, not behind a bare word, `1.3`, without a space before.
fn operator(at: Cursor<'_>, behind_word: bool) -> Parsed<'_, Operator> {
    if let Some(rest) = at.literal(".swap").and_then(|at| at.literal("(")) {
        return Some((Operator::Swap, rest));
    }
    let explicit = || {
        let (factor, rest) = weight(at.literal(".attend")?.literal("(")?.skip_space())?;
        Some((factor, rest.literal(")")?))
    };
    let implicit = || if behind_word { signs(at) } else { weight(at) };
    let (factor, rest) = explicit().or_else(implicit)?;
    Some((Operator::Weight(factor), rest))
}

fn weight(at: Cursor<'_>) -> Parsed<'_, f64> {
    signs(at).or_else(|| at.number())
}

/// `+++` or `--`, as a factor.
fn signs(at: Cursor<'_>) -> Parsed<'_, f64> {
    let power = |base: f64, sign| at.signs(sign).map(|(n, rest)| (base.powf(n as f64), rest));
    power(PLUS, '+').or_else(|| power(MINUS, '-'))
}

/// `withLora(name, 0.5)`
fn lora(at: Cursor<'_>) -> Option<Cursor<'_>> {
    let rest = at.literal("useLora").or_else(|| at.literal("withLora"))?.literal("(")?;
    let (_, rest) = rest.keyword()?;
    let weighted = rest.literal(",").and_then(|rest| rest.skip_space().number());
    weighted.map_or(rest, |(_, rest)| rest).literal(")")
}

/// A backslash before a bracket or quote goes.
fn text(text: &str) -> Node {
    Node::Text(unescaped(text))
}

/// See [`text`].
pub fn unescaped(text: &str) -> String {
    text.replace("\\(", "(").replace("\\)", ")").replace("\\\"", "\"")
}
