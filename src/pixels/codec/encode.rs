//! From [`Picture`] and [`Mask`] to files.

use std::{io::Cursor, path::Path};

use image::{
    ExtendedColorType, ImageEncoder, ImageFormat,
    codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, tiff::TiffEncoder, webp::WebPEncoder},
};

use super::{
    CodecError, save_atomically,
    text::{TextEntry, write_text},
};
use crate::{
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// Few artefacts, and still a quarter of a PNG's size.
const JPEG_QUALITY: u8 = 95;

/// Writes a picture in the format of its extension (png, jpg, webp without loss, tif, bmp), never
/// half a file. `text` goes into PNG files; other formats carry none. JPEG knows no alpha:
/// transparent parts become white.
pub fn save_picture(path: &Path, picture: &Picture, text: &[TextEntry]) -> Result<(), CodecError> {
    let format = format_of(path)?;
    let pixels = Samples::from_picture(picture, format == ImageFormat::Jpeg);
    save(path, format, &pixels, text)
}

/// Writes a mask as 8-bit grey in the format of its extension, never half a file.
pub fn save_mask(path: &Path, mask: &Mask) -> Result<(), CodecError> {
    let format = format_of(path)?;
    // The WebP encoder knows no grey.
    let pixels = match format {
        ImageFormat::WebP => Samples {
            extent: mask.extent(),
            color: ExtendedColorType::Rgb8,
            data: mask.bytes().iter().flat_map(|&v| [v; 3]).collect(),
        },
        _ => Samples::from_mask(mask),
    };
    save(path, format, &pixels, &[])
}

/// A PNG file in memory, with text chunks; without alpha when every pixel is opaque.
pub fn encode_png(picture: &Picture, text: &[TextEntry]) -> Result<Vec<u8>, CodecError> {
    png_file(&Samples::from_picture(picture, false), text, "the picture")
}

/// A grey PNG file in memory.
pub fn encode_mask_png(mask: &Mask) -> Result<Vec<u8>, CodecError> {
    png_file(&Samples::from_mask(mask), &[], "the mask")
}

/// Pixels in a layout that encoders take.
struct Samples {
    extent: Extent,
    color: ExtendedColorType,
    data: Vec<u8>,
}

impl Samples {
    /// RGB when the picture is opaque or `flatten` puts it on white, RGBA otherwise.
    fn from_picture(picture: &Picture, flatten: bool) -> Self {
        let extent = picture.extent();
        let opaque = picture.bytes().chunks_exact(4).all(|p| p[3] == 255);
        if !opaque && !flatten {
            let data = picture.bytes().to_vec();
            return Self { extent, color: ExtendedColorType::Rgba8, data };
        }
        let data = picture.bytes().chunks_exact(4).flat_map(on_white).collect();
        Self { extent, color: ExtendedColorType::Rgb8, data }
    }

    fn from_mask(mask: &Mask) -> Self {
        let data = mask.bytes().to_vec();
        Self { extent: mask.extent(), color: ExtendedColorType::L8, data }
    }
}

fn on_white(p: &[u8]) -> [u8; 3] {
    let alpha = u32::from(p[3]);
    let over = |c: u8| ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
    [over(p[0]), over(p[1]), over(p[2])]
}

fn format_of(path: &Path) -> Result<ImageFormat, CodecError> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => Ok(ImageFormat::Png),
        "jpg" | "jpeg" => Ok(ImageFormat::Jpeg),
        "webp" => Ok(ImageFormat::WebP),
        "tif" | "tiff" => Ok(ImageFormat::Tiff),
        "bmp" => Ok(ImageFormat::Bmp),
        _ => Err(CodecError::Extension { file: path.display().to_string() }),
    }
}

fn save(
    path: &Path,
    format: ImageFormat,
    pixels: &Samples,
    text: &[TextEntry],
) -> Result<(), CodecError> {
    let file = path.display().to_string();
    let bytes = match format {
        ImageFormat::Png => png_file(pixels, text, &file)?,
        _ => other_file(format, pixels).map_err(|error| CodecError::Encode {
            file: file.clone(),
            reason: error.to_string(),
        })?,
    };
    save_atomically(path, |writer| writer.write_all(&bytes))
        .map_err(|source| CodecError::Write { file, source })
}

fn other_file(format: ImageFormat, pixels: &Samples) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = (pixels.extent.width, pixels.extent.height);
    let (data, color) = (pixels.data.as_slice(), pixels.color);
    match format {
        ImageFormat::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(data, width, height, color)?,
        ImageFormat::WebP => {
            WebPEncoder::new_lossless(&mut bytes).write_image(data, width, height, color)?;
        }
        ImageFormat::Tiff => {
            TiffEncoder::new(Cursor::new(&mut bytes)).write_image(data, width, height, color)?
        }
        _ => BmpEncoder::new(&mut bytes).write_image(data, width, height, color)?,
    }
    Ok(bytes)
}

fn png_file(pixels: &Samples, text: &[TextEntry], file: &str) -> Result<Vec<u8>, CodecError> {
    write_png(pixels, text)
        .map_err(|error| CodecError::Encode { file: file.to_owned(), reason: error.to_string() })
}

fn write_png(pixels: &Samples, text: &[TextEntry]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.extent.width, pixels.extent.height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match pixels.color {
        ExtendedColorType::L8 => png::ColorType::Grayscale,
        ExtendedColorType::Rgb8 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    write_text(&mut encoder, text)?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels.data)?;
    writer.finish()?;
    Ok(bytes)
}
