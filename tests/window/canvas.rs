//! The canvas: strokes, lines, moving and zooming, undo.

use egui::{Event, Key, Modifiers, MouseWheelUnit, PointerButton, TouchPhase, vec2};
use egui_kittest::kittest::Queryable as _;
use libtest_mimic::{Failed, Trial};

use crate::stage::Stage;

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 6] = [
        ("a_stroke_marks_what_it_crosses", a_stroke_marks_what_it_crosses),
        ("undo_and_redo_by_key", undo_and_redo_by_key),
        ("escape_aborts_a_stroke", escape_aborts_a_stroke),
        ("shift_draws_a_line", shift_draws_a_line),
        ("the_wheel_zooms_at_the_pointer", the_wheel_zooms_at_the_pointer),
        ("space_moves_the_picture_and_marks_nothing", space_moves_the_picture),
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

fn a_stroke_marks_what_it_crosses() {
    let mut stage = Stage::new(false);
    let canvas = stage.window.get_by_label("Canvas").rect();
    // Two far points, as a fast hand gives them: everything between them must be marked.
    stage.stroke(&[canvas.center() - vec2(200.0, 0.0), canvas.center() + vec2(200.0, 0.0)]);
    let bounds = stage.masked().unwrap();
    let mask = stage.window.state().document().unwrap().snapshot().mask();
    let middle = (bounds.y + bounds.height as i32 / 2) as u32;
    let row = &mask.row(middle)[bounds.x as usize + 30..bounds.right() as usize - 30];
    assert!(row.len() > 100 && row.iter().all(|&v| v == 255), "the stroke has gaps");
}

fn undo_and_redo_by_key() {
    let mut stage = Stage::new(false);
    let middle = stage.window.get_by_label("Canvas").rect().center();
    stage.stroke(&[middle, middle + vec2(40.0, 0.0)]);
    let marked = stage.masked();
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.settle();
    assert_eq!(stage.masked(), None);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    stage.settle();
    assert_eq!(stage.masked(), marked);
}

fn escape_aborts_a_stroke() {
    let mut stage = Stage::new(false);
    let middle = stage.window.get_by_label("Canvas").rect().center();
    stage.window.drag_at(middle);
    stage.window.step();
    stage.window.hover_at(middle + vec2(50.0, 0.0));
    stage.window.step();
    assert!(stage.masked().is_some());
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert_eq!(stage.masked(), None);
    assert_eq!(stage.window.state().document().unwrap().history().undo_name(), None);
}

fn shift_draws_a_line() {
    let mut stage = Stage::new(false);
    let middle = stage.window.get_by_label("Canvas").rect().center();
    stage.stroke(&[middle - vec2(150.0, 60.0)]);
    let dot = stage.masked().unwrap();
    stage.window.event(Event::ModifiersChanged(Modifiers::SHIFT));
    for pressed in [true, false] {
        stage.window.event(Event::PointerButton {
            pos: middle + vec2(150.0, 60.0),
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::SHIFT,
        });
        stage.window.step();
    }
    let line = stage.masked().unwrap();
    assert!(line.width > dot.width + 100 && line.height > dot.height + 40, "{dot:?} {line:?}");
}

fn the_wheel_zooms_at_the_pointer() {
    let mut stage = Stage::new(false);
    let at = stage.window.get_by_label("Canvas").rect().center() + vec2(80.0, 40.0);
    stage.stroke(&[at]);
    let before = centre(&stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.settle();
    stage.window.hover_at(at);
    stage.window.step();
    stage.window.event(Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: vec2(0.0, 120.0),
        phase: TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: egui::MouseWheelSource::Wheel,
    });
    for _ in 0..40 {
        stage.window.step();
    }
    let size_before = stage.window.state().zoom().unwrap();
    stage.stroke(&[at]);
    let after = centre(&stage);
    assert!(size_before > 1.0, "the wheel did not zoom in");
    assert!(
        (before.0 - after.0).abs() <= 1 && (before.1 - after.1).abs() <= 1,
        "{before:?} {after:?}"
    );
}

fn space_moves_the_picture() {
    let mut stage = Stage::new(false);
    let at = stage.window.get_by_label("Canvas").rect().center();
    stage.stroke(&[at]);
    let before = centre(&stage);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.settle();
    stage.window.key_down(Key::Space);
    stage.window.step();
    stage.stroke(&[at, at + vec2(100.0, 0.0)]);
    stage.window.key_up(Key::Space);
    stage.window.step();
    assert_eq!(stage.masked(), None);
    stage.stroke(&[at + vec2(100.0, 0.0)]);
    let after = centre(&stage);
    assert!(
        (before.0 - after.0).abs() <= 1 && (before.1 - after.1).abs() <= 1,
        "{before:?} {after:?}"
    );
}

fn centre(stage: &Stage) -> (i32, i32) {
    let bounds = stage.masked().unwrap();
    (bounds.x + bounds.width as i32 / 2, bounds.y + bounds.height as i32 / 2)
}
