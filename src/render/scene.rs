//! What one frame of the canvas shows.

use std::sync::Arc;

use crate::{
    document::{MaskTiles, PictureTiles},
    geometry::{Bounds, Extent, Point, View},
    pixels::{Mask, Picture},
};

/// Everything that one frame of the canvas depends on. Cheap to make: tiles and pictures are
/// handles.
///
/// Colours are sRGB, 8 bits, straight alpha. Lengths are screen points unless a name says `px`.
#[derive(Clone)]
pub struct Scene {
    /// The picture being edited, without any result on it.
    pub picture: PictureTiles,
    /// The painted mask, of the picture's extent.
    pub mask: MaskTiles,
    /// Where the picture lies in the window. Its corner is rounded to a whole physical pixel, so
    /// that at 1:1 each picture pixel is exactly one pixel of the screen.
    pub view: View,
    /// The part of the window that the canvas covers.
    pub viewport_px: Viewport,
    /// Physical pixels per screen point.
    pub pixels_per_point: f32,
    /// What lies around the picture; alpha is ignored.
    pub background: [u8; 3],
    /// How the mask is shown.
    pub overlay: MaskOverlay,
    /// A result or a preview that lies on the picture and is not yet part of it.
    pub staged: Option<StagedLayer>,
    /// Which side of before and after is shown.
    pub compare: Compare,
    /// The brush outline, while the pointer is over the canvas with a brush in hand.
    pub cursor: Option<Cursor>,
}

impl Scene {
    /// A picture with its mask, 1:1 at the window's corner, and nothing else.
    pub fn new(picture: PictureTiles, mask: MaskTiles, viewport_px: Viewport) -> Self {
        Self {
            picture,
            mask,
            view: View { zoom: 1.0, offset: Point::new(0.0, 0.0) },
            viewport_px,
            pixels_per_point: 1.0,
            background: [40, 40, 43],
            overlay: MaskOverlay::default(),
            staged: None,
            compare: Compare::After,
            cursor: None,
        }
    }
}

/// A rectangle of the render target in physical pixels, from its top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewport {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Viewport {
    /// A whole render target.
    pub const fn whole(extent: Extent) -> Self {
        Self { x: 0, y: 0, width: extent.width, height: extent.height }
    }
}

/// How the mask lies over the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskOverlay {
    pub visible: bool,
    pub colour: [u8; 3],
    /// 0 to 1, at full coverage.
    pub opacity: f32,
    /// Shows the mask as the Gaussian blur of this radius (picture pixels) leaves it; 0 shows it
    /// as painted. Equals [`crate::pixels`]' blur at 1:1 and closer, and approximates it further
    /// out, where both mask and radius are scaled down by the same power of two.
    pub blur_radius_px: f32,
    /// Colour where the mask is absent instead of where it is.
    pub inverted: bool,
    /// A dashed line where coverage crosses one half. The number is the dashes' phase in screen
    /// points: let it grow with time and the ants march.
    pub outline_phase: Option<f32>,
}

impl Default for MaskOverlay {
    fn default() -> Self {
        Self {
            visible: true,
            colour: [255, 0, 0],
            opacity: 0.5,
            blur_radius_px: 0.0,
            inverted: false,
            outline_phase: None,
        }
    }
}

/// A picture that lies on the document's picture.
#[derive(Clone)]
pub struct StagedLayer {
    /// Where it lies, in picture pixels.
    pub bounds: Bounds,
    /// Its pixels, of the size of `bounds`. Its alpha is respected.
    pub picture: Arc<Picture>,
    /// If given (of the size of `bounds`), the picture is blended over the original through it by
    /// the same rule as [`crate::pixels`]' composite. Without it only the picture's alpha counts.
    pub coverage: Option<Arc<Mask>>,
    /// Names the contents: the pixels are uploaded again when it changes. Count from 1, and never
    /// reuse one for other contents.
    pub version: u64,
}

/// Which side of before and after is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Compare {
    /// The staged layer lies on the picture.
    #[default]
    After,
    /// The picture alone.
    Before,
    /// Before left of this column of the window (screen points), after right of it.
    Wipe { x: f32 },
}

/// The outline of the brush.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    /// In screen points.
    pub centre: Point,
    /// In screen points.
    pub radius: f32,
    /// 0 to 1: how much of the radius is at full strength; drawn as an inner ring.
    pub hardness: f32,
}
