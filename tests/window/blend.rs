//! The blend of a result that waits: changed by the panel, without sampling.

use egui::{Key, accesskit::Role};
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};
use overpaint::{document::Patch, pixels::blend::Seam};

use crate::{
    panel::{choose, finish_run, start_run},
    stage::Stage,
};

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 3] = [
        ("the_blend_of_a_waiting_result_changes_live", the_blend_changes_live),
        ("moving_a_width_takes_over_from_the_automatic_edge", moving_a_width_takes_over),
        ("what_is_accepted_is_what_the_sliders_say", what_is_accepted_is_what_the_sliders_say),
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

/// A window with a result that waits.
fn with_result() -> Stage {
    let mut stage = Stage::new(false);
    start_run(&mut stage);
    finish_run(&mut stage);
    stage
}

fn patch(stage: &Stage) -> Patch {
    stage.window.state().document().unwrap().staged().unwrap().selected().clone()
}

fn covered(patch: &Patch) -> u64 {
    patch.composite_mask.as_ref().unwrap().bytes().iter().map(|&v| u64::from(v)).sum()
}

fn click(stage: &mut Stage, label: &str) {
    stage.window.get_by_label(label).scroll_to_me();
    stage.settle();
    stage.window.get_by_label(label).click();
    stage.window.step();
}

/// Moves a slider by keys; positive is up.
fn nudge(stage: &mut Stage, slider: &str, by: i32) {
    stage.window.get_by_role_and_label(Role::Slider, slider).scroll_to_me();
    stage.settle();
    stage.window.get_by_role_and_label(Role::Slider, slider).focus();
    stage.window.step();
    let key = if by < 0 { Key::ArrowLeft } else { Key::ArrowRight };
    for _ in 0..by.abs() {
        stage.window.key_press(key);
        stage.window.step();
    }
}

fn the_blend_changes_live() {
    let mut stage = with_result();
    let before = patch(&stage);
    assert!(before.blend().unwrap().color_match);
    click(&mut stage, "Match colours");
    stage.until("colours as the model made them", |w| {
        let staged = w.state().document().unwrap().staged().unwrap();
        !staged.selected().blend().unwrap().color_match
    });
    choose(&mut stage, "Seam", "Soft edge alone");
    stage.until("another seam", |w| {
        let staged = w.state().document().unwrap().staged().unwrap();
        staged.selected().blend().unwrap().seam == Seam::Feather
    });
    let after = patch(&stage);
    // The scripted colour, as it was made: nothing moves its shade any more.
    assert_eq!(after.layer, after.inlay.unwrap().0.raw);
    assert!(stage.window.query_by_label("Progress").is_none(), "nothing is sampled");
    assert!(stage.window.query_by_label("Generate again").is_some());
}

fn moving_a_width_takes_over() {
    let mut stage = with_result();
    let before = covered(&patch(&stage));
    nudge(&mut stage, "Grow", -8);
    assert!(!stage.window.state().settings().blend.automatic);
    stage.until("a smaller mask", move |w| {
        covered(w.state().document().unwrap().staged().unwrap().selected()) < before
    });
    click(&mut stage, "Automatic edge");
    stage.until("the automatic mask", move |w| {
        covered(w.state().document().unwrap().staged().unwrap().selected()) == before
    });
}

fn what_is_accepted_is_what_the_sliders_say() {
    let mut stage = with_result();
    let original = stage.window.state().document().unwrap().snapshot().picture();
    click(&mut stage, "Match colours");
    choose(&mut stage, "Seam", "Soft edge alone");
    // At once, whether or not the new blend is on the screen yet.
    stage.window.key_press(Key::Enter);
    stage.window.step();
    stage.settle();
    let document = stage.window.state().document().unwrap();
    assert!(document.staged().is_none());
    assert_eq!(document.history().undo_name(), Some("Accept result"));
    let (picture, mask) = (document.snapshot().picture(), document.snapshot().mask());
    let painted = mask.bytes().iter().position(|&v| v == 255).unwrap();
    assert_eq!(picture.bytes()[painted * 4..][..3], crate::stage::SCRIPTED_COLOUR);
    assert_eq!(picture.pixel(0, 0), original.pixel(0, 0));
}
