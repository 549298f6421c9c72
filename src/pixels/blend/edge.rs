//! The two masks of a fill. What is sampled reaches further than what is painted, and what is
//! taken of it ends softly inside that: the edge blends between two finished pictures.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::InnerSides;
use crate::{
    geometry::Bounds,
    pixels::{
        Mask,
        blur::{box_blur_mask, gaussian_blur_mask},
        morphology::{grow, shrink},
    },
};

/// A width at the mask's edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EdgeWidth {
    /// Follows the size of the mask and the strength.
    Auto,
    /// In pixels of the picture, 0 or more.
    Px(f32),
}

impl EdgeWidth {
    /// The widest that is taken, in pixels.
    pub const MAX_PX: f32 = 512.0;

    fn or(self, automatic: f64) -> f32 {
        match self {
            Self::Auto => automatic as f32,
            Self::Px(px) => px.clamp(0.0, Self::MAX_PX),
        }
    }
}

impl std::str::FromStr for EdgeWidth {
    type Err = String;

    /// `auto` or pixels.
    fn from_str(text: &str) -> Result<Self, String> {
        let px = text.parse::<f32>().ok().filter(|px| (0.0..=Self::MAX_PX).contains(px));
        match (text, px) {
            ("auto", _) => Ok(Self::Auto),
            (_, Some(px)) => Ok(Self::Px(px)),
            _ => Err(format!("`{text}` is no width: auto, or pixels from 0 to {}", Self::MAX_PX)),
        }
    }
}

impl Serialize for EdgeWidth {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Px(px) => to.serialize_f32(*px),
        }
    }
}

impl<'de> Deserialize<'de> for EdgeWidth {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f32),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Number(px) => px.to_string(),
            Written::Word(word) => word,
        }
        .parse()
        .map_err(D::Error::custom)
    }
}

/// The widths of a mask's edge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// How far the sampled part reaches beyond the painted one.
    pub grow: EdgeWidth,
    /// How wide the edge of the sampled part is, outwards from half way.
    pub feather: EdgeWidth,
    /// How wide the band is in which the result fades into the picture, at the outer end of the
    /// sampled part.
    pub fade: EdgeWidth,
}

impl Default for Edge {
    /// As painted.
    fn default() -> Self {
        let none = EdgeWidth::Px(0.0);
        Self { grow: none, feather: none, fade: none }
    }
}

impl Edge {
    pub const AUTO: Self =
        Self { grow: EdgeWidth::Auto, feather: EdgeWidth::Auto, fade: EdgeWidth::Auto };

    /// The widths around a painted part inside `painted` at a strength from 0 to 1. Automatic
    /// ones: with D the diagonal and s the strength, feather F = max(floor(0.1 s D), round(32 s)),
    /// grow G = 4 + floor(F / 2), fade = min(25, G + floor(F / 2)).
    pub fn px(&self, painted: Bounds, strength: f64) -> EdgePx {
        let diagonal = f64::from(painted.width).hypot(f64::from(painted.height));
        let automatic = (0.1 * strength * diagonal).floor().max((32.0 * strength).round());
        let feather = self.feather.or(automatic);
        let half = f64::from((feather / 2.0).floor());
        let grow = self.grow.or(4.0 + half);
        let fade = self.fade.or((f64::from(grow) + half).min(25.0));
        EdgePx { grow, feather, fade }
    }
}

/// The same in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgePx {
    pub grow: f32,
    pub feather: f32,
    pub fade: f32,
}

impl EdgePx {
    /// How far beyond the painted part anything is sampled.
    pub fn reach(self) -> f32 {
        self.grow + (self.feather / 2.0).floor()
    }
}

/// The two masks of a fill, of one extent.
#[derive(Clone, Debug)]
pub struct Masks {
    /// What is sampled: 255 over all that is painted fully, falling off outside it.
    pub denoise: Mask,
    /// What is taken of the result. Not 0 only where `denoise` is not.
    pub composite: Mask,
}

impl Masks {
    /// The masks around what is painted. Grey stays grey.
    pub fn new(painted: &Mask, widths: EdgePx, inner_sides: InnerSides) -> Self {
        let support = match widths.reach() {
            0.0 => painted.clone(),
            reach => grow(painted, reach),
        };
        let mut composite = support.clone();
        if widths.fade > 0.0 {
            // Three boxes end at three standard deviations: the band is as wide as was asked for.
            composite = shrink(&support, widths.fade / 2.0);
            composite = gaussian_blur_mask(&composite, widths.fade / 6.0);
            fade_at(&mut composite, inner_sides, widths.fade);
            combine(&mut composite, &support, u8::min);
        }
        let mut denoise = match widths.feather {
            0.0 => support,
            feather => box_blur_mask(&grow(painted, widths.grow), feather / 2.0),
        };
        combine(&mut denoise, &composite, |denoise, composite| match composite {
            0 => denoise,
            _ => denoise.max(1),
        });
        combine(&mut denoise, painted, u8::max);
        Self { denoise, composite }
    }
}

fn combine(mask: &mut Mask, other: &Mask, how: impl Fn(u8, u8) -> u8) {
    mask.bytes_mut().iter_mut().zip(other.bytes()).for_each(|(a, &b)| *a = how(*a, b));
}

/// Lets the mask end within `width` pixels before the sides behind which the picture goes on: what
/// reaches one of them would end there in a line.
fn fade_at(mask: &mut Mask, sides: InnerSides, width: f32) {
    let extent = mask.extent();
    let ramp = |at: u32, size: u32, first: bool, last: bool| {
        let from = |inner: bool, distance: u32| match inner {
            true => (distance as f32 + 0.5) / width,
            false => 1.0,
        };
        from(first, at).min(from(last, size - 1 - at)).min(1.0)
    };
    let across: Vec<f32> =
        (0..extent.width).map(|x| ramp(x, extent.width, sides.left, sides.right)).collect();
    for y in 0..extent.height {
        let down = ramp(y, extent.height, sides.top, sides.bottom);
        for (value, across) in mask.row_mut(y).iter_mut().zip(&across) {
            let share = across.min(down);
            if share < 1.0 {
                *value = (f32::from(*value) * share) as u8;
            }
        }
    }
}
