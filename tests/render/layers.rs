//! What lies on the picture: the mask as a tint, results and previews.

use std::sync::Arc;

use libtest_mimic::Trial;
use overpaint::{
    document::MaskTiles,
    geometry::{Bounds, Extent},
    pixels::{Mask, Picture, blend::composite},
    render::{Compare, Scene, StagedLayer},
};

use crate::{
    gpu::trial,
    stage::{Stage, assert_same, difference, flat_picture, noisy_mask, noisy_picture, scene, view},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("the_mask_tints_where_it_is", the_mask_tints_where_it_is),
        trial("an_inverted_mask_tints_elsewhere", an_inverted_mask_tints_elsewhere),
        trial("a_hidden_mask_changes_nothing", a_hidden_mask_changes_nothing),
        trial("the_outline_follows_the_border", the_outline_follows_the_border),
        trial("a_result_lies_in_its_place", a_result_lies_in_its_place),
        trial("a_result_beyond_the_edge_is_cut", a_result_beyond_the_edge_is_cut),
        trial("the_composite_equals_the_cpus", the_composite_equals_the_cpus),
        trial("before_after_and_wipe", before_after_and_wipe),
    ]
}

const EXTENT: Extent = Extent::new(400, 300);

/// The left half masked.
fn half_masked(picture: &Picture) -> Scene {
    let mut mask = MaskTiles::new(EXTENT);
    let left = Bounds::new(0, 0, 200, 300);
    mask.write(left, &vec![255; left.extent().area()]);
    Scene { mask, ..scene(picture) }
}

fn the_mask_tints_where_it_is() {
    let picture = noisy_picture(EXTENT, 1);
    let mut scene = half_masked(&picture);
    scene.overlay.colour = [10, 200, 60];
    scene.overlay.opacity = 0.25;
    let found = Stage::new().draw(&scene);
    let right = Bounds::new(200, 0, 200, 300);
    assert_same(&found.crop(right), &picture.crop(right), "unmasked");
    for (x, y) in [(0, 0), (199, 299), (100, 255), (100, 256)] {
        let (seen, below) = (found.pixel(x, y), picture.pixel(x, y));
        for (channel, tint) in [10.0, 200.0, 60.0].into_iter().enumerate() {
            let expected = 0.25 * tint + 0.75 * f32::from(below[channel]);
            assert!((f32::from(seen[channel]) - expected).abs() <= 1.0, "pixel {x}, {y}");
        }
    }
}

fn an_inverted_mask_tints_elsewhere() {
    let picture = noisy_picture(EXTENT, 2);
    let mut scene = half_masked(&picture);
    scene.overlay.inverted = true;
    scene.overlay.opacity = 1.0;
    let found = Stage::new().draw(&scene);
    let left = Bounds::new(0, 0, 200, 300);
    assert_same(&found.crop(left), &picture.crop(left), "masked");
    assert_eq!(found.pixel(200, 0), [255, 0, 0, 255]);
}

fn a_hidden_mask_changes_nothing() {
    let picture = noisy_picture(EXTENT, 3);
    let mut scene = half_masked(&picture);
    scene.overlay.visible = false;
    assert_same(&Stage::new().draw(&scene), &picture, "hidden");
}

fn the_outline_follows_the_border() {
    let picture = flat_picture(EXTENT, [0, 0, 255, 255]);
    let mut scene = half_masked(&picture);
    scene.overlay.opacity = 0.0;
    scene.overlay.outline_phase = Some(0.0);
    let mut stage = Stage::new();
    let found = stage.draw(&scene);
    let column = |found: &Picture, x: u32| -> Vec<[u8; 3]> {
        (0..300).map(|y| found.pixel(x, y)[..3].try_into().unwrap()).collect()
    };
    let dashes = column(&found, 199);
    assert!(dashes.contains(&[0; 3]) && dashes.contains(&[255; 3]), "dashes on the border");
    assert!(!dashes.contains(&[0, 0, 255]), "the line is whole");
    assert!(column(&found, 190)[10..290].iter().all(|&pixel| pixel == [0, 0, 255]), "none inside");
    assert!(column(&found, 200).iter().all(|&pixel| pixel == [0, 0, 255]), "none outside");
    scene.overlay.outline_phase = Some(4.0);
    assert_ne!(column(&stage.draw(&scene), 199), dashes, "the ants march");
}

