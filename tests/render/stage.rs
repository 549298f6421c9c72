//! A renderer with a device of its own, and contents to draw.

use overpaint::{
    document::{MaskTiles, PictureTiles},
    geometry::{Bounds, Extent, Point, View},
    pixels::{Mask, Picture},
    render::{CanvasRenderer, READBACK_FORMAT, Scene, Viewport, Work, render_to_picture},
};

use crate::gpu::{self, Gpu};

pub struct Stage {
    pub gpu: Gpu,
    pub renderer: CanvasRenderer,
}

impl Stage {
    pub fn new() -> Self {
        Self::on(gpu::device().unwrap(), READBACK_FORMAT)
    }

    pub fn on(gpu: Gpu, format: wgpu::TextureFormat) -> Self {
        let renderer = CanvasRenderer::new(&gpu.device, format).unwrap();
        Self { gpu, renderer }
    }

    /// The scene's viewport, which starts at the target's corner.
    pub fn draw(&mut self, scene: &Scene) -> Picture {
        let Viewport { width, height, .. } = scene.viewport_px;
        let Gpu { device, queue } = &self.gpu;
        let extent = Extent::new(width, height);
        render_to_picture(device, queue, &mut self.renderer, scene, extent).unwrap()
    }

    /// Draws and tells what work that took.
    pub fn work_of(&mut self, scene: &Scene) -> Work {
        let before = self.renderer.work();
        self.draw(scene);
        let after = self.renderer.work();
        Work {
            picture_tiles_uploaded: after.picture_tiles_uploaded - before.picture_tiles_uploaded,
            mask_tiles_uploaded: after.mask_tiles_uploaded - before.mask_tiles_uploaded,
            staged_tiles_uploaded: after.staged_tiles_uploaded - before.staged_tiles_uploaded,
            masks_blurred: after.masks_blurred - before.masks_blurred,
        }
    }
}

/// Pseudo-random bytes, the same on every run (xorshift).
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Opaque noise.
pub fn noisy_picture(extent: Extent, seed: u64) -> Picture {
    let mut picture = Picture::from_raw(extent, noise(extent.area() * 4, seed)).unwrap();
    picture.bytes_mut().chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    picture
}

pub fn flat_picture(extent: Extent, colour: [u8; 4]) -> Picture {
    Picture::from_raw(extent, colour.repeat(extent.area())).unwrap()
}

/// Soft noise with hard-edged holes and full areas, as masks have.
pub fn noisy_mask(extent: Extent, seed: u64) -> Mask {
    let mut mask = Mask::from_raw(extent, noise(extent.area(), seed)).unwrap();
    for y in 0..extent.height {
        for (x, value) in (0u32..).zip(mask.row_mut(y)) {
            match (x / 37 + y / 53) % 3 {
                0 => *value = 0,
                1 => *value = 255,
                _ => {}
            }
        }
    }
    mask
}

/// A picture 1:1 in a viewport of its size, with nothing masked.
pub fn scene(picture: &Picture) -> Scene {
    Scene::new(
        PictureTiles::from_picture(picture),
        MaskTiles::new(picture.extent()),
        Viewport::whole(picture.extent()),
    )
}

/// Zoomed, with the picture's corner at a place in the window.
pub fn view(zoom: f32, x: f32, y: f32) -> View {
    View { zoom, offset: Point::new(x, y) }
}

/// The largest difference of any two bytes inside `bounds`, alpha aside.
pub fn difference(a: &Picture, b: &Picture, bounds: Bounds) -> u8 {
    let (a, b) = (a.crop(bounds), b.crop(bounds));
    let pixels = a.bytes().chunks_exact(4).zip(b.bytes().chunks_exact(4));
    pixels.flat_map(|(a, b)| (0..3).map(|i| a[i].abs_diff(b[i]))).max().unwrap()
}

/// Asserts that two pictures are equal and names the first pixel that differs.
pub fn assert_same(found: &Picture, expected: &Picture, what: &str) {
    assert_eq!(found.extent(), expected.extent(), "{what}");
    let extent = found.extent();
    for y in 0..extent.height {
        for x in 0..extent.width {
            assert_eq!(found.pixel(x, y), expected.pixel(x, y), "{what}: pixel {x}, {y}");
        }
    }
}
