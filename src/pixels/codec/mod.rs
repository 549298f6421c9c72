//! Reading and writing picture files.
//!
//! Read: PNG, JPEG, WebP, TIFF and BMP, told apart by content. Written: the same, by extension,
//! through [`save_atomically`]. Everything becomes 8-bit sRGB: of 16-bit samples the high byte is
//! taken (as Pillow does for colour), colour profiles are ignored (as the reference does), and
//! EXIF orientation is applied.

mod atomic;
mod decode;
mod encode;
mod text;

#[cfg(test)]
mod tests;

use crate::geometry::Extent;

pub use atomic::save_atomically;
pub use decode::{decode_mask, decode_picture, load_mask, load_picture};
pub use encode::{encode_mask_png, encode_png, save_mask, save_picture};
pub use text::{TextEntry, decode_text, read_text};

/// The largest side, in pixels, of a picture that is read.
pub const MAX_SIDE: u32 = 16384;

/// Why a file could not be read or written; each message names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{file} could not be read: {source}")]
    Read { file: String, source: std::io::Error },
    #[error(
        "{file} is not a picture in a format that is read here: use PNG, JPEG, WebP, TIFF or BMP"
    )]
    UnknownFormat { file: String },
    #[error(
        "{file} is {extent}; pictures up to {MAX_SIDE} pixels a side are read: reduce it first"
    )]
    TooLarge { file: String, extent: Extent },
    #[error("{file} holds no pixels ({extent})")]
    Empty { file: String, extent: Extent },
    #[error("{file} is damaged or cut short ({reason}): fetch or export it again")]
    Damaged { file: String, reason: String },
    #[error(
        "{file} uses a feature that is not read here ({reason}): save it as an 8-bit PNG first"
    )]
    Unsupported { file: String, reason: String },
    #[error(
        "{file}: the name must end in .png, .jpg, .webp, .tif or .bmp, which chooses the format"
    )]
    Extension { file: String },
    #[error("{file} could not be encoded ({reason}): another format may hold it, PNG for one")]
    Encode { file: String, reason: String },
    #[error("{file} could not be written: {source}")]
    Write { file: String, source: std::io::Error },
}
