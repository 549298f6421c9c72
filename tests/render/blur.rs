//! The mask's blur is the one that will be used.

use libtest_mimic::Trial;
use overpaint::{
    document::MaskTiles,
    geometry::{Bounds, Extent},
    pixels::{Mask, blur::gaussian_blur_mask},
    render::{READBACK_FORMAT, Scene, Viewport},
};

use crate::{
    gpu::{self, trial},
    stage::{Stage, flat_picture, noisy_mask, scene, view},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("the_blur_equals_the_cpus", || blurs_as_the_cpu(Stage::new())),
        trial("the_blur_equals_the_cpus_without_compute_shaders", || {
            let limits = wgpu::Limits::downlevel_webgl2_defaults();
            let gpu = gpu::device_with(limits).unwrap();
            blurs_as_the_cpu(Stage::on(gpu, READBACK_FORMAT));
        }),
        trial("a_visible_part_is_blurred_as_the_whole", a_visible_part_is_blurred_as_the_whole),
        trial("a_small_mask_is_blurred_around_itself", a_small_mask_is_blurred_around_itself),
        trial("from_afar_the_blur_is_near", from_afar_the_blur_is_near),
        trial("the_blur_is_computed_when_something_changed", computed_when_something_changed),
    ]
}

/// White on black, so that what is seen is the mask's value.
fn bare(mask: &Mask) -> Scene {
    let extent = mask.extent();
    let mut scene = scene(&flat_picture(extent, [0, 0, 0, 255]));
    scene.mask = MaskTiles::from_mask(mask);
    scene.overlay.colour = [255; 3];
    scene.overlay.opacity = 1.0;
    scene
}

/// The largest difference between what is seen at 1:1, from `corner` of the mask on, and a mask.
fn off(stage: &mut Stage, scene: &Scene, expected: &Mask, corner: (u32, u32)) -> u8 {
    let seen = stage.draw(scene);
    let Viewport { width, height, .. } = scene.viewport_px;
    let mut worst = 0;
    for y in 0..height {
        for x in 0..width {
            let value = expected.pixel(x + corner.0, y + corner.1)[0];
            worst = worst.max(seen.pixel(x, y)[0].abs_diff(value));
        }
    }
    worst
}

fn blurs_as_the_cpu(mut stage: Stage) {
    let mask = noisy_mask(Extent::new(500, 331), 1);
    let mut scene = bare(&mask);
    for radius in [0.0, 0.3, 1.0, 2.5, 4.0, 11.7, 33.0, 150.0] {
        scene.overlay.blur_radius_px = radius;
        let off = off(&mut stage, &scene, &gaussian_blur_mask(&mask, radius), (0, 0));
        assert!(off <= 1, "radius {radius}: off by {off}");
    }
}

fn a_visible_part_is_blurred_as_the_whole() {
    let mask = noisy_mask(Extent::new(1500, 1300), 2);
    let mut scene = bare(&mask);
    scene.viewport_px = Viewport::whole(Extent::new(300, 200));
    let mut stage = Stage::new();
    for (radius, corner) in [(20.0, (700, 650)), (90.0, (0, 600)), (7.0, (1200, 1100))] {
        scene.overlay.blur_radius_px = radius;
        scene.view = view(1.0, -(corner.0 as f32), -(corner.1 as f32));
        let off = off(&mut stage, &scene, &gaussian_blur_mask(&mask, radius), corner);
        assert!(off <= 1, "radius {radius} at {corner:?}: off by {off}");
    }
}

fn a_small_mask_is_blurred_around_itself() {
    let extent = Extent::new(1600, 1500);
    let mut mask = Mask::new(extent);
    for y in 700..767 {
        mask.row_mut(y)[450..650].fill(255);
    }
    let mut scene = bare(&mask);
    scene.overlay.blur_radius_px = 60.0;
    let expected = gaussian_blur_mask(&mask, 60.0);
    let off = off(&mut Stage::new(), &scene, &expected, (0, 0));
    assert!(off <= 1, "off by {off}");
    assert!(expected.pixel(550, 840)[0] > 0, "it reaches beyond its tile");
}

fn from_afar_the_blur_is_near() {
    let extent = Extent::new(1024, 1024);
    let mut mask = Mask::new(extent);
    for y in 300..700 {
        mask.row_mut(y)[200..800].fill(255);
    }
    let exact = gaussian_blur_mask(&mask, 40.0);
    let mut scene = bare(&mask);
    scene.overlay.blur_radius_px = 40.0;
    scene.view = view(0.25, 0.0, 0.0);
    scene.viewport_px = Viewport::whole(Extent::new(256, 256));
    let seen = Stage::new().draw(&scene);
    for (x, y) in (0..256).flat_map(|y| (0..256).map(move |x| (x, y))) {
        let block = exact.crop(Bounds::new(x as i32 * 4, y as i32 * 4, 4, 4));
        let mean = block.bytes().iter().map(|&v| f32::from(v)).sum::<f32>() / 16.0;
        let value = f32::from(seen.pixel(x, y)[0]);
        assert!((value - mean).abs() <= 3.0, "pixel {x}, {y}: {value} for {mean}");
    }
}

fn computed_when_something_changed() {
    let mut scene = bare(&noisy_mask(Extent::new(600, 500), 3));
    scene.overlay.blur_radius_px = 5.0;
    let mut stage = Stage::new();
    let mut runs = |scene: &Scene| stage.work_of(scene).masks_blurred;
    assert_eq!(runs(&scene), 1, "the first time");
    assert_eq!(runs(&scene), 0, "the same again");
    scene.view = view(1.0, 3.0, 5.0);
    assert_eq!(runs(&scene), 0, "moved a little");
    scene.mask.write(Bounds::new(10, 10, 1, 1), &[77]);
    assert_eq!(runs(&scene), 1, "painted");
    scene.overlay.blur_radius_px = 6.0;
    assert_eq!(runs(&scene), 1, "another radius");
    scene.overlay.blur_radius_px = 0.0;
    assert_eq!(runs(&scene), 0, "none");
}
