//! A chart of colours, to learn what an autoencoder's latents look like.

use crate::{
    geometry::Extent,
    pixels::{
        Picture,
        resize::{Filter, resize_picture},
    },
};

/// Patches a side of the chart, and latents a side of each patch.
const PATCHES: u32 = 8;
const PATCH_LATENTS: u32 = 4;

/// The chart, and the same shrunk to the size of its latents. `latent_pixels` is how many pixels
/// a side one latent stands for.
pub fn chart(latent_pixels: u32) -> (Picture, Picture) {
    let side = PATCHES * PATCH_LATENTS;
    let small = Extent::new(side, side);
    let large = Extent::new(side * latent_pixels, side * latent_pixels);
    let mut picture = Picture::new(large);
    let patch_pixels = PATCH_LATENTS * latent_pixels;
    for y in 0..large.height {
        let row = picture.row_mut(y).chunks_exact_mut(4);
        for (x, pixel) in row.enumerate() {
            let (column, line) = (x as u32 / patch_pixels, y / patch_pixels);
            // A slope inside each patch shows brightness apart from hue.
            let slope = (x as u32 % patch_pixels) as f32 / patch_pixels as f32;
            pixel.copy_from_slice(&colour(column, line, slope));
        }
    }
    let shrunk = resize_picture(&picture, small, Filter::Box);
    (picture, shrunk)
}

/// Hues along x, saturation along y, the last line greys.
fn colour(column: u32, line: u32, slope: f32) -> [u8; 4] {
    let hue = column as f32 / PATCHES as f32 * std::f32::consts::TAU;
    let saturation = 1.0 - line as f32 / (PATCHES - 1) as f32;
    let light = 0.15 + 0.7 * slope;
    let channel = |shift: f32| {
        let wave = 0.5 * (hue + shift).cos() * saturation;
        ((light + wave * light.min(1.0 - light) * 2.0).clamp(0.0, 1.0) * 255.0) as u8
    };
    let third = std::f32::consts::TAU / 3.0;
    [channel(0.0), channel(third), channel(2.0 * third), 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_holds_many_different_colours() {
        let (large, small) = chart(8);
        assert_eq!(large.extent(), Extent::new(256, 256));
        assert_eq!(small.extent(), Extent::new(32, 32));
        for channel in 0..3 {
            let values: Vec<u8> = small.bytes().iter().skip(channel).step_by(4).copied().collect();
            let (low, high) = (values.iter().min().unwrap(), values.iter().max().unwrap());
            assert!(high - low > 150, "channel {channel}: {low} to {high}");
        }
    }
}
