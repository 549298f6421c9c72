//! Text chunks of PNG files: how settings travel with a picture.

use std::{
    io::{Cursor, Write},
    path::Path,
};

use super::{CodecError, decode::read};

/// Key and value of a text chunk, such as `parameters`. Keys are Latin-1, 1 to 79 characters.
pub type TextEntry = (String, String);

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The text chunks of a PNG file, in the order tEXt, zTXt, iTXt; none for other formats.
pub fn read_text(path: &Path) -> Result<Vec<TextEntry>, CodecError> {
    decode_text(&read(path)?, &path.display().to_string())
}

/// As [`read_text`], from bytes in memory; `name` stands in messages.
pub fn decode_text(bytes: &[u8], name: &str) -> Result<Vec<TextEntry>, CodecError> {
    if !bytes.starts_with(SIGNATURE) {
        return Ok(Vec::new());
    }
    let damaged = |error: png::DecodingError| CodecError::Damaged {
        file: name.to_owned(),
        reason: error.to_string(),
    };
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(damaged)?;
    // Some programs write their text after the pixels.
    reader.finish().map_err(damaged)?;
    let info = reader.info();
    let mut entries = Vec::new();
    for chunk in &info.uncompressed_latin1_text {
        entries.push((chunk.keyword.clone(), chunk.text.clone()));
    }
    // A compressed chunk that cannot be read is left out: the others are still of use.
    for chunk in &info.compressed_latin1_text {
        entries.extend(chunk.get_text().ok().map(|text| (chunk.keyword.clone(), text)));
    }
    for chunk in &info.utf8_text {
        entries.extend(chunk.get_text().ok().map(|text| (chunk.keyword.clone(), text)));
    }
    Ok(entries)
}

/// Latin-1 values become tEXt, as every tool of this field reads them, others iTXt.
pub(super) fn write_text<W: Write>(
    encoder: &mut png::Encoder<'_, W>,
    text: &[TextEntry],
) -> Result<(), png::EncodingError> {
    for (key, value) in text {
        if value.chars().all(|c| u32::from(c) < 256) {
            encoder.add_text_chunk(key.clone(), value.clone())?;
        } else {
            encoder.add_itxt_chunk(key.clone(), value.clone())?;
        }
    }
    Ok(())
}
