//! What is drawn for orientation: the brush outline, the pixel grid. And shaders under work.

use std::path::Path;

use libtest_mimic::Trial;
use overpaint::{
    geometry::{Extent, Point},
    pixels::Picture,
    render::{CanvasRenderer, Cursor, READBACK_FORMAT, Scene, Viewport, shaders::ShaderSources},
};

use crate::{
    gpu::{self, trial},
    stage::{Stage, assert_same, flat_picture, scene, view},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("the_brush_shows_on_every_background", the_brush_shows_on_every_background),
        trial("hardness_has_an_inner_ring", hardness_has_an_inner_ring),
        trial("a_tiny_brush_has_a_cross", a_tiny_brush_has_a_cross),
        trial("the_pixel_grid_shows_when_close", the_pixel_grid_shows_when_close),
        trial("a_shader_is_replaced_while_running", a_shader_is_replaced_while_running),
    ]
}

const EXTENT: Extent = Extent::new(120, 120);

fn with_cursor(grey: u8, radius: f32, hardness: f32) -> Scene {
    let centre = Point::new(60.0, 60.0);
    Scene {
        cursor: Some(Cursor { centre, radius, hardness }),
        ..scene(&flat_picture(EXTENT, [grey, grey, grey, 255]))
    }
}

/// Red values from the centre to the right.
fn ray(picture: &Picture) -> Vec<u8> {
    (60..120).map(|x| picture.pixel(x, 60)[0]).collect()
}

fn the_brush_shows_on_every_background() {
    let mut stage = Stage::new();
    for grey in [0, 64, 128, 192, 255] {
        let found = stage.draw(&with_cursor(grey, 40.0, 1.0));
        let ray = ray(&found);
        let contrast = ray[38..44].iter().map(|value| value.abs_diff(grey)).max().unwrap();
        assert!(contrast >= 80, "on {grey}: contrast {contrast}");
        assert!(ray[..37].iter().all(|&value| value == grey), "nothing inside");
        assert!(ray[44..].iter().all(|&value| value == grey), "nothing outside");
    }
}

fn hardness_has_an_inner_ring() {
    let mut stage = Stage::new();
    let around = 18..23;
    let soft = ray(&stage.draw(&with_cursor(0, 40.0, 0.5)));
    assert!(soft[around.clone()].iter().any(|&value| value > 50));
    let hard = ray(&stage.draw(&with_cursor(0, 40.0, 1.0)));
    assert!(hard[around].iter().all(|&value| value == 0));
}

fn a_tiny_brush_has_a_cross() {
    let found = ray(&Stage::new().draw(&with_cursor(0, 0.5, 1.0)));
    assert!(found[4..8].iter().all(|&value| value > 100), "{found:?}");
    assert!(found[12..].iter().all(|&value| value == 0));
}

fn the_pixel_grid_shows_when_close() {
    let picture = flat_picture(Extent::new(10, 10), [0, 0, 0, 255]);
    let mut stage = Stage::new();
    let mut lines = |zoom: f32| {
        let mut scene = scene(&picture);
        scene.viewport_px = Viewport::whole(Extent::new(200, 200));
        scene.view = view(zoom, 0.0, 0.0);
        let found = stage.draw(&scene);
        (1..200).filter(|&x| found.pixel(x, 10)[0] > 0).collect::<Vec<_>>()
    };
    assert_eq!(lines(12.0).into_iter().filter(|&x| x < 119).count(), 0, "not yet");
    let close = lines(24.0);
    assert!(!close.is_empty());
    assert!(close.iter().all(|x| [0, 23].contains(&(x % 24))), "at the borders: {close:?}");
}

fn a_shader_is_replaced_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    for file in std::fs::read_dir(ours).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let gpu = gpu::device().unwrap();
    let sources = ShaderSources::watching(folder.path().to_owned());
    let renderer = CanvasRenderer::with_shaders(&gpu.device, READBACK_FORMAT, sources).unwrap();
    let mut stage = Stage { gpu, renderer };
    let clear = scene(&flat_picture(EXTENT, [0; 4]));
    let first = stage.draw(&clear);

    let path = folder.path().join("checkerboard.wgsl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "this is not a shader").unwrap();
    stage.renderer.reload_shaders(&stage.gpu.device);
    let error = stage.renderer.shader_error().expect("an error").to_string();
    assert!(error.contains("checkerboard.wgsl"), "{error}");
    assert_same(&stage.draw(&clear), &first, "the one before stays in use");

    std::fs::write(&path, text.replace("LIGHT: f32 = 0.8", "LIGHT: f32 = 1.0")).unwrap();
    stage.renderer.reload_shaders(&stage.gpu.device);
    assert!(stage.renderer.shader_error().is_none());
    assert_eq!(stage.draw(&clear).pixel(0, 0), [255; 4], "the new one");
}
