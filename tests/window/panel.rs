//! The panels, by label.

use egui::{Key, Modifiers, pos2};
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};
use overpaint::{
    app::Command,
    engine::{LoraUse, PreviewMethod},
};

use crate::stage::{SCRIPTED_SEED, Stage};

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 13] = [
        ("an_empty_window_invites", an_empty_window_invites),
        ("every_control_has_a_name", every_control_has_a_name),
        ("generate_without_a_mask_says_what_to_do", generate_without_a_mask_says_what_to_do),
        ("what_is_typed_reaches_the_model", what_is_typed_reaches_the_model),
        ("a_lora_reaches_the_model_with_its_scale", a_lora_reaches_the_model),
        ("another_autoencoder_and_preview_reach_the_model", another_autoencoder_and_preview),
        ("a_model_for_few_steps_sets_the_sliders", a_model_for_few_steps_sets_the_sliders),
        ("a_lora_for_few_steps_offers_its_settings", a_lora_for_few_steps),
        ("a_run_shows_its_steps_and_ends_on_the_canvas", a_run_shows_its_steps),
        ("accept_writes_only_the_marked_part", accept_writes_only_the_marked_part),
        ("discard_leaves_the_picture", discard_leaves_the_picture),
        ("cancel_ends_the_run", cancel_ends_the_run),
        ("a_failure_is_told_and_the_next_run_works", a_failure_is_told),
    ];
    rows.into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                test();
                Ok::<(), Failed>(())
            })
        })
        .collect()
}

fn an_empty_window_invites() {
    let mut stage = Stage::new(true);
    assert!(stage.window.state().document().is_none());
    stage.window.get_by_label("Use the sample picture").click();
    stage.settle();
    assert!(stage.window.state().document().is_some());
}

fn every_control_has_a_name() {
    let stage = Stage::new(false);
    for label in [
        "Brush",
        "Eraser",
        "Smart select",
        "Hand",
        "Open",
        "Save as",
        "Undo",
        "Redo",
        "Clear mask",
        "Invert mask",
        "Mask everything",
        "Help",
        "Fit the window",
        "Generate",
        "Canvas",
        "Random seed",
        "ControlNet",
    ] {
        assert!(
            stage.window.query_all_by_label(label).next().is_some(),
            "no control is named {label}"
        );
    }
}

fn generate_without_a_mask_says_what_to_do() {
    let mut stage = Stage::new(false);
    stage.window.get_by_label("Generate").click();
    stage.settle();
    let messages = stage.window.state().messages();
    assert!(messages[0].contains("Brush over what should change"), "{messages:?}");
    stage.window.get_by_label("Close the message").click();
    stage.settle();
    assert!(stage.window.state().messages().is_empty());
}

