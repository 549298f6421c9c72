//! History, aborts, mask operations and staged results.

use super::*;
use crate::{
    document::{DocumentError, Effects, MAX_SIDE, Patch, Snapshot, TILE_SIDE, Tile},
    geometry::Bounds,
};
use std::sync::Arc;

/// One thing an artist can do that leaves a step.
#[derive(Clone, Debug)]
enum Action {
    Stroke(BrushMode, Brush, Vec<(f32, f32)>),
    Clear,
    Fill,
    Invert,
    Accept(Bounds, u32),
}

fn any_action() -> impl Strategy<Value = Action> {
    let bounds = (-80i32..320, -80i32..300, 1u32..200, 1u32..200)
        .prop_map(|(x, y, width, height)| Bounds::new(x, y, width, height));
    prop_oneof![
        4 => (any_mode(), any_brush(), any_points()).prop_map(|(m, b, p)| Action::Stroke(m, b, p)),
        1 => Just(Action::Clear),
        1 => Just(Action::Fill),
        1 => Just(Action::Invert),
        3 => (bounds, any::<u32>()).prop_map(|(bounds, seed)| Action::Accept(bounds, seed)),
    ]
}

fn patch(bounds: Bounds, seed: u32) -> Patch {
    let extent = bounds.extent();
    // Half of the mask is zero, the rest anything.
    let mut mask = noise_mask(extent, seed ^ 0x55);
    mask.bytes_mut().iter_mut().filter(|value| **value < 128).for_each(|value| *value = 0);
    Patch {
        bounds,
        layer: Arc::new(noise_picture(extent, seed ^ 0xaa)),
        composite_mask: Some(Arc::new(mask)),
        inlay: None,
        seed: u64::from(seed),
        settings: "{}".into(),
    }
}

fn perform(document: &mut Document, action: &Action) {
    match action {
        Action::Stroke(mode, brush, points) => draw(document, *mode, *brush, points),
        Action::Clear => drop(document.clear_mask()),
        Action::Fill => drop(document.fill_mask()),
        Action::Invert => drop(document.invert_mask()),
        Action::Accept(bounds, seed) => {
            let _ = document.stage(vec![patch(*bounds, *seed)]).unwrap();
            let _ = document.accept_staged();
        }
    }
}

/// Every byte of picture and mask.
fn bytes(document: &Document) -> (Vec<u8>, Vec<u8>) {
    (document.picture().to_picture().into_bytes(), mask_bytes(document))
}

