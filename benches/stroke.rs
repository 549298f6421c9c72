//! How long one pointer move takes: a soft brush of 500 px on a picture of 8192x8192.
//! Run with `cargo bench --bench stroke`.

use std::time::Instant;

use overpaint::{
    document::{
        Brush, Document,
        tools::{BrushMode, BrushTool, Modifiers, Phase, PointerEvent, Tool},
    },
    geometry::{Extent, Point},
    pixels::Picture,
};

const MOVES: usize = 400;

fn main() {
    let picture = Picture::new(Extent::new(8192, 8192));
    for (name, size_px, step_px) in [
        ("500 px, slow", 500.0, 12.0),
        ("500 px, fast", 500.0, 200.0),
        ("2000 px, slow", 2000.0, 12.0),
    ] {
        let Ok(mut document) = Document::new(&picture) else { return };
        let brush = Brush { size_px, hardness: 0.0, ..Brush::default() };
        report(name, time_moves(&mut document, brush, step_px));
    }
}

/// Milliseconds that each move of one stroke took, shortest first.
fn time_moves(document: &mut Document, brush: Brush, step_px: f32) -> Vec<f64> {
    let mut tool = BrushTool::new(BrushMode::Paint, brush);
    let mut times: Vec<_> = (0..MOVES)
        .map(|i| {
            // Along a circle, so that moves point in all directions.
            let angle = i as f32 * step_px / 2000.0;
            let position = Point::new(4096.0 + 2000.0 * angle.cos(), 4096.0 + 2000.0 * angle.sin());
            let phase = if i == 0 { Phase::Down } else { Phase::Move };
            let event =
                PointerEvent { phase, position, pressure: 1.0, modifiers: Modifiers::default() };
            let start = Instant::now();
            let _ = tool.handle(event, document);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn report(name: &str, times: Vec<f64>) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{name}: median {:.2} ms, 90 % {:.2} ms, 99 % {:.2} ms, longest {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}
