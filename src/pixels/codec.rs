//! Reading and writing picture files.

use std::{io::Write, path::Path};

use super::{Mask, Picture};

/// The largest side, in pixels, of a picture that is read or written.
pub const MAX_SIDE: u32 = 16384;

/// Why a file could not be read or written; each message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{file}: {reason}")]
    Other { file: String, reason: String },
}

/// Key and value of a PNG text chunk, such as `parameters`.
pub type TextEntry = (String, String);

/// Reads a picture file, turned upright by its EXIF orientation.
pub fn load_picture(path: &Path) -> Result<Picture, CodecError> {
    let _ = path;
    todo!()
}

/// Reads a mask file as PIL's `convert("L")` does; an alpha channel is ignored.
pub fn load_mask(path: &Path) -> Result<Mask, CodecError> {
    let _ = path;
    todo!()
}

/// As [`load_picture`], from bytes in memory; `name` stands in messages.
pub fn decode_picture(bytes: &[u8], name: &str) -> Result<Picture, CodecError> {
    let _ = (bytes, name);
    todo!()
}

/// As [`load_mask`], from bytes in memory; `name` stands in messages.
pub fn decode_mask(bytes: &[u8], name: &str) -> Result<Mask, CodecError> {
    let _ = (bytes, name);
    todo!()
}

/// Writes a picture in the format of its extension, never half a file. `text` goes into PNG
/// files; other formats carry none.
pub fn save_picture(path: &Path, picture: &Picture, text: &[TextEntry]) -> Result<(), CodecError> {
    let _ = (path, picture, text);
    todo!()
}

/// Writes a mask as 8-bit grey in the format of its extension, never half a file.
pub fn save_mask(path: &Path, mask: &Mask) -> Result<(), CodecError> {
    let _ = (path, mask);
    todo!()
}

/// A PNG file in memory, with text chunks.
pub fn encode_png(picture: &Picture, text: &[TextEntry]) -> Result<Vec<u8>, CodecError> {
    let _ = (picture, text);
    todo!()
}

/// A grey PNG file in memory.
pub fn encode_mask_png(mask: &Mask) -> Result<Vec<u8>, CodecError> {
    let _ = mask;
    todo!()
}

/// The text chunks of a PNG file; empty for other formats.
pub fn read_text(path: &Path) -> Result<Vec<TextEntry>, CodecError> {
    let _ = path;
    todo!()
}

/// Writes a file under a temporary name beside `path` and renames it into place when `write` and
/// the flush to disk succeeded; on an error the temporary file is removed and `path` untouched.
pub fn save_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let _ = (path, write);
    todo!()
}