fn what_is_typed_reaches_the_model() {
    let mut stage = Stage::new(false);
    stage.window.get_by_label("What should be there").focus();
    stage.settle();
    stage.window.get_by_label("What should be there").type_text("wet sand");
    stage.settle();
    mark_something(&mut stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    stage.window.step();
    stage.window.step();
    let request = stage.request();
    assert_eq!(request.prompt, "wet sand");
    assert!(request.image.is_some() && request.mask.is_some());
}

fn a_lora_reaches_the_model() {
    let mut stage = Stage::new(false);
    stage.window.state_mut().push(Command::UseLora("styles/woodcut.safetensors".into()));
    stage.settle();
    stage.window.get_by_label("LoRA: 1 on").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("LoRA: 1 on").click();
    stage.settle();
    stage.window.get_by_label("woodcut").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("woodcut").click();
    stage.settle();
    assert!(stage.window.query_by_label("LoRA").is_some(), "switched off");
    stage.window.get_by_label("woodcut").click();
    stage.settle();
    mark_something(&mut stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    stage.window.step();
    stage.window.step();
    let loras = stage.request().lora;
    assert_eq!(loras, [LoraUse { path: "styles/woodcut.safetensors".into(), scale: 1.0 }]);
}

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parity/models");

fn another_autoencoder_and_preview() {
    let mut stage = Stage::new(false);
    let tiny = format!("{MODELS}/tiny");
    stage.window.state_mut().push(Command::UseAutoencoder(tiny.clone().into()));
    stage.settle();
    choose(&mut stage, "Preview", "Sharper");
    let told = stage.window.query_by_label_contains("Shown as with Fast: nobody has published");
    assert!(told.is_some(), "a small model has no tiny autoencoder");
    mark_something(&mut stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    stage.window.step();
    stage.window.step();
    let request = stage.request();
    assert_eq!(request.vae.as_deref(), Some(tiny.as_str()));
    assert_eq!(request.preview, PreviewMethod::Tiny);
    stage.window.get_by_label("Cancel").click();
    stage.go();
    stage.settle();
    choose(&mut stage, "Decoder", "The model's own");
    assert_eq!(stage.window.state().settings().vae, None);
}

fn a_model_for_few_steps_sets_the_sliders() {
    let mut stage = Stage::new(false);
    assert_eq!(stage.window.state().settings().steps, 20.0);
    stage.window.state_mut().push(Command::UseModel(format!("{MODELS}/few-lcm")));
    stage.settle();
    let settings = stage.window.state().settings();
    assert_eq!((settings.steps, settings.guidance), (4.0, 8.0));
    assert!(stage.window.query_by_label_contains("for 4 steps or so").is_some());
    stage.window.state_mut().push(Command::UseModel(format!("{MODELS}/base-sharded")));
    stage.settle();
    let settings = stage.window.state().settings();
    assert_eq!((settings.steps, settings.guidance), (20.0, 7.0));
}

fn a_lora_for_few_steps() {
    let mut stage = Stage::new(false);
    let file = "styles/sdxl_lightning_2step_lora.safetensors";
    stage.window.state_mut().push(Command::UseLora(file.into()));
    stage.settle();
    stage.window.get_by_label("LoRA: 1 on").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("LoRA: 1 on").click();
    stage.settle();
    stage.window.get_by_label("Set it up for 2 steps").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("Set it up for 2 steps").click();
    stage.settle();
    let settings = stage.window.state().settings();
    assert_eq!((settings.steps, settings.guidance), (2.0, 1.0));
    assert_eq!(settings.scheduler.as_deref(), Some("euler trailing"));
}

/// Opens a list of the panel and takes an entry.
pub fn choose(stage: &mut Stage, list: &str, entry: &str) {
    use egui::accesskit::Role;
    stage.window.get_by_role_and_label(Role::ComboBox, list).scroll_to_me();
    stage.settle();
    stage.window.get_by_role_and_label(Role::ComboBox, list).click();
    stage.settle();
    stage.window.get_by_role_and_label(Role::Button, entry).click();
    stage.settle();
}

fn a_run_shows_its_steps() {
    let mut stage = Stage::new(false);
    start_run(&mut stage);
    stage.go();
    stage.until("the first step", |w| w.query_by_label_contains("Step 1 of").is_some());
    assert!(stage.window.query_by_label("Generate").is_none());
    assert!(stage.window.query_by_label("Progress").is_some());
    finish_run(&mut stage);
    assert!(stage.window.query_by_label(&format!("Seed {SCRIPTED_SEED}")).is_some());
    assert_eq!(stage.window.state().settings().seed, SCRIPTED_SEED);
}

fn accept_writes_only_the_marked_part() {
    let mut stage = Stage::new(false);
    let before = stage.window.state().document().unwrap().snapshot();
    start_run(&mut stage);
    finish_run(&mut stage);
    let staged = stage.window.state().document().unwrap().staged().unwrap().selected().clone();
    stage.window.get_by_label("Accept").click();
    stage.settle();
    let document = stage.window.state().document().unwrap();
    let (old, new) = (before.picture(), document.snapshot().picture());
    let (layer, mask) = (staged.layer, staged.composite_mask.unwrap());
    let mut repainted = 0;
    for (i, mask) in mask.bytes().iter().enumerate() {
        let [old, new, layer] = [&old, &new, &*layer].map(|p| &p.bytes()[i * 4..i * 4 + 4]);
        match mask {
            0 => assert_eq!(old, new),
            255 => {
                assert_eq!(new, layer);
                repainted += 1;
            }
            _ => {}
        }
    }
    assert!(repainted > 100);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.settle();
    let undone = stage.window.state().document().unwrap().snapshot().picture();
    assert!(undone == old, "undo brings the picture back");
}

fn discard_leaves_the_picture() {
    let mut stage = Stage::new(false);
    let before = stage.window.state().document().unwrap().snapshot().picture();
    start_run(&mut stage);
    finish_run(&mut stage);
    stage.window.get_by_label("Discard").click();
    stage.settle();
    let document = stage.window.state().document().unwrap();
    assert!(document.staged().is_none());
    assert!(document.snapshot().picture() == before);
    assert!(stage.window.query_by_label("Accept").is_none());
}

fn cancel_ends_the_run() {
    let mut stage = Stage::new(false);
    start_run(&mut stage);
    stage.go();
    stage.until("the first step", |w| w.query_by_label_contains("Step 1 of").is_some());
    stage.window.get_by_label("Cancel").click();
    stage.window.step();
    stage.window.step();
    stage.go();
    stage.until("the end", |w| w.query_by_label("Generate").is_some());
    assert!(stage.window.state().document().unwrap().staged().is_none());
}

fn a_failure_is_told() {
    let mut stage = Stage::new(false);
    stage.window.get_by_label("What should be there").focus();
    stage.settle();
    stage.window.get_by_label("What should be there").type_text("fail");
    stage.settle();
    start_run(&mut stage);
    stage.until("the failure", |w| {
        w.state().messages().iter().any(|m| m.contains("the script failed"))
    });
    stage.window.get_by_label("What should be there").focus();
    stage.settle();
    stage.window.get_by_label("What should be there").type_text("less");
    stage.settle();
    stage.window.get_by_label("Generate").click();
    finish_run(&mut stage);
}

/// A short stroke across the middle of the canvas.
pub fn mark_something(stage: &mut Stage) {
    let middle = stage.window.get_by_label("Canvas").rect().center();
    stage.stroke(&[middle, middle + egui::vec2(60.0, 20.0)]);
    assert!(stage.masked().is_some());
}

/// Marks something and presses Generate.
pub fn start_run(stage: &mut Stage) {
    mark_something(stage);
    stage.window.get_by_label("Generate").click();
    stage.window.step();
    stage.window.step();
    stage.request();
}

/// Lets the script run to its end.
pub fn finish_run(stage: &mut Stage) {
    for _ in 0..100 {
        stage.go();
    }
    stage.until("the result", |w| w.query_by_label("Accept").is_some());
    stage.window.hover_at(pos2(5.0, 5.0));
    stage.settle();
}
