//! A program that paints, writes its journal, and is killed at some moment: what it had written comes
//! back, byte for byte. The program is this test itself, started again with a folder as its argument.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};
use overpaint::{
    document::{
        Brush, Document, Patch,
        journal::{Folder, State, Writer, left_behind, restore},
        tools::{BrushMode, BrushTool, Modifiers, Phase, PointerEvent, Tool as _},
    },
    geometry::{Bounds, Extent, Point},
    pixels::Picture,
};

/// Names the folder for the program that is to be killed.
const PAINTER: &str = "OVERPAINT_TEST_PAINTER";

/// More than any of the painters is left to make.
const MANY_STEPS: usize = 100_000;

fn main() {
    if let Some(root) = env::var_os(PAINTER) {
        return paint_until_killed(Path::new(&root));
    }
    let trial = Trial::test("what_was_written_survives_a_kill_at_any_moment", || {
        (0..12).try_for_each(kill_after)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

/// Kills a painter once it has said `written` lines and perhaps a little more, then looks.
fn kill_after(round: usize) -> Result<(), Failed> {
    let root = tempfile::tempdir()?;
    let mut painter = Command::new(env::current_exe()?)
        .env(PAINTER, root.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(painter.stdout.take().ok_or("no output")?).lines();
    // The rounds end at unlike moments of unlike states: compacting, results, bare strokes.
    let wanted = 1 + round * 7;
    let mut said = 0;
    for line in lines.take(wanted) {
        said = line?.parse()?;
    }
    (0..round * 1000).for_each(|_| std::hint::spin_loop());
    painter.kill()?;
    painter.wait()?;
    let mut found = left_behind(root.path());
    if found.len() != 1 {
        return Err(format!("{} journals were left behind", found.len()).into());
    }
    let restored = restore(&found.remove(0))?;
    let step: usize = restored.session.parse()?;
    if step < said {
        return Err(format!("step {said} was safe, and step {step} came back").into());
    }
    if restored.damage.lost_something() {
        return Err(format!("after a kill: {}", restored.damage).into());
    }
    let mut expected = begin();
    (1..=step).for_each(|step| take_step(&mut expected, step));
    let mut back = restored.document;
    while compare(&back, &expected, step)? {
        let _ = (back.undo(), expected.undo());
    }
    Ok(())
}

/// Whether there was something to be undone.
fn compare(back: &Document, expected: &Document, step: usize) -> Result<bool, Failed> {
    let same = back.picture().to_picture() == expected.picture().to_picture()
        && back.mask().to_mask() == expected.mask().to_mask()
        && back.staged().map(|s| s.patches().len()) == expected.staged().map(|s| s.patches().len())
        && back.history().undo_name() == expected.history().undo_name();
    if !same {
        return Err(format!("step {step} came back as something else").into());
    }
    Ok(back.history().undo_name().is_some())
}

fn paint_until_killed(root: &Path) {
    // Made anew as often as can be: that, too, is killed half-way.
    let mut writer = Writer::with_small_file(Folder::create(root).expect("a folder"), 0);
    let mut document = begin();
    for step in 1..MANY_STEPS {
        take_step(&mut document, step);
        writer.write(&State::of(&document, step.to_string())).expect("a disk");
        println!("{step}");
        std::io::stdout().flush().expect("a reader");
    }
}

fn begin() -> Document {
    let mut picture = Picture::new(Extent::new(700, 500));
    picture.bytes_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = ((i * i) >> 7) as u8);
    let mut document = Document::new(&picture).expect("a picture");
    // Old steps go, so that files are made anew as in a long session.
    document.set_history_cap(4 << 20);
    document
}

/// The same for the same number: a stroke, a result that waits, one that is accepted, an undo.
fn take_step(document: &mut Document, step: usize) {
    let _ = match step % 5 {
        3 => document.stage(vec![result(step)]).expect("a result that fits"),
        4 => document.accept_staged(),
        0 => document.undo(),
        _ => return stroke(document, step),
    };
}

fn result(step: usize) -> Patch {
    let bounds = Bounds::new((step % 400) as i32, (step % 300) as i32, 64, 64);
    let mut layer = Picture::new(bounds.extent());
    layer.bytes_mut().fill(step as u8);
    let settings = step.to_string();
    Patch {
        bounds,
        layer: layer.into(),
        composite_mask: None,
        inlay: None,
        seed: step as u64,
        settings,
    }
}

fn stroke(document: &mut Document, step: usize) {
    let mode = if step.is_multiple_of(2) { BrushMode::Erase } else { BrushMode::Paint };
    let mut tool = BrushTool::new(mode, Brush::default());
    let point = |i: usize| Point::new((step * 37 * i % 700) as f32, (step * 53 * i % 500) as f32);
    for (phase, i) in [(Phase::Down, 1), (Phase::Move, 2), (Phase::Up, 3)] {
        let (position, modifiers) = (point(i), Modifiers::default());
        let _ = tool.handle(PointerEvent { phase, position, pressure: 1.0, modifiers }, document);
    }
}
