//! Single strokes: shape, coverage, and what the brush tool makes of the pointer.

use super::*;
use crate::geometry::Bounds;

const HARD: Brush = Brush {
    size_px: 20.0,
    hardness: 1.0,
    opacity: 1.0,
    spacing: 0.0,
    smoothing_px: 0.0,
    pressure: PressureTarget::Nothing,
};

/// The formula of `sweep.rs` for one pixel and a whole polyline, in f64 and without any shortcut.
fn expected_coverage(brush: Brush, points: &[(f32, f32)], x: usize, y: usize) -> f64 {
    let (px, py) = (x as f64 + 0.5, y as f64 + 0.5);
    let first = [points[0], points[0]];
    let stretches = std::iter::once(&first[..]).chain(points.windows(2));
    let distance = stretches
        .map(|ends| {
            let [(ax, ay), (bx, by)] =
                [ends[0], ends[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
            let (dx, dy) = (bx - ax, by - ay);
            let length_squared = dx * dx + dy * dy;
            let along = (px - ax) * dx + (py - ay) * dy;
            let t =
                if length_squared == 0.0 { 0.0 } else { (along / length_squared).clamp(0.0, 1.0) };
            (px - ax - t * dx).hypot(py - ay - t * dy)
        })
        .fold(f64::INFINITY, f64::min);
    let radius = f64::from(brush.size_px) / 2.0;
    let (outer, inner) = (radius + 0.5, (f64::from(brush.hardness) * radius).min(radius - 0.5));
    let s = ((outer - distance) / (outer - inner)).clamp(0.0, 1.0);
    f64::from(brush.opacity) * s * s * (3.0 - 2.0 * s) * 255.0
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stroke_covers_what_the_formula_says(brush in any_brush(), points in any_points()) {
        let brush = Brush { spacing: 0.0, smoothing_px: 0.0, ..brush };
        let mut document = document();
        draw(&mut document, BrushMode::Paint, brush, &points);
        let width = EXTENT.width as usize;
        for (i, &found) in mask_bytes(&document).iter().enumerate() {
            let expected = expected_coverage(brush, &points, i % width, i / width);
            prop_assert!((f64::from(found) - expected).abs() < 1.5, "{found} for {expected} at {i}");
        }
    }

    #[test]
    fn a_fast_stroke_equals_a_slow_one(
        brush in any_brush(),
        mode in any_mode(),
        from in (-100f32..400.0, -100f32..370.0),
        to in (-100f32..400.0, -100f32..370.0),
        steps in 2usize..60,
    ) {
        let brush = Brush { spacing: 0.0, smoothing_px: 0.0, ..brush };
        let at = |i: usize| {
            let t = i as f32 / steps as f32;
            (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t)
        };
        let (mut fast, mut slow) = (masked_document(), masked_document());
        draw(&mut fast, mode, brush, &[from, to]);
        draw(&mut slow, mode, brush, &(0..=steps).map(at).collect::<Vec<_>>());
        prop_assert!(largest_difference(&mask_bytes(&fast), &mask_bytes(&slow)) <= 1);
    }

    #[test]
    fn erasing_mirrors_painting(brush in any_brush(), points in any_points()) {
        let (mut painted, mut erased) = (masked_document(), masked_document());
        let _ = painted.invert_mask();
        draw(&mut painted, BrushMode::Paint, brush, &points);
        let _ = painted.invert_mask();
        draw(&mut erased, BrushMode::Erase, brush, &points);
        prop_assert_eq!(mask_bytes(&painted), mask_bytes(&erased));
    }

    #[test]
    fn effects_tell_of_every_changed_pixel(
        brush in any_brush(), mode in any_mode(), points in any_points(),
    ) {
        let mut document = masked_document();
        let mut tool = BrushTool::new(mode, brush);
        let phases = std::iter::once(Phase::Down).chain(std::iter::repeat(Phase::Move));
        for (phase, &(x, y)) in phases.zip(&points) {
            let before = document.mask().clone();
            let effects = tool.handle(event(phase, Point::new(x, y)), &mut document);
            for (i, (a, b)) in before.to_mask().bytes().iter().zip(mask_bytes(&document)).enumerate() {
                let (x, y) = (i as u32 % EXTENT.width, i as u32 / EXTENT.width);
                prop_assert!(*a == b || effects.dirty_mask.contains(x as i32, y as i32));
            }
            for (column, row) in before.tiles_in(EXTENT.bounds()) {
                let touched = before.tile_bounds(column, row).intersect(effects.dirty_mask);
                let same = before.version(column, row) == document.mask().version(column, row);
                prop_assert!(same || !touched.is_empty());
            }
        }
    }
}

#[test]
fn overlap_inside_one_stroke_does_not_build_up() {
    let brush = Brush { opacity: 0.5, ..HARD };
    let mut document = document();
    draw(
        &mut document,
        BrushMode::Paint,
        brush,
        &[(50.0, 50.0), (200.0, 50.0), (50.0, 50.0), (200.0, 51.0)],
    );
    assert_eq!(mask_bytes(&document).iter().max(), Some(&128));
}

#[test]
fn a_second_stroke_builds_on_the_first() {
    let brush = Brush { opacity: 0.5, ..HARD };
    let mut document = document();
    for _ in 0..2 {
        draw(&mut document, BrushMode::Paint, brush, &[(50.0, 50.0), (200.0, 50.0)]);
    }
    assert_eq!(document.mask().to_mask().pixel(100, 50), &[192]);
}

#[test]
fn a_one_pixel_line_is_whole() {
    let brush = Brush { size_px: 1.0, ..HARD };
    let mut document = document();
    draw(&mut document, BrushMode::Paint, brush, &[(10.5, 100.5), (280.5, 100.5)]);
    let mask = document.mask().to_mask();
    assert!(mask.row(100)[10..=280].iter().all(|&value| value == 255));
    assert_eq!(mask.bounding_box(), Some(Bounds::new(10, 100, 271, 1)));

    // Between two rows it covers half of each.
    let mut between = self::document();
    draw(&mut between, BrushMode::Paint, brush, &[(10.5, 100.0), (280.5, 100.0)]);
    let mask = between.mask().to_mask();
    assert_eq!([mask.pixel(50, 99), mask.pixel(50, 100)], [&[128], &[128]]);
}

#[test]
fn a_stroke_leaves_the_canvas_and_comes_back() {
    let mut document = document();
    draw(
        &mut document,
        BrushMode::Paint,
        HARD,
        &[(20.0, 20.0), (-90.0, -4e7), (f32::INFINITY, 135.0), (150.0, 135.0)],
    );
    let mask = document.mask().to_mask();
    assert_eq!(mask.pixel(20, 20), &[255]);
    assert_eq!(mask.pixel(290, 135), &[255]);
    assert_eq!(mask.pixel(100, 200), &[0]);
}

#[test]
fn events_that_are_not_numbers_are_ignored() {
    let mut document = document();
    let mut tool = BrushTool::new(BrushMode::Paint, Brush { size_px: f32::NAN, ..HARD });
    assert!(!tool.handle(event(Phase::Down, Point::new(f32::NAN, 5.0)), &mut document).any());
    let _ = tool.handle(event(Phase::Down, Point::new(50.0, 50.0)), &mut document);
    assert!(document.mask().bounding_box().is_some());
}

#[test]
fn shift_click_draws_a_line_from_the_last_end() {
    let mut document = document();
    let mut tool = BrushTool::new(BrushMode::Paint, HARD);
    let click = |tool: &mut BrushTool, document: &mut Document, x, y, shift| {
        let modifiers = Modifiers { shift, ..Modifiers::default() };
        for phase in [Phase::Down, Phase::Up] {
            let _ =
                tool.handle(PointerEvent { modifiers, ..event(phase, Point::new(x, y)) }, document);
        }
    };
    click(&mut tool, &mut document, 30.0, 40.0, true);
    assert_eq!(document.mask().to_mask().pixel(100, 40), &[0], "no stroke to start from yet");
    click(&mut tool, &mut document, 200.0, 40.0, true);
    assert_eq!(document.mask().to_mask().pixel(100, 40), &[255]);
    click(&mut tool, &mut document, 200.0, 200.0, false);
    assert_eq!(document.mask().to_mask().pixel(200, 120), &[0]);
    assert_eq!(document.history().names().count(), 3);
}

#[test]
fn spacing_leaves_dabs_at_equal_distances() {
    let brush = Brush { size_px: 10.0, spacing: 3.0, ..HARD };
    let mut document = document();
    draw(
        &mut document,
        BrushMode::Paint,
        brush,
        &[(20.5, 50.5), (37.5, 50.5), (61.5, 50.5), (111.5, 50.5)],
    );
    let mask = document.mask().to_mask();
    let painted: Vec<_> = (20..112).filter(|&x| mask.pixel(x, 50) == [255]).collect();
    let dabs: Vec<_> = [20..25, 46..55, 76..85, 106..112].into_iter().flatten().collect();
    assert_eq!(painted, dabs);
}

#[test]
fn a_smoothed_tip_trails_behind_and_catches_up() {
    let brush = Brush { smoothing_px: 30.0, ..HARD };
    let mut document = document();
    let mut tool = BrushTool::new(BrushMode::Paint, brush);
    let _ = tool.handle(event(Phase::Down, Point::new(50.0, 50.0)), &mut document);
    let jitter = tool.handle(event(Phase::Move, Point::new(60.0, 70.0)), &mut document);
    assert!(!jitter.any(), "the string is still slack");
    let _ = tool.handle(event(Phase::Move, Point::new(150.0, 50.0)), &mut document);
    assert_eq!(document.mask().to_mask().pixel(119, 50), &[255]);
    assert_eq!(document.mask().to_mask().pixel(140, 50), &[0]);
    let _ = tool.handle(event(Phase::Up, Point::new(150.0, 50.0)), &mut document);
    assert_eq!(document.mask().to_mask().pixel(149, 50), &[255]);
}

#[test]
fn pressure_acts_on_what_it_is_set_to() {
    let touch = |pressure_target, pressures: &[f32]| {
        let mut document = document();
        let mut tool =
            BrushTool::new(BrushMode::Paint, Brush { pressure: pressure_target, ..HARD });
        let phases = std::iter::once(Phase::Down).chain(std::iter::repeat(Phase::Move));
        for (phase, &pressure) in phases.zip(pressures) {
            let event = PointerEvent { pressure, ..event(phase, Point::new(100.5, 100.5)) };
            let _ = tool.handle(event, &mut document);
        }
        let mask = document.mask().to_mask();
        (mask.bounding_box().map(|bounds| bounds.width), mask.pixel(100, 100)[0])
    };
    assert_eq!(touch(PressureTarget::Nothing, &[0.25]), (Some(21), 255));
    assert_eq!(touch(PressureTarget::Size, &[0.2]), (Some(5), 255));
    assert_eq!(touch(PressureTarget::Size, &[0.2, 1.0, 0.1]), (Some(21), 255), "pressing harder");
    assert_eq!(touch(PressureTarget::Opacity, &[0.2]), (Some(21), 51));
}
