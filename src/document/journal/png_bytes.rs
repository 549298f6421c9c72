//! Pixels as PNG: quick to write, and of a size that is known before anything is read.

use std::io::{self, Cursor};

use png::{BitDepth, ColorType, Compression};

use crate::geometry::Extent;

/// Rows without padding, `channels` (1 or 4) bytes a pixel, as a PNG file.
pub fn encode(extent: Extent, channels: usize, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, extent.width, extent.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(color(channels));
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(file)
}

/// What [`encode`] was given; `None` for a file of another size or kind, or a damaged one. Takes no
/// more memory than a file of this size needs.
pub fn decode(file: &[u8], extent: Extent, channels: usize) -> Option<Vec<u8>> {
    let wanted = extent.area().checked_mul(channels)?;
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
    let fits = reader.info().size() == (extent.width, extent.height)
        && reader.output_color_type() == (color(channels), BitDepth::Eight)
        && reader.output_buffer_size() == Some(wanted);
    if !fits {
        return None;
    }
    let mut bytes = vec![0; wanted];
    reader.next_frame(&mut bytes).ok()?;
    Some(bytes)
}

fn color(channels: usize) -> ColorType {
    if channels == 1 { ColorType::Grayscale } else { ColorType::Rgba }
}
