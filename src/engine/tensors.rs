//! Between 8-bit buffers and tensors, with the reference's arithmetic.

use candle_core::{Device, Result, Tensor};

use crate::{
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// A picture as [1, 3, H, W] in [-1, 1], f32. Alpha is ignored.
pub fn picture_tensor(picture: &Picture, device: &Device) -> Result<Tensor> {
    let Extent { width, height } = picture.extent();
    let area = picture.extent().area();
    let mut values = vec![0f32; area * 3];
    for (i, pixel) in picture.bytes().chunks_exact(4).enumerate() {
        for channel in 0..3 {
            // Divided first, as `VaeImageProcessor` does: another order rounds otherwise.
            values[channel * area + i] = 2.0 * (f32::from(pixel[channel]) / 255.0) - 1.0;
        }
    }
    Tensor::from_vec(values, (1, 3, height as usize, width as usize), device)
}

/// The picture's colours without its alpha, as `convert("RGB")` leaves them: resizing must not
/// weigh what the model sees by what was transparent.
pub fn opaque(picture: &Picture) -> Picture {
    let mut opaque = picture.clone();
    opaque.bytes_mut().chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    opaque
}

/// A mask as [1, 1, H, W] in [0, 1], f32; not binarised.
pub fn mask_tensor(mask: &Mask, device: &Device) -> Result<Tensor> {
    let Extent { width, height } = mask.extent();
    let values: Vec<f32> = mask.bytes().iter().map(|&v| f32::from(v) / 255.0).collect();
    Tensor::from_vec(values, (1, 1, height as usize, width as usize), device)
}

/// Every picture of [B, 3, H, W], about [-1, 1]: clamped, rounded half to even, opaque.
pub fn pictures(decoded: &Tensor) -> Result<Vec<Picture>> {
    let (batch, _, height, width) = decoded.dims4()?;
    let extent = Extent::new(width as u32, height as u32);
    (0..batch).map(|i| Ok(picture(&decoded.get(i)?.flatten_all()?.to_vec1()?, extent))).collect()
}

/// From planes of red, green and blue.
fn picture(planes: &[f32], extent: Extent) -> Picture {
    let area = extent.area();
    let byte = |v: f32| ((v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let mut picture = Picture::new(extent);
    for (i, pixel) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        for channel in 0..3 {
            pixel[channel] = byte(planes[channel * area + i]);
        }
        pixel[3] = 255;
    }
    picture
}

/// An opaque picture from packed RGB bytes; `None` if their number does not fit.
pub fn picture_from_rgb(extent: Extent, rgb: &[u8]) -> Option<Picture> {
    let bytes = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    Picture::from_raw(extent, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_through_tensors() {
        let bytes = (0..=255u8).flat_map(|v| [v, 255 - v, v / 2, 255]).collect();
        let picture = Picture::from_raw(Extent::new(16, 16), bytes).unwrap();
        let tensor = picture_tensor(&picture, &Device::Cpu).unwrap();
        assert_eq!(pictures(&tensor).unwrap(), [picture]);
    }

    #[test]
    fn values_are_clamped_and_rounded_half_to_even() {
        let values = [-7.0f32, 9.0, 0.0, f32::NAN];
        let tensor = Tensor::new(&values, &Device::Cpu).unwrap();
        let decoded = tensor.reshape((1, 1, 1, 4)).unwrap().repeat((1, 3, 1, 1)).unwrap();
        let picture = &pictures(&decoded).unwrap()[0];
        let red: Vec<u8> = picture.bytes().iter().step_by(4).copied().collect();
        // 0 lies at 127.5, which goes to the even neighbour; what is not a number becomes black.
        assert_eq!(red, [0, 255, 128, 0]);
    }
}
