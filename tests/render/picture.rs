//! The picture at any zoom.

use libtest_mimic::Trial;
use overpaint::{
    document::PictureTiles,
    geometry::{Bounds, Extent},
    pixels::Picture,
    render::{Scene, Viewport},
};

use crate::{
    gpu::{self, trial},
    stage::{Stage, assert_same, difference, flat_picture, noisy_picture, scene, view},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("one_to_one_is_byte_exact", one_to_one_is_byte_exact),
        trial("one_to_one_on_a_dense_screen", one_to_one_on_a_dense_screen),
        trial("enlarged_pixels_are_squares", enlarged_pixels_are_squares),
        trial("tile_boundaries_do_not_show", tile_boundaries_do_not_show),
        trial("reduced_pixels_are_means", reduced_pixels_are_means),
        trial("zooms_in_between_are_area_means", zooms_in_between_are_area_means),
        trial("fine_stripes_become_grey", fine_stripes_become_grey),
        trial("transparency_shows_the_checkerboard", transparency_shows_the_checkerboard),
        trial("around_the_picture_lies_the_background", around_the_picture_lies_the_background),
        trial(
            "a_target_that_encodes_srgb_shows_the_same",
            a_target_that_encodes_srgb_shows_the_same,
        ),
    ]
}

fn one_to_one_is_byte_exact() {
    let picture = noisy_picture(Extent::new(600, 300), 1);
    let mut stage = Stage::new();
    let mut scene = scene(&picture);
    assert_same(&stage.draw(&scene), &picture, "at the corner");
    scene.view = view(1.0, -250.3, -20.6);
    let found = stage.draw(&scene).crop(Bounds::new(0, 0, 350, 279));
    assert_same(&found, &picture.crop(Bounds::new(250, 21, 350, 279)), "moved by fractions");
}

fn one_to_one_on_a_dense_screen() {
    let picture = noisy_picture(Extent::new(300, 280), 2);
    let mut scene = scene(&picture);
    scene.pixels_per_point = 1.5;
    scene.view = view(1.0 / 1.5, 0.2, 0.0);
    assert_same(&Stage::new().draw(&scene), &picture, "1.5 pixels a point");
}

fn enlarged_pixels_are_squares() {
    let picture = noisy_picture(Extent::new(100, 80), 3);
    let mut scene = scene(&picture);
    scene.viewport_px = Viewport::whole(Extent::new(300, 240));
    scene.view = view(3.0, 0.0, 0.0);
    let found = Stage::new().draw(&scene);
    let mut expected = Picture::new(Extent::new(300, 240));
    for y in 0..240 {
        for (x, to) in (0..).zip(expected.row_mut(y).chunks_exact_mut(4)) {
            to.copy_from_slice(picture.pixel(x / 3, y / 3));
        }
    }
    assert_same(&found, &expected, "three times as large");
}

fn tile_boundaries_do_not_show() {
    let colour = [201, 77, 13, 255];
    let picture = flat_picture(Extent::new(1000, 700), colour);
    let mut stage = Stage::new();
    for zoom in [0.07, 0.13, 0.37, 0.9, 1.0, 1.7, 3.3] {
        let mut scene = scene(&picture);
        scene.view = view(zoom, 0.0, 0.0);
        let (width, height) = (1000.0 * zoom, 700.0 * zoom);
        scene.viewport_px = Viewport::whole(Extent::new(width as u32, height as u32));
        let inside = Extent::new(width as u32 - 1, height as u32 - 1);
        let found = stage.draw(&scene).crop(inside.bounds());
        assert_same(&found, &flat_picture(inside, colour), &format!("zoom {zoom}"));
    }
}

fn reduced_pixels_are_means() {
    let picture = noisy_picture(Extent::new(1024, 512), 4);
    let mut stage = Stage::new();
    for factor in [2u32, 4, 8, 16] {
        let mut scene = scene(&picture);
        scene.view = view(1.0 / factor as f32, 0.0, 0.0);
        let extent = Extent::new(1024 / factor, 512 / factor);
        scene.viewport_px = Viewport::whole(extent);
        let mut expected = Picture::new(extent);
        for y in 0..extent.height {
            for (x, to) in (0..).zip(expected.row_mut(y).chunks_exact_mut(4)) {
                to.copy_from_slice(&block_mean(&picture, x, y, factor));
            }
        }
        let off = difference(&stage.draw(&scene), &expected, extent.bounds());
        // Each level rounds once, and so does the screen.
        assert!(off <= 2, "reduced {factor} times: off by {off}");
    }
}

fn block_mean(picture: &Picture, x: u32, y: u32, factor: u32) -> [u8; 4] {
    let block = Bounds::new((x * factor) as i32, (y * factor) as i32, factor, factor);
    let block = picture.crop(block);
    [0, 1, 2, 3].map(|channel| {
        let sum: u32 = block.bytes().chunks_exact(4).map(|pixel| u32::from(pixel[channel])).sum();
        ((sum + factor * factor / 2) / (factor * factor)) as u8
    })
}

