//! From file bytes to [`Picture`] and [`Mask`].

use std::{io::Cursor, path::Path};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, metadata::Orientation,
};

use super::{CodecError, MAX_SIDE};
use crate::{
    geometry::Extent,
    pixels::{Mask, Picture, luma::mask_from_luma},
};

/// Most memory that one decode may take: a 16-bit RGBA picture of the largest size, and some.
const MAX_BYTES: u64 = 3 << 30;

const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp];

/// Reads a picture file, turned upright by its EXIF orientation. Of an animation, the first
/// frame.
pub fn load_picture(path: &Path) -> Result<Picture, CodecError> {
    decode_picture(&read(path)?, &path.display().to_string())
}

/// Reads a mask file as Pillow's `convert("L")` does: the luma of its colours, and an alpha
/// channel is ignored.
pub fn load_mask(path: &Path) -> Result<Mask, CodecError> {
    decode_mask(&read(path)?, &path.display().to_string())
}

/// As [`load_picture`], from bytes in memory; `name` stands in messages.
pub fn decode_picture(bytes: &[u8], name: &str) -> Result<Picture, CodecError> {
    let image = eight_bits(decode(bytes, name)?).into_rgba8();
    let extent = Extent::new(image.width(), image.height());
    Ok(Picture { extent, data: image.into_raw() })
}

/// As [`load_mask`], from bytes in memory; `name` stands in messages.
pub fn decode_mask(bytes: &[u8], name: &str) -> Result<Mask, CodecError> {
    let image = eight_bits(decode(bytes, name)?);
    let extent = Extent::new(image.width(), image.height());
    if let DynamicImage::ImageLuma8(grey) = image {
        return Ok(Mask { extent, data: grey.into_raw() });
    }
    Ok(mask_from_luma(&Picture { extent, data: image.into_rgba8().into_raw() }))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CodecError> {
    std::fs::read(path)
        .map_err(|source| CodecError::Read { file: path.display().to_string(), source })
}

fn decode(bytes: &[u8], name: &str) -> Result<DynamicImage, CodecError> {
    let file = || name.to_owned();
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| CodecError::UnknownFormat { file: file() })?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| refusal(error, name))?;
    let (width, height) = decoder.dimensions();
    let extent = Extent::new(width, height);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(CodecError::TooLarge { file: file(), extent });
    }
    if extent.is_empty() {
        return Err(CodecError::Empty { file: file(), extent });
    }
    // A broken EXIF block is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refusal(error, name))?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Sides are checked by [`decode`], which can say how large the picture is.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

fn refusal(error: ImageError, name: &str) -> CodecError {
    let (file, reason) = (name.to_owned(), error.to_string());
    match error {
        ImageError::Unsupported(_) | ImageError::Limits(_) => {
            CodecError::Unsupported { file, reason }
        }
        _ => CodecError::Damaged { file, reason },
    }
}

/// 16-bit samples to 8 bits by their high byte. `image` itself rounds, which would differ from
/// Pillow by one level in half of all samples.
fn eight_bits(image: DynamicImage) -> DynamicImage {
    let high = |samples: Vec<u16>| samples.into_iter().map(|v| (v >> 8) as u8).collect::<Vec<_>>();
    let (width, height) = (image.width(), image.height());
    let converted = match image {
        DynamicImage::ImageLuma16(i) => {
            image::GrayImage::from_raw(width, height, high(i.into_raw()))
                .map(DynamicImage::ImageLuma8)
        }
        DynamicImage::ImageLumaA16(i) => {
            image::GrayAlphaImage::from_raw(width, height, high(i.into_raw()))
                .map(DynamicImage::ImageLumaA8)
        }
        DynamicImage::ImageRgb16(i) => image::RgbImage::from_raw(width, height, high(i.into_raw()))
            .map(DynamicImage::ImageRgb8),
        DynamicImage::ImageRgba16(i) => {
            image::RgbaImage::from_raw(width, height, high(i.into_raw()))
                .map(DynamicImage::ImageRgba8)
        }
        other => Some(other),
    };
    // The number of samples is that of the image they came from, so none is missing.
    converted.unwrap_or_else(|| DynamicImage::new_rgba8(width, height))
}