fn versions(document: &Document) -> Vec<(u64, u64)> {
    let (picture, mask) = (document.picture(), document.mask());
    let positions = picture.tiles_in(EXTENT.bounds());
    positions.map(|(c, r)| (picture.version(c, r), mask.version(c, r))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn undoing_and_redoing_are_each_others_inverse(
        actions in proptest::collection::vec(any_action(), 1..8),
    ) {
        let mut document = masked_document();
        let mut states = vec![(bytes(&document), versions(&document))];
        for action in &actions {
            let steps = document.history().names().count();
            perform(&mut document, action);
            if document.history().names().count() > steps {
                states.push((bytes(&document), versions(&document)));
            }
        }
        prop_assert_eq!(&bytes(&document), &states.last().unwrap().0, "no change without a step");
        for state in states.iter().rev().skip(1) {
            let _ = document.undo();
            prop_assert_eq!(&(bytes(&document), versions(&document)), state);
        }
        for state in states.iter().skip(1) {
            let _ = document.redo();
            prop_assert_eq!(&(bytes(&document), versions(&document)), state);
        }
        prop_assert!(!document.redo().any());
    }

    #[test]
    fn aborting_leaves_bytes_and_redo_alone(
        action in any_action(), mode in any_mode(), brush in any_brush(), points in any_points(),
    ) {
        let mut document = masked_document();
        perform(&mut document, &action);
        let _ = document.undo();
        let before = (bytes(&document), versions(&document));
        let redo = document.history().redo_name().map(str::to_owned);
        let mut tool = BrushTool::new(mode, brush);
        let _ = tool.handle(event(Phase::Down, Point::new(150.0, 100.0)), &mut document);
        for &(x, y) in &points {
            let _ = tool.handle(event(Phase::Move, Point::new(x, y)), &mut document);
        }
        let _ = tool.cancel(&mut document);
        prop_assert_eq!((bytes(&document), versions(&document)), before);
        prop_assert_eq!(document.history().redo_name().map(str::to_owned), redo);
        prop_assert!(!tool.is_busy() && !document.is_mask_edit_open());
    }

    #[test]
    fn accepting_leaves_unmasked_bytes_and_the_mask(
        bounds in (-80i32..320, -80i32..300, 1u32..200, 1u32..200), seed in any::<u32>(),
    ) {
        let bounds = Bounds::new(bounds.0, bounds.1, bounds.2, bounds.3);
        let patch = patch(bounds, seed);
        let mut document = masked_document();
        let (before, mask_before) = (document.snapshot().picture(), mask_bytes(&document));
        let mask = patch.composite_mask.clone().unwrap();
        let blended = crate::pixels::blend::composite(&before.crop(bounds), &patch.layer, &mask);
        let _ = document.stage(vec![patch]).unwrap();
        let _ = document.accept_staged();
        let after = document.picture().to_picture();
        for y in 0..EXTENT.height {
            for x in 0..EXTENT.width {
                let (column, row) = ((x as i32 - bounds.x) as u32, (y as i32 - bounds.y) as u32);
                let masked = bounds.contains(x as i32, y as i32)
                    && mask.pixel(column, row) != [0];
                let expected = if masked { blended.pixel(column, row) } else { before.pixel(x, y) };
                prop_assert_eq!(after.pixel(x, y), expected);
            }
        }
        prop_assert_eq!(mask_bytes(&document), mask_before);
    }

    #[test]
    fn tiles_hold_what_was_written(
        width in 1u32..600, height in 1u32..600,
        bounds in (-300i32..600, -300i32..600, 1u32..400, 1u32..400), seed in any::<u32>(),
    ) {
        let extent = Extent::new(width, height);
        let bounds = Bounds::new(bounds.0, bounds.1, bounds.2, bounds.3);
        let mut whole = noise_mask(extent, seed);
        let mut tiles = crate::document::MaskTiles::from_mask(&whole);
        prop_assert_eq!(tiles.to_mask(), whole.clone());
        prop_assert_eq!(tiles.crop(bounds), whole.crop(bounds));

        let patch = noise_mask(bounds.extent(), seed ^ 1);
        tiles.write(bounds, patch.bytes());
        let inside = bounds.intersect(extent.bounds());
        for y in inside.y..inside.bottom() {
            for x in inside.x..inside.right() {
                whole.row_mut(y as u32)[x as usize] =
                    patch.pixel((x - bounds.x) as u32, (y - bounds.y) as u32)[0];
            }
        }
        prop_assert_eq!(tiles.bounding_box(), whole.bounding_box());
        prop_assert_eq!(tiles.to_mask(), whole);
    }
}

#[test]
fn a_snapshot_does_not_change_and_can_be_sent() {
    fn sendable<T: Send + Sync>(value: T) -> T {
        value
    }
    let mut document = masked_document();
    let snapshot: Snapshot = sendable(document.snapshot());
    let before = bytes(&document);
    perform(&mut document, &Action::Invert);
    perform(&mut document, &Action::Accept(Bounds::new(10, 10, 50, 50), 3));
    assert_ne!(bytes(&document), before);
    assert_eq!((snapshot.picture().into_bytes(), snapshot.mask().into_bytes()), before);
}

#[test]
fn mask_operations() {
    let mut document = document();
    assert!(!document.clear_mask().any(), "there is nothing to clear");
    let effects = document.fill_mask();
    assert_eq!(
        effects,
        Effects { dirty_mask: EXTENT.bounds(), history_changed: true, ..Effects::NONE }
    );
    assert!(mask_bytes(&document).iter().all(|&value| value == 255));
    let _ = document.set_mask("Import mask", &noise_mask(EXTENT, 9)).unwrap();
    let _ = document.invert_mask();
    let inverted: Vec<_> = noise_mask(EXTENT, 9).bytes().iter().map(|value| 255 - value).collect();
    assert_eq!(mask_bytes(&document), inverted);
    let _ = document.clear_mask();
    assert_eq!(document.mask().bounding_box(), None);
    let names = ["Mask everything", "Import mask", "Invert mask", "Clear mask"];
    assert!(document.history().names().eq(names));
    assert_eq!(
        document.set_mask("Import mask", &Mask::new(Extent::new(2, 2))),
        Err(DocumentError::MaskExtent { found: Extent::new(2, 2), expected: EXTENT })
    );
}

#[test]
fn a_new_step_drops_what_could_be_redone() {
    let mut document = document();
    let _ = document.fill_mask();
    let _ = document.undo();
    assert_eq!(document.history().redo_name(), Some("Mask everything"));
    draw(&mut document, BrushMode::Paint, Brush::default(), &[(50.0, 50.0)]);
    assert_eq!(document.history().redo_name(), None);
    assert_eq!(document.history().undo_name(), Some("Brush stroke"));
}

#[test]
fn a_stroke_that_changes_nothing_is_no_step() {
    let mut document = document();
    let _ = document.fill_mask();
    let _ = document.undo();
    draw(&mut document, BrushMode::Paint, Brush::default(), &[(-500.0, -500.0)]);
    draw(&mut document, BrushMode::Erase, Brush::default(), &[(50.0, 50.0), (90.0, 90.0)]);
    assert_eq!(document.history().redo_name(), Some("Mask everything"));
}

#[test]
fn undo_in_the_middle_of_a_stroke_abandons_it() {
    let mut document = document();
    let _ = document.fill_mask();
    let mut tool = BrushTool::new(BrushMode::Erase, Brush::default());
    let _ = tool.handle(event(Phase::Down, Point::new(50.0, 50.0)), &mut document);
    let _ = document.undo();
    assert_eq!(document.mask().bounding_box(), None);
    for phase in [Phase::Move, Phase::Up] {
        assert!(!tool.handle(event(phase, Point::new(80.0, 80.0)), &mut document).any());
    }
    let _ = document.redo();
    assert!(mask_bytes(&document).iter().all(|&value| value == 255));
}

#[test]
fn accepting_in_the_middle_of_a_stroke_keeps_both() {
    let mut document = document();
    let mut tool = BrushTool::new(BrushMode::Paint, Brush::default());
    let _ = tool.handle(event(Phase::Down, Point::new(50.0, 50.0)), &mut document);
    perform(&mut document, &Action::Accept(Bounds::new(0, 0, 100, 100), 5));
    let accepted = document.picture().to_picture();
    let _ = tool.handle(event(Phase::Up, Point::new(90.0, 50.0)), &mut document);
    assert!(document.history().names().eq(["Accept result", "Brush stroke"]));
    let _ = document.undo();
    assert_eq!(document.mask().bounding_box(), None);
    assert_eq!(document.picture().to_picture(), accepted);
}

#[test]
fn the_history_forgets_its_oldest_steps_beyond_the_cap() {
    let mut document = document();
    let tile = (TILE_SIDE * TILE_SIDE) as usize;
    document.set_history_cap(3 * tile);
    let dab = |document: &mut Document, x: f32| {
        draw(document, BrushMode::Paint, Brush { size_px: 9.0, ..Brush::default() }, &[(x, 50.0)]);
    };
    (0..5).for_each(|i| dab(&mut document, 20.0 + 30.0 * i as f32));
    assert_eq!(document.history().names().count(), 3);
    assert_eq!(document.history().bytes(), 3 * tile);
    while document.undo().any() {}
    assert_eq!(document.mask().to_mask().pixel(50, 50), &[255], "too old to be undone");
    assert_eq!(document.mask().to_mask().pixel(80, 50), &[0]);

    document.set_history_cap(0);
    dab(&mut document, 200.0);
    assert_eq!(document.history().names().count(), 1, "the newest step stays");
}

#[test]
fn modified_means_different_from_what_was_saved() {
    let mut document = document();
    assert!(!document.is_modified());
    let _ = document.fill_mask();
    assert!(document.is_modified());
    document.mark_saved();
    let _ = document.undo();
    assert!(document.is_modified());
    let _ = document.redo();
    assert!(!document.is_modified());
    let _ = document.undo();
    let _ = document.invert_mask();
    assert!(document.is_modified(), "another way to the same bytes is another state");
}

#[test]
fn staged_results_are_chosen_from() {
    let mut document = document();
    let bounds = Bounds::new(20, 30, 40, 50);
    let effects = document.stage(vec![patch(bounds, 7), patch(bounds, 8)]).unwrap();
    assert!(effects.staged_changed && !document.is_modified());
    let _ = document.select_staged(99);
    assert_eq!(document.staged().map(|staged| staged.selected().seed), Some(8));
    assert!(document.discard_staged().staged_changed);
    assert!(!document.accept_staged().any() && !document.discard_staged().any());

    let whole = Patch { composite_mask: None, ..patch(bounds, 7) };
    let _ = document.stage(vec![whole.clone()]).unwrap();
    let effects = document.accept_staged();
    assert_eq!(effects.dirty_picture, bounds);
    assert_eq!(&document.picture().crop(bounds), &*whole.layer);
    assert_eq!(document.history().undo_name(), Some("Accept result"));

    let crooked = Patch { layer: Arc::new(noise_picture(Extent::new(3, 3), 1)), ..whole };
    assert!(matches!(document.stage(vec![crooked]), Err(DocumentError::PatchExtent { .. })));
    assert!(document.staged().is_none());
}

#[test]
fn a_result_is_blended_over_the_picture_as_it_is_when_it_is_accepted() {
    let bounds = Bounds::new(20, 30, 40, 50);
    let mut document = document();
    perform(&mut document, &Action::Accept(bounds, 3));
    let half = Mask::from_raw(bounds.extent(), vec![128; bounds.extent().area()]).unwrap();
    let late = Patch { composite_mask: Some(Arc::new(half.clone())), ..patch(bounds, 9) };
    let _ = document.stage(vec![late.clone()]).unwrap();
    let _ = document.undo();
    let below = document.picture().crop(bounds);
    let seen = document.picture_with_staged();
    let _ = document.accept_staged();
    let expected = crate::pixels::blend::composite(&below, &late.layer, &half);
    assert_eq!(document.picture().crop(bounds), expected);
    assert_eq!(document.picture().to_picture(), seen);
}

#[test]
fn only_pictures_of_a_sensible_size_are_opened() {
    let mut document = masked_document();
    let empty = Picture::new(Extent::new(0, 5));
    assert_eq!(document.set_picture(&empty), Err(DocumentError::Empty(empty.extent())));
    let long = Picture::new(Extent::new(MAX_SIDE + 1, 1));
    assert_eq!(document.set_picture(&long), Err(DocumentError::TooLarge(long.extent())));
    assert_eq!(document.extent(), EXTENT);

    let other = noise_picture(Extent::new(17, 4), 3);
    let effects = document.set_picture(&other).unwrap();
    assert!(effects.replaced && effects.history_changed);
    assert_eq!(document.picture().to_picture(), other);
    assert_eq!((document.mask().bounding_box(), document.history().undo_name()), (None, None));
    assert!(!document.is_modified());
}

#[test]
fn a_version_names_contents() {
    let mut document = masked_document();
    let at_start = document.mask().tile(0, 0).map(Tile::version);
    draw(&mut document, BrushMode::Paint, Brush::default(), &[(50.0, 50.0)]);
    let painted = document.mask().tile(0, 0).map(Tile::version);
    assert!(painted > at_start);
    let _ = document.undo();
    assert_eq!(document.mask().tile(0, 0).map(Tile::version), at_start);
}