fn staged(bounds: Bounds, picture: Picture, coverage: Option<Mask>) -> Option<StagedLayer> {
    let coverage = coverage.map(Arc::new);
    Some(StagedLayer { bounds, picture: Arc::new(picture), coverage, version: 1 })
}

fn a_result_lies_in_its_place() {
    let picture = noisy_picture(EXTENT, 4);
    let bounds = Bounds::new(50, 40, 270, 200);
    let result = noisy_picture(bounds.extent(), 5);
    let mut scene = scene(&picture);
    scene.staged = staged(bounds, result.clone(), None);
    let mut stage = Stage::new();
    let found = stage.draw(&scene);
    assert_same(&found.crop(bounds), &result, "inside");
    let above = Bounds::new(0, 0, 400, 40);
    assert_same(&found.crop(above), &picture.crop(above), "above");

    scene.staged = scene.staged.map(|layer| StagedLayer {
        picture: Arc::new(flat_picture(bounds.extent(), [9, 8, 7, 255])),
        version: 2,
        ..layer
    });
    assert_eq!(stage.draw(&scene).pixel(60, 60), [9, 8, 7, 255], "the next step's preview");
}

fn a_result_beyond_the_edge_is_cut() {
    let picture = noisy_picture(EXTENT, 6);
    let bounds = Bounds::new(-30, 250, 100, 100);
    let result = noisy_picture(bounds.extent(), 7);
    let mut scene = scene(&picture);
    scene.view = view(1.0, 50.0, 0.0);
    scene.viewport_px.width = 500;
    scene.viewport_px.height = 400;
    scene.staged = staged(bounds, result.clone(), None);
    let mut stage = Stage::new();
    let with = stage.draw(&scene);
    let inside = with.crop(Bounds::new(50, 250, 70, 50));
    assert_same(&inside, &result.crop(Bounds::new(30, 0, 70, 50)), "inside");
    scene.staged = None;
    let without = stage.draw(&scene);
    let left = Bounds::new(0, 0, 50, 400);
    assert_same(&with.crop(left), &without.crop(left), "left of the picture");
}

fn the_composite_equals_the_cpus() {
    let picture = noisy_picture(EXTENT, 8);
    let bounds = Bounds::new(13, 7, 300, 280);
    let raw = noisy_picture(bounds.extent(), 9);
    let mask = noisy_mask(bounds.extent(), 10);
    let expected = composite(&picture.crop(bounds), &raw, &mask);
    let mut scene = scene(&picture);
    scene.staged = staged(bounds, raw, Some(mask));
    let found = Stage::new().draw(&scene).crop(bounds);
    let off = difference(&found, &expected, bounds.extent().bounds());
    assert!(off <= 1, "off by {off}");
}

fn before_after_and_wipe() {
    let picture = noisy_picture(EXTENT, 11);
    let result = noisy_picture(EXTENT, 12);
    let mut scene = scene(&picture);
    scene.staged = staged(EXTENT.bounds(), result.clone(), None);
    let mut stage = Stage::new();
    assert_same(&stage.draw(&scene), &result, "after");
    scene.compare = Compare::Before;
    assert_same(&stage.draw(&scene), &picture, "before");
    scene.compare = Compare::Wipe { x: 150.0 };
    let found = stage.draw(&scene);
    let (left, right) = (Bounds::new(0, 0, 150, 300), Bounds::new(150, 0, 250, 300));
    assert_same(&found.crop(left), &picture.crop(left), "left of the wipe");
    assert_same(&found.crop(right), &result.crop(right), "right of the wipe");
}