fn zooms_in_between_are_area_means() {
    let picture = noisy_picture(Extent::new(400, 300), 6);
    let mut stage = Stage::new();
    for zoom in [0.55_f32, 0.7, 0.9, 1.5, 2.6] {
        let mut scene = scene(&picture);
        scene.view = view(zoom, 0.0, 0.0);
        scene.viewport_px = Viewport::whole(Extent::new(200, 150));
        let found = stage.draw(&scene);
        for (x, y) in (0..150).flat_map(|y| (0..200).map(move |x| (x, y))) {
            let expected = area_mean(&picture, (x, y), f64::from(zoom));
            let seen = f64::from(found.pixel(x, y)[0]);
            assert!(
                (seen - expected).abs() <= 1.0,
                "zoom {zoom}, pixel {x}, {y}: {seen} for {expected}"
            );
        }
    }
}

/// The mean red value under one pixel of the screen.
fn area_mean(picture: &Picture, (x, y): (u32, u32), zoom: f64) -> f64 {
    // Pixels of the picture that a stretch of the screen touches, and the share of each.
    let shares = |at: u32| {
        let (low, high) = (f64::from(at) / zoom, f64::from(at + 1) / zoom);
        (low as u32..high.ceil() as u32).map(move |pixel| {
            let inside = high.min(f64::from(pixel + 1)) - low.max(f64::from(pixel));
            (pixel, inside * zoom)
        })
    };
    let last = |side: u32, at: u32| at.min(side - 1);
    let Extent { width, height } = picture.extent();
    shares(y)
        .flat_map(|(v, share_v)| shares(x).map(move |(u, share_u)| (u, v, share_u * share_v)))
        .map(|(u, v, share)| share * f64::from(picture.pixel(last(width, u), last(height, v))[0]))
        .sum()
}

fn fine_stripes_become_grey() {
    let extent = Extent::new(1024, 512);
    let stripe = [0, 0, 0, 255, 255, 255, 255, 255];
    let picture = Picture::from_raw(extent, stripe.repeat(extent.area() / 2)).unwrap();
    let mut stage = Stage::new();
    for zoom in [0.06, 0.11, 0.3, 0.33, 0.45, 0.49] {
        let mut scene = scene(&picture);
        scene.view = view(zoom, 0.0, 0.0);
        let seen = Extent::new((1024.0 * zoom) as u32 - 1, (512.0 * zoom) as u32 - 1);
        scene.viewport_px = Viewport::whole(seen);
        let grey = flat_picture(seen, [128, 128, 128, 255]);
        assert_same(&stage.draw(&scene), &grey, &format!("zoom {zoom}"));
    }
}

fn transparency_shows_the_checkerboard() {
    let extent = Extent::new(64, 64);
    let clear = Stage::new().draw(&scene(&flat_picture(extent, [255, 0, 0, 0])));
    let mut greys: Vec<_> =
        clear.bytes().chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    greys.sort_unstable();
    greys.dedup();
    assert_eq!(greys, [[153; 3], [204; 3]]);

    let half = Stage::new().draw(&scene(&flat_picture(extent, [255, 0, 0, 128])));
    for (seen, below) in half.bytes().chunks_exact(4).zip(clear.bytes().chunks_exact(4)) {
        let over = (255 * 128 + i32::from(below[0]) * 127) / 255;
        assert!((i32::from(seen[0]) - over).abs() <= 1);
        assert!((i32::from(seen[1]) - i32::from(below[1]) * 127 / 255).abs() <= 1);
    }
}

fn around_the_picture_lies_the_background() {
    let picture = flat_picture(Extent::new(20, 20), [255; 4]);
    let viewport = Viewport::whole(Extent::new(200, 200));
    let mut scene = Scene { viewport_px: viewport, ..scene(&picture) };
    scene.view = view(1.0, 90.0, 90.0);
    scene.background = [90, 100, 110];
    let found = Stage::new().draw(&scene);
    assert_eq!(found.pixel(2, 2), [90, 100, 110, 255], "far away");
    assert!(found.pixel(100, 112)[0] < 80, "in the shadow");
    assert_eq!(found.pixel(100, 100), [255; 4], "in the picture");
}

fn a_target_that_encodes_srgb_shows_the_same() {
    let picture = noisy_picture(Extent::new(64, 64), 5);
    let gpu = gpu::device().unwrap();
    let mut stage = Stage::on(gpu, wgpu::TextureFormat::Rgba8UnormSrgb);
    let mut scene = scene(&picture);
    let off = difference(&stage.draw(&scene), &picture, picture.extent().bounds());
    assert!(off <= 1, "off by {off}");
    scene.picture = PictureTiles::new(picture.extent());
    let clear = stage.draw(&scene);
    assert!(clear.pixel(0, 0)[0].abs_diff(204) <= 1, "the checkerboard");
}
