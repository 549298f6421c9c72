//! How records lie in a file: a header with its own check, then the payload with another. A damaged
//! payload costs one record; a damaged header ends what can be read.

use std::io::{self, Read, Write};

/// What a journal's file begins with; the digit is the version.
pub const MAGIC: &[u8; 8] = b"OVPJRNL1";

/// Kind, id, length of the payload, check of the payload, check of what stands before.
pub const HEADER_BYTES: usize = 1 + 8 + 8 + 4 + 4;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tile of a picture, as PNG.
    PictureTile = 1,
    /// A tile of a mask, as PNG.
    MaskTile = 2,
    /// A whole picture, as PNG.
    Picture = 3,
    /// A whole mask, as PNG.
    Mask = 4,
    /// A step of the history, as JSON.
    Step = 5,
    /// Everything at one moment, as JSON; names the others.
    State = 6,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::PictureTile, Self::MaskTile, Self::Picture, Self::Mask, Self::Step, Self::State];
}

/// Names a record among those of its kind.
pub type Key = (Kind, u64);

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Key,
    /// Bytes of the payload.
    pub len: u64,
    check: u32,
}

impl Header {
    /// Of a payload.
    pub fn of(key: Key, payload: &[u8]) -> Self {
        Self { key, len: payload.len() as u64, check: crc32fast::hash(payload) }
    }

    /// Whether the payload is what was written.
    pub fn fits(&self, payload: &[u8]) -> bool {
        self.len == payload.len() as u64 && self.check == crc32fast::hash(payload)
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = self.key.0 as u8;
        bytes[1..9].copy_from_slice(&self.key.1.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.len.to_le_bytes());
        bytes[17..21].copy_from_slice(&self.check.to_le_bytes());
        let check = crc32fast::hash(&bytes[..21]);
        bytes[21..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let four = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).ok().map(u32::from_le_bytes);
        let eight =
            |at: usize| <[u8; 8]>::try_from(&bytes[at..at + 8]).ok().map(u64::from_le_bytes);
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == bytes[0])?;
        let header = Self { key: (kind, eight(1)?), len: eight(9)?, check: four(17)? };
        (four(21)? == crc32fast::hash(&bytes[..21])).then_some(header)
    }
}

/// Writes a record; its size in bytes.
pub fn write(to: &mut impl Write, key: Key, payload: &[u8]) -> io::Result<u64> {
    to.write_all(&Header::of(key, payload).to_bytes())?;
    to.write_all(payload)?;
    Ok((HEADER_BYTES + payload.len()) as u64)
}

/// The next header; `None` at the end and where none can be read.
pub fn read_header(from: &mut impl Read) -> Option<Header> {
    let mut bytes = [0; HEADER_BYTES];
    from.read_exact(&mut bytes).ok()?;
    Header::from_bytes(&bytes)
}
