//! Picture and mask buffers and what can be done to them without knowing what they are for.
//!
//! Colours are sRGB, 8 bits, straight (not premultiplied) alpha, unless a name says linear.

pub mod blend;
pub mod blur;
pub mod codec;
pub mod color;
pub mod content_fill;
pub mod crop_region;
pub mod fit;
pub mod luma;
pub mod morphology;
pub mod overlay;
pub mod resize;
pub mod seam;

#[cfg(test)]
mod reference_tests;

use crate::geometry::{Bounds, Extent};

/// A picture: RGBA, 8 bits a channel, sRGB, straight alpha, rows from the top, no padding.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Picture {
    extent: Extent,
    data: Vec<u8>,
}

/// Coverage: one byte a pixel, 0 keeps the picture, 255 repaints it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Mask {
    extent: Extent,
    data: Vec<u8>,
}

macro_rules! buffer {
    ($name:ident, $channels:literal) => {
        impl $name {
            /// Bytes a pixel.
            pub const CHANNELS: usize = $channels;

            /// All bytes zero.
            pub fn new(extent: Extent) -> Self {
                Self { extent, data: vec![0; extent.area() * $channels] }
            }

            /// From raw bytes, rows from the top; `None` if their number does not fit the extent.
            pub fn from_raw(extent: Extent, data: Vec<u8>) -> Option<Self> {
                (data.len() == extent.area() * $channels).then_some(Self { extent, data })
            }

            pub fn extent(&self) -> Extent {
                self.extent
            }

            pub fn bytes(&self) -> &[u8] {
                &self.data
            }

            pub fn bytes_mut(&mut self) -> &mut [u8] {
                &mut self.data
            }

            pub fn into_bytes(self) -> Vec<u8> {
                self.data
            }

            /// One pixel's bytes. Panics outside the extent, as indexing does.
            pub fn pixel(&self, x: u32, y: u32) -> &[u8] {
                let at = (y as usize * self.extent.width as usize + x as usize) * $channels;
                &self.data[at..at + $channels]
            }

            pub fn row(&self, y: u32) -> &[u8] {
                let stride = self.extent.width as usize * $channels;
                &self.data[y as usize * stride..(y as usize + 1) * stride]
            }

            pub fn row_mut(&mut self, y: u32) -> &mut [u8] {
                let stride = self.extent.width as usize * $channels;
                &mut self.data[y as usize * stride..(y as usize + 1) * stride]
            }

            /// The part inside `bounds`; what lies outside the buffer is zero.
            pub fn crop(&self, bounds: Bounds) -> Self {
                let mut out = Self::new(bounds.extent());
                let inside = bounds.intersect(self.extent.bounds());
                if inside.is_empty() {
                    return out;
                }
                for y in inside.y..inside.bottom() {
                    let from = inside.x as usize * $channels;
                    let to = (inside.x - bounds.x) as usize * $channels;
                    let len = inside.width as usize * $channels;
                    out.row_mut((y - bounds.y) as u32)[to..to + len]
                        .copy_from_slice(&self.row(y as u32)[from..from + len]);
                }
                out
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.extent)
            }
        }
    };
}

buffer!(Picture, 4);
buffer!(Mask, 1);

impl Mask {
    /// The smallest rectangle around every pixel that is not zero; `None` when there is none.
    pub fn bounding_box(&self) -> Option<Bounds> {
        let mut found = Bounds::default();
        for y in 0..self.extent.height {
            let row = self.row(y);
            let Some(first) = row.iter().position(|&v| v != 0) else { continue };
            let last = row.iter().rposition(|&v| v != 0).unwrap_or(first);
            found = found.union(Bounds::from_corners(
                first as i32,
                y as i32,
                last as i32 + 1,
                y as i32 + 1,
            ));
        }
        (!found.is_empty()).then_some(found)
    }
}
