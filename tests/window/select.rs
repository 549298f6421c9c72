//! Smart select: clicks, what they send, and what comes back into the mask.

use egui::{Event, Key, Modifiers, PointerButton, Pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};

use crate::stage::{SELECTED_SIDE, Stage};

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 4] = [
        ("a_click_marks_the_object_as_one_step", a_click_marks_the_object),
        ("further_clicks_refine_and_alt_takes_away", further_clicks_refine),
        ("the_next_object_joins_as_the_line_says", the_next_object_joins),
        ("a_changed_mask_drops_the_answer", a_changed_mask_drops_the_answer),
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

/// A window with the tool in hand; the script has looked at the picture.
fn ready() -> (Stage, Pos2) {
    let mut stage = Stage::new(false);
    stage.window.key_press(Key::W);
    stage.settle();
    let request = stage.selection();
    assert!(request.clicks.is_empty(), "the picture is looked at before the first click");
    let middle = stage.window.get_by_label("Canvas").rect().center();
    (stage, middle)
}

fn click(stage: &mut Stage, pos: Pos2, modifiers: Modifiers) {
    stage.window.event(Event::ModifiersChanged(modifiers));
    for pressed in [true, false] {
        let button = PointerButton::Primary;
        stage.window.event(Event::PointerButton { pos, button, pressed, modifiers });
        stage.window.step();
    }
    stage.window.event(Event::ModifiersChanged(Modifiers::NONE));
    stage.window.step();
}

/// How many pixels are marked.
fn marked(stage: &Stage) -> usize {
    let mask = stage.window.state().document().unwrap().snapshot().mask();
    mask.bytes().iter().filter(|&&value| value == 255).count()
}

const OBJECT: usize = (SELECTED_SIDE * SELECTED_SIDE) as usize;

fn a_click_marks_the_object() {
    let (mut stage, middle) = ready();
    click(&mut stage, middle, Modifiers::NONE);
    assert_eq!(stage.selection().clicks.len(), 1);
    stage.until("the object", |w| w.state().document().unwrap().mask().bounding_box().is_some());
    assert_eq!(marked(&stage), OBJECT);
    let history = stage.window.state().document().unwrap().history();
    assert_eq!(history.undo_name(), Some("Smart select"));
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.settle();
    assert_eq!(stage.masked(), None);
    // What was undone is done with: the next click is another object's.
    click(&mut stage, middle, Modifiers::NONE);
    assert_eq!(stage.selection().clicks.len(), 1);
}

fn further_clicks_refine() {
    let (mut stage, middle) = ready();
    click(&mut stage, middle, Modifiers::ALT);
    let messages = stage.window.state().messages();
    assert!(messages[0].contains("Click on an object first"), "{messages:?}");
    stage.window.get_by_label("Close the message").click();
    stage.settle();
    click(&mut stage, middle, Modifiers::NONE);
    stage.selection();
    stage.until("the object", |w| w.state().document().unwrap().mask().bounding_box().is_some());
    click(&mut stage, middle + vec2(80.0, 0.0), Modifiers::ALT);
    let clicks = stage.selection().clicks;
    assert_eq!(clicks.iter().map(|click| click.inside).collect::<Vec<_>>(), [true, false]);
    assert!(clicks[1].position.x > clicks[0].position.x);
    stage.until("the answer", |w| w.query_by_label_contains("Click on an object").is_some());
    assert_eq!(marked(&stage), OBJECT, "refined, not added");
}

fn the_next_object_joins() {
    let (mut stage, middle) = ready();
    click(&mut stage, middle, Modifiers::NONE);
    stage.selection();
    stage.until("the object", |w| w.state().document().unwrap().mask().bounding_box().is_some());
    stage.window.get_by_label("Add").click();
    stage.settle();
    click(&mut stage, middle + vec2(150.0, 0.0), Modifiers::NONE);
    assert_eq!(stage.selection().clicks.len(), 1, "another object's first click");
    let total = |w: &egui_kittest::Harness<'static, overpaint::app::App>| {
        let mask = w.state().document().unwrap().snapshot().mask();
        mask.bytes().iter().filter(|&&value| value == 255).count()
    };
    stage.until("the second object", |w| total(w) > OBJECT);
    assert_eq!(marked(&stage), 2 * OBJECT);
    stage.window.get_by_label("Subtract").click();
    stage.settle();
    click(&mut stage, middle, Modifiers::NONE);
    stage.selection();
    stage.until("what is left", |w| total(w) == OBJECT);
}

fn a_changed_mask_drops_the_answer() {
    let (mut stage, middle) = ready();
    click(&mut stage, middle, Modifiers::NONE);
    // The answer may be there already, or come later: it must not undo what follows.
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    stage.settle();
    stage.selection();
    stage.until("quiet", |w| w.query_by_label_contains("Click on an object").is_some());
    stage.settle();
    let mask = stage.window.state().document().unwrap().snapshot().mask();
    assert!(mask.bytes().iter().all(|&value| value == 255));
}
