//! How a generated piece is put into the picture: the two masks, the match of its colours, the
//! seam, and the composite. All of it is a function of the piece as the model made it, so that it
//! can be done anew, with other settings, for as long as the piece is kept.

mod color_match;
mod composite;
mod edge;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::{
    composite::composite,
    edge::{Edge, EdgePx, EdgeWidth, Masks},
};
use super::{Mask, Picture, seam};
use crate::geometry::{Bounds, Extent};

/// What is done about a difference in shade that is left at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seam {
    /// Nothing: the soft edge alone hides it.
    Feather,
    /// A smooth offset moves the shade of the piece ([`seam::meet`]).
    #[default]
    Match,
}

/// How a piece is put into the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blend {
    pub edge: Edge,
    /// Whether the colours of the piece are brought to those of the picture, by what both have
    /// outside the mask.
    pub color_match: bool,
    pub seam: Seam,
    /// How much of the piece is taken where the mask is full, 0 to 1.
    pub opacity: f32,
}

impl Default for Blend {
    /// Through the mask as it is.
    fn default() -> Self {
        Self { edge: Edge::default(), color_match: true, seam: Seam::default(), opacity: 1.0 }
    }
}

/// Sides of a piece at which the picture goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InnerSides {
    pub left: bool,
    pub top: bool,
    pub right: bool,
    pub bottom: bool,
}

impl InnerSides {
    /// Those of a part of a picture.
    pub fn of(part: Bounds, picture: Extent) -> Self {
        Self {
            left: part.x > 0,
            top: part.y > 0,
            right: part.right() < picture.width as i32,
            bottom: part.bottom() < picture.height as i32,
        }
    }
}

/// What is to be filled: all that the two masks depend on besides their widths.
#[derive(Clone, Debug)]
pub struct Hole {
    /// As the artist left it, at the piece's place; grey is taken in part.
    pub painted: Arc<Mask>,
    /// Of the run, 0 to 1: automatic widths follow it.
    pub strength: f64,
    pub inner_sides: InnerSides,
}

impl Hole {
    /// The two masks for these widths.
    pub fn masks(&self, edge: Edge) -> Masks {
        let widths = edge.px(self.painted.bounding_box().unwrap_or_default(), self.strength);
        Masks::new(&self.painted, widths, self.inner_sides)
    }
}

/// A piece as the model made it, and where it belongs.
#[derive(Clone, Debug)]
pub struct Inlay {
    /// Before any blend, at the size of its place.
    pub raw: Arc<Picture>,
    pub hole: Hole,
}

/// A piece, ready to be laid over the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Blended {
    /// Colours and shade matched.
    pub layer: Picture,
    /// How much of it is taken. Where it is 0 the picture stays as it is.
    pub composite_mask: Mask,
}

impl Inlay {
    /// Blends the piece into `original`, the picture at its place and of its size.
    pub fn blended(&self, original: &Picture, blend: &Blend) -> Blended {
        let masks = self.hole.masks(blend.edge);
        let layer = blend.layer(original, &self.raw, &masks);
        Blended { layer, composite_mask: blend.coverage(&masks) }
    }
}

impl Blend {
    /// `raw` with its colours and its shade brought to those of `original`, all of one extent.
    /// Outside the composite mask its bytes mean nothing.
    pub fn layer(&self, original: &Picture, raw: &Picture, masks: &Masks) -> Picture {
        let mut layer = raw.clone();
        if self.color_match {
            color_match::apply(original, &mut layer, masks);
        }
        match self.seam {
            Seam::Feather => layer,
            Seam::Match => seam::meet(original, &layer, &masks.composite),
        }
    }

    /// The composite mask at this opacity.
    pub fn coverage(&self, masks: &Masks) -> Mask {
        let mut mask = masks.composite.clone();
        let opacity = self.opacity.clamp(0.0, 1.0);
        if opacity < 1.0 {
            let values = mask.bytes_mut().iter_mut();
            values.for_each(|v| *v = (f32::from(*v) * opacity).round() as u8);
        }
        mask
    }
}

#[cfg(test)]
mod tests;
