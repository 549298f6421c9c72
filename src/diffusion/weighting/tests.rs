//! Weights with a scripted encoder: what is compared with the reference is in `tests/parity`.

use candle_core::{Device, Tensor};

use super::*;

/// The state of a token is its id and, beside it, the number of places it sees.
struct Script;

const FRAME: Frame = Frame { start: 1, end: 2, padding: 0, length: 6 };

impl RowEncoder for Script {
    fn frame(&self) -> Frame {
        FRAME
    }

    fn tokens(&self, text: &str) -> Result<Vec<Token>> {
        let token =
            |(start, c): (usize, char)| Token { id: c as u32, text: format!("{c}</w>"), start };
        Ok(text.char_indices().filter(|(_, c)| *c != ' ').map(token).collect())
    }

    fn encode(&self, ids: &[u32], seen: Option<&[bool]>) -> Result<Tensor> {
        let seen = seen.map_or(ids.len(), |seen| seen.iter().filter(|seen| **seen).count());
        let states = ids.iter().flat_map(|id| [*id as f32, seen as f32]).collect();
        Ok(Tensor::from_vec(states, (1, ids.len(), 2), &Device::Cpu)?)
    }
}

fn states(text: &str, syntax: Syntax, long: bool) -> Vec<[f32; 2]> {
    let prompt = syntax.parse(text).unwrap();
    let states = embed(&Script, &prompt, syntax, long).unwrap();
    states.get(0).unwrap().to_vec2().unwrap().iter().map(|row| [row[0], row[1]]).collect()
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-3 * b.abs().max(1.0)
}

#[test]
fn without_weights_all_syntaxes_agree() {
    let plain = states("A B", Syntax::Plain, false);
    assert_eq!(plain.iter().map(|s| s[0]).collect::<Vec<_>>(), [1.0, 65.0, 66.0, 2.0, 0.0, 0.0]);
    assert_eq!(states("A B", Syntax::A1111, false), plain);
    assert_eq!(states("A B", Syntax::Compel, false), plain);
    assert_eq!(states("A B", Syntax::Compel, true), plain);
}

#[test]
fn compel_moves_away_from_the_empty_text() {
    // The empty text's row is 1 2 0 0 0 0, so B stands over padding.
    let found = states("A (B)1.5", Syntax::Compel, false);
    assert_eq!((found[1][0], found[2][0]), (65.0, 99.0));
}

#[test]
fn compel_blends_with_a_text_whose_words_are_not_seen() {
    let found = states("A (B)0.5", Syntax::Compel, false);
    // At 0.5 both have one share: tan(pi / 4) = 1. One of six places is out of sight.
    assert!(near(found[1][1], 5.5) && near(found[2][0], 33.0), "{found:?}");
    let found = states("A (B)0", Syntax::Compel, false);
    assert!(near(found[1][1], 5.0), "hardly anything of the word is left: {found:?}");
}

#[test]
fn a1111_restores_the_mean() {
    let found = states("A (B:2)", Syntax::A1111, false);
    let sum = |states: &[[f32; 2]]| states.iter().flatten().sum::<f32>();
    let plain = states("A B", Syntax::A1111, false);
    assert!(near(sum(&found), sum(&plain)));
    assert!(near(found[2][0] / found[1][0], 2.0 * 66.0 / 65.0));
}

#[test]
fn parts_and_long_texts_are_joined() {
    assert_eq!(states("ABCDEF", Syntax::Plain, false).len(), 6);
    assert_eq!(states("ABCDEF", Syntax::Plain, true).len(), 12);
    assert_eq!(states("A BREAK B", Syntax::A1111, false).len(), 12);
    let and = states("(A, B).and(1, 0.5)", Syntax::Compel, false);
    assert_eq!((and[1][0], and[7][0]), (65.0, 34.0), "half way from the empty text's 2");
    let blend = states("(A, B).blend(0.25, 0.75)", Syntax::Compel, false);
    assert!(near(blend[1][0], 65.75));
}

#[test]
fn a_blend_of_nothing_is_an_error() {
    let prompt = Syntax::Compel.parse("(A, B).blend(1, -1)").unwrap();
    let error = embed(&Script, &prompt, Syntax::Compel, false).unwrap_err();
    assert!(error.to_string().contains("add up to 0"), "{error}");
}

#[test]
fn shorter_ones_are_filled_with_an_empty_text() {
    let embed = |text: &str| embed(&Script, &Prompt::plain(text), Syntax::Plain, true).unwrap();
    let filled = padded(&Script, &embed("A"), 12).unwrap();
    let second = filled.narrow(1, 6, 6).unwrap();
    let empty = embed("");
    let difference = (second - empty).unwrap().abs().unwrap().sum_all().unwrap();
    assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0);
}

#[test]
fn the_first_row_of_a_prompt() {
    let prompt = Syntax::A1111.parse("(ABCDEF:2)").unwrap();
    let ids = first_row(&Script, &prompt, Syntax::A1111, true).unwrap();
    assert_eq!(ids, [1, 65, 66, 67, 68, 2]);
}
