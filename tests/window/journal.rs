//! A window that ends without warning, and the next one.

use std::{fs, path::Path};

use egui::vec2;
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};
use overpaint::document::journal::left_behind;

use crate::{panel, stage::Stage};

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 3] = [
        ("the_next_window_has_what_the_last_one_had", the_next_window_has_it),
        ("a_picture_that_nobody_touched_is_not_kept", nothing_is_kept_of_nothing),
        ("a_journal_that_is_not_one_is_put_aside", a_damaged_journal_is_put_aside),
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

/// Ends a window as a kill does: nobody is asked, nothing is removed.
fn end(stage: Stage, state: &Path) {
    drop(stage);
    // Its thread lets the folder go when the last state is written.
    while left_behind(&state.join("journal")).is_empty() {
        std::thread::yield_now();
    }
}

fn the_next_window_has_it() {
    let state = tempfile::tempdir().unwrap();
    let mut stage = Stage::keeping(state.path());
    let canvas = stage.window.get_by_label("Canvas").rect();
    stage.stroke(&[canvas.center() - vec2(120.0, 0.0), canvas.center()]);
    stage.window.get_by_label("What should be there").focus();
    stage.window.step();
    stage.window.get_by_label("What should be there").type_text("kelp in the light");
    stage.settle();
    let (masked, before) = (stage.masked(), mask_of(&stage));
    assert!(masked.is_some());
    stage.until("the prompt in the journal", |_| journal_says(state.path(), "kelp in the light"));
    end(stage, state.path());
    let mut next = Stage::keeping(state.path());
    next.until("the restored picture", |w| w.state().document().is_some());
    next.settle();
    assert_eq!(mask_of(&next), before);
    assert_eq!(next.window.state().settings().prompt, "kelp in the light");
    assert!(next.window.state().document().unwrap().is_modified());
    assert!(next.window.state().messages().iter().any(|m| m.starts_with("Restored")));
    next.window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
    next.settle();
    assert_eq!(next.masked(), None, "the stroke can be undone after the end");
}

/// Whether a journal holds a text.
fn journal_says(state: &Path, text: &str) -> bool {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = entries(&state.join("journal")).flat_map(|folder| entries(&folder.path()));
    files.any(|file| {
        let bytes = fs::read(file.path()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn mask_of(stage: &Stage) -> overpaint::pixels::Mask {
    stage.window.state().document().unwrap().mask().to_mask()
}

fn nothing_is_kept_of_nothing() {
    let state = tempfile::tempdir().unwrap();
    let mut stage = Stage::keeping(state.path());
    for _ in 0..60 {
        stage.window.step();
    }
    assert!(!state.path().join("journal").exists());
    panel::mark_something(&mut stage);
    stage.until("the journal", |_| state.path().join("journal").exists());
}

fn a_damaged_journal_is_put_aside() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("journal/1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1.journal"), "this is no journal").unwrap();
    let mut stage = Stage::keeping(state.path());
    stage.until("a picture", |w| w.state().document().is_some());
    let told = stage.window.state().messages().join("\n");
    assert!(told.contains("nothing whole") && told.contains("1.damaged"), "{told}");
    assert!(left_behind(&state.path().join("journal")).is_empty());
    assert!(state.path().join("journal/1.damaged/1.journal").exists());
}
