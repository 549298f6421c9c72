//! Prompts in the panel: how they are written, how much of them is read, and words of one's own.

use std::path::PathBuf;

use egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};
use overpaint::{
    app::Command,
    engine::{EmbeddingUse, PromptSyntax, Request},
};

use super::{panel::mark_something, stage::Stage};

const PROMPT: &str = "What should be there";

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 4] = [
        ("the_syntax_of_prompts_is_chosen", the_syntax_is_chosen),
        ("what_is_cut_of_a_prompt_is_shown", what_is_cut_is_shown),
        ("a_prompt_that_cannot_be_read_is_explained", what_cannot_be_read),
        ("an_embedding_s_word_reaches_the_model", an_embedding_reaches_the_model),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    rows.into_iter().map(trial).collect()
}

fn write(stage: &mut Stage, text: &str) {
    stage.window.get_by_label(PROMPT).focus();
    stage.settle();
    stage.window.get_by_label(PROMPT).type_text(text);
    stage.settle();
}

/// Scrolls to a control and clicks it.
fn click(stage: &mut Stage, label: &str) {
    stage.window.get_by_label(label).scroll_to_me();
    stage.settle();
    stage.window.get_by_label(label).click();
    stage.settle();
}

fn choose_syntax(stage: &mut Stage, name: &str) {
    click(stage, "Prompts");
    stage.window.get_by_role_and_label(Role::ComboBox, "Weights").scroll_to_me();
    stage.settle();
    stage.window.get_by_role_and_label(Role::ComboBox, "Weights").click();
    stage.settle();
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn sent(stage: &mut Stage) -> Request {
    mark_something(stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    stage.window.step();
    stage.window.step();
    stage.request()
}

fn the_syntax_is_chosen() {
    let mut stage = Stage::new(false);
    write(&mut stage, "a red++ fox");
    choose_syntax(&mut stage, "more++ less--");
    click(&mut stage, "Read all of long prompts");
    let request = sent(&mut stage);
    assert_eq!(request.prompt_syntax, Some(PromptSyntax::Compel));
    assert!(request.long_prompts);
}

fn what_is_cut_is_shown() {
    let mut stage = Stage::new(false);
    write(&mut stage, "fog");
    stage.until("a count", |window| window.query_by_label_contains("/75").is_some());
    assert!(stage.window.query_by_label_contains("Not read").is_none());
    write(&mut stage, &" in the deep snow".repeat(30));
    stage.until("the cut", |window| window.query_by_label_contains("Not read: ").is_some());
    click(&mut stage, "Read all of it");
    stage.until("more rows", |window| window.query_by_label_contains("/75").is_none());
    assert!(stage.window.query_by_label_contains("Not read").is_none());
    assert!(sent(&mut stage).long_prompts);
}

fn what_cannot_be_read() {
    let mut stage = Stage::new(false);
    choose_syntax(&mut stage, "more++ less--");
    write(&mut stage, "a cat.swap(dog)");
    stage.until("why", |window| window.query_by_label_contains(".swap()").is_some());
}

fn an_embedding_reaches_the_model() {
    let mut stage = Stage::new(false);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parity/inputs/embeddings");
    let path = PathBuf::from(folder).join("moss.safetensors");
    stage.window.state_mut().push(Command::UseEmbedding(path.clone()));
    stage.settle();
    click(&mut stage, "Prompts");
    click(&mut stage, "<moss-stone>");
    let other = PathBuf::from(folder).join("stone.safetensors");
    stage.window.state_mut().push(Command::UseEmbedding(other));
    stage.settle();
    let messages = stage.window.state().messages();
    assert!(messages[0].contains("another family"), "{messages:?}");
    let request = sent(&mut stage);
    assert_eq!(request.prompt, "<moss-stone> <moss-stone>");
    let token = Some("<moss-stone>".to_owned());
    assert_eq!(request.embeddings, [EmbeddingUse { path, token }]);
}
