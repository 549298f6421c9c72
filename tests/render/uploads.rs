//! What goes to the graphics card, and that it stays right when room is made for more.

use libtest_mimic::Trial;
use overpaint::{
    document::{MaskTiles, PictureTiles, TILE_SIDE},
    geometry::{Bounds, Extent},
    render::{Scene, Viewport},
};

use crate::{
    gpu::trial,
    stage::{Stage, flat_picture, noisy_picture, scene, view},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("one_changed_tile_is_one_upload", one_changed_tile_is_one_upload),
        trial("only_visible_tiles_are_uploaded", only_visible_tiles_are_uploaded),
        trial("a_huge_picture_takes_few_tiles_from_afar", a_huge_picture_takes_few_tiles_from_afar),
        trial("the_atlas_grows_without_loss", the_atlas_grows_without_loss),
        trial("a_cleared_tile_vanishes", a_cleared_tile_vanishes),
        trial("another_picture_takes_its_place", another_picture_takes_its_place),
    ]
}

fn one_changed_tile_is_one_upload() {
    let mut scene = scene(&noisy_picture(Extent::new(700, 600), 1));
    let mut stage = Stage::new();
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 9);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 0);
    scene.picture.write(Bounds::new(300, 10, 5, 5), &[200; 100]);
    scene.mask.write(Bounds::new(10, 300, 2, 1), &[255; 2]);
    let work = stage.work_of(&scene);
    assert_eq!((work.picture_tiles_uploaded, work.mask_tiles_uploaded), (1, 1));
    scene.view = view(0.5, 0.0, 0.0);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 4, "the level above");
    scene.picture.write(Bounds::new(690, 590, 1, 1), &[0; 4]);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 1, "the one over the change");
}

fn only_visible_tiles_are_uploaded() {
    let mut scene = scene(&noisy_picture(Extent::new(1300, 1300), 2));
    scene.viewport_px = Viewport::whole(Extent::new(250, 250));
    let mut stage = Stage::new();
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 1);
    scene.view = view(1.0, -100.0, 0.0);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 1, "the neighbour");
    scene.view = view(1.0, 0.0, 0.0);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 0, "back again");
}

/// A large picture of which most is transparent, with one flat colour per written tile.
fn sparse(side: u32, tiles: impl Iterator<Item = (u32, u32)>) -> Scene {
    let extent = Extent::new(side, side);
    let mut picture = PictureTiles::new(extent);
    for (column, row) in tiles {
        let bounds = picture.tile_bounds(column, row);
        picture.write(bounds, flat_picture(bounds.extent(), tile_colour(column, row)).bytes());
    }
    Scene::new(picture, MaskTiles::new(extent), Viewport::whole(Extent::new(410, 410)))
}

fn tile_colour(column: u32, row: u32) -> [u8; 4] {
    [(column * 20) as u8, (row * 20) as u8, (column ^ row) as u8, 255]
}

fn a_huge_picture_takes_few_tiles_from_afar() {
    let mut scene = sparse(8192, [(0, 0), (31, 31), (16, 15)].into_iter());
    scene.view = view(0.05, 0.0, 0.0);
    let mut stage = Stage::new();
    assert!(stage.work_of(&scene).picture_tiles_uploaded <= 3);
    let found = stage.draw(&scene);
    // 8192 pixels are 409.6 on the screen, and a tile is 12.8.
    assert_eq!(found.pixel(5, 5), tile_colour(0, 0));
    assert_eq!(found.pixel(211, 198), tile_colour(16, 15));
    assert_eq!(found.pixel(403, 403), tile_colour(31, 31));
}

fn the_atlas_grows_without_loss() {
    let all = || (0..12).flat_map(|row| (0..12).map(move |column| (column, row)));
    let mut scene = sparse(12 * TILE_SIDE, all());
    let mut stage = Stage::new();
    scene.view = view(1.0, -100.0, -100.0);
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 4, "the corner");
    // Just above half size: all 144 tiles, at level 0.
    scene.view = view(0.51, 0.0, 0.0);
    scene.viewport_px = Viewport::whole(Extent::new(1566, 1566));
    scene.picture.write(Bounds::new(0, 0, 256, 256), &[7, 7, 7, 255].repeat(256 * 256));
    assert_eq!(stage.work_of(&scene).picture_tiles_uploaded, 141, "three of four were there");
    let found = stage.draw(&scene);
    for (column, row) in all() {
        let middle = |at: u32| ((at * TILE_SIDE + TILE_SIDE / 2) as f32 * 0.51) as u32;
        let expected =
            if (column, row) == (0, 0) { [7, 7, 7, 255] } else { tile_colour(column, row) };
        assert_eq!(found.pixel(middle(column), middle(row)), expected, "tile {column}, {row}");
    }
}

fn a_cleared_tile_vanishes() {
    let mut scene = scene(&flat_picture(Extent::new(300, 300), [0, 0, 0, 255]));
    scene.mask.write(Bounds::new(20, 20, 1, 1), &[255]);
    scene.overlay.opacity = 1.0;
    let mut stage = Stage::new();
    assert_eq!(stage.draw(&scene).pixel(20, 20), [255, 0, 0, 255]);
    scene.mask = MaskTiles::new(Extent::new(300, 300));
    assert_eq!(stage.draw(&scene).pixel(20, 20), [0, 0, 0, 255]);
}

fn another_picture_takes_its_place() {
    let mut stage = Stage::new();
    stage.draw(&scene(&noisy_picture(Extent::new(300, 300), 3)));
    let other = flat_picture(Extent::new(520, 90), [1, 2, 3, 255]);
    let found = stage.draw(&scene(&other));
    assert_eq!(found.pixel(0, 0), [1, 2, 3, 255]);
    assert_eq!(found.pixel(519, 89), [1, 2, 3, 255]);
}
