//! How what the model made goes onto the picture. Previews and the final picture go through the
//! same [`Composite`], so what forms on the canvas is what lands.

use std::sync::Arc;

use super::{Generated, Request, Task};
use crate::{
    geometry::{Bounds, Extent},
    pixels::{
        Mask, Picture,
        blend::{Blend, Hole, Inlay, Masks, composite},
        overlay::apply_overlay,
        resize::{Filter, resize_picture},
    },
};

/// What happens to a picture as the model made it.
pub enum Composite {
    /// It stands for itself, resized to this extent.
    Whole { extent: Extent },
    /// It replaces a part of the picture through a mask.
    Region {
        /// The picture's part inside `bounds`.
        original: Picture,
        /// Where it lies in the document.
        bounds: Bounds,
        /// Of the same extent; without one the whole part is replaced.
        through: Option<Through>,
    },
    /// The reference's overlay: the whole original pasted back, `times` over.
    Overlay { original: Picture, mask: Mask, crop: Option<Bounds>, times: usize },
}

/// What a part is blended through.
pub struct Through {
    hole: Hole,
    blend: Blend,
    masks: Masks,
    /// The composite mask at the blend's opacity.
    coverage: Arc<Mask>,
}

impl Through {
    pub fn new(hole: Hole, blend: Blend) -> Self {
        let masks = hole.masks(blend.edge);
        let coverage = Arc::new(blend.coverage(&masks));
        Self { hole, blend, masks, coverage }
    }

    /// What is to be sampled.
    pub fn denoise_mask(&self) -> &Mask {
        &self.masks.denoise
    }

    /// Blends a piece, of the size of its place, into the picture there.
    pub fn apply(&self, original: &Picture, bounds: Bounds, raw: Picture) -> Generated {
        let layer = Arc::new(self.blend.layer(original, &raw, &self.masks));
        let picture = Arc::new(composite(original, &layer, &self.coverage));
        let inlay = Inlay { raw: Arc::new(raw), hole: self.hole.clone() };
        Generated {
            bounds,
            layer,
            composite_mask: Some(Arc::clone(&self.coverage)),
            inlay: Some((inlay, self.blend)),
            picture,
        }
    }
}

impl Composite {
    /// Puts `made` where it belongs.
    pub fn apply(&self, made: Picture) -> Generated {
        match self {
            Self::Whole { extent } => whole(fitted(made, *extent), extent.bounds()),
            Self::Region { original, bounds, through } => {
                let raw = fitted(made, bounds.extent());
                match through {
                    Some(through) => through.apply(original, *bounds, raw),
                    None => whole(raw, *bounds),
                }
            }
            Self::Overlay { original, mask, crop, times } => {
                let mut picture = apply_overlay(mask, original, &made, *crop);
                for _ in 1..*times {
                    picture = apply_overlay(mask, original, &picture, None);
                }
                whole(picture, original.extent().bounds())
            }
        }
    }
}

/// The whole picture that a request's result stands for: a fill's part put into `original`,
/// otherwise (and in exact mode) the result itself.
pub fn placed(request: &Request, original: Option<&Picture>, made: &Generated) -> Picture {
    let Some(original) = original.filter(|_| request.task == Task::Fill && !request.exact) else {
        return made.picture.as_ref().clone();
    };
    let mut whole = original.clone();
    let inside = made.bounds.intersect(original.extent().bounds());
    let part = made.picture.crop(Bounds::new(
        inside.x - made.bounds.x,
        inside.y - made.bounds.y,
        inside.width,
        inside.height,
    ));
    let start = inside.x as usize * Picture::CHANNELS;
    for y in 0..inside.height {
        let row = part.row(y);
        whole.row_mut(inside.y as u32 + y)[start..start + row.len()].copy_from_slice(row);
    }
    whole
}

/// A picture without a blend.
fn whole(picture: Picture, bounds: Bounds) -> Generated {
    let picture = Arc::new(picture);
    Generated { bounds, layer: Arc::clone(&picture), composite_mask: None, inlay: None, picture }
}

fn fitted(picture: Picture, extent: Extent) -> Picture {
    if picture.extent() == extent {
        return picture;
    }
    resize_picture(&picture, extent, Filter::Lanczos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::blend::{InnerSides, Seam};

    fn filled(extent: Extent, pixel: [u8; 4]) -> Picture {
        Picture::from_raw(extent, pixel.repeat(extent.area())).unwrap()
    }

    #[test]
    fn a_region_keeps_every_byte_outside_the_mask() {
        let extent = Extent::new(3, 1);
        let mask = Arc::new(Mask::from_raw(extent, vec![0, 128, 255]).unwrap());
        let region = Composite::Region {
            // Transparent pixels keep their hidden colour where nothing was painted.
            original: filled(extent, [10, 20, 30, 0]),
            bounds: Bounds::new(5, 6, 3, 1),
            through: Some(Through::new(
                Hole { painted: mask, strength: 1.0, inner_sides: InnerSides::default() },
                Blend { color_match: false, seam: Seam::Feather, ..Blend::default() },
            )),
        };
        let made = region.apply(filled(Extent::new(24, 8), [200, 100, 50, 255]));
        assert_eq!(made.bounds, Bounds::new(5, 6, 3, 1));
        assert_eq!(made.layer.extent(), extent);
        assert_eq!(made.picture.pixel(0, 0), [10, 20, 30, 0]);
        assert_eq!(made.picture.pixel(2, 0), [200, 100, 50, 255]);
    }

    #[test]
    fn without_a_mask_the_whole_region_is_replaced() {
        let extent = Extent::new(2, 2);
        let region = Composite::Region {
            original: filled(extent, [1, 2, 3, 255]),
            bounds: extent.bounds(),
            through: None,
        };
        let made = region.apply(filled(extent, [9, 8, 7, 255]));
        assert_eq!(made.picture.bytes(), [9, 8, 7, 255].repeat(4));
        assert!(made.composite_mask.is_none());
    }
}
