//! Exemplar-based fill of a hole from the rest of the picture.

use std::ops::ControlFlow;

use super::{Mask, Picture};

/// How a hole is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FillOptions {
    /// Seed of the search; the same seed gives the same picture.
    pub seed: u64,
    /// Passes at each level of the pyramid; more is slower and settles better.
    pub iterations: usize,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self { seed: 0, iterations: 8 }
    }
}

/// How far a fill has come.
#[derive(Clone, Copy, Debug)]
pub struct FillProgress<'a> {
    /// 0 to 1.
    pub fraction: f32,
    /// The whole picture as it stands, in full size; outside the hole it is the original.
    pub picture: &'a Picture,
}

/// Why a hole could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    #[error("the mask is {mask}, the picture {picture}: they must have one size")]
    Extents { mask: crate::geometry::Extent, picture: crate::geometry::Extent },
    #[error(
        "nothing is left to fill from: the mask covers (nearly) all of the picture's opaque \
         part. Paint a smaller mask."
    )]
    NoSource,
    #[error("the fill was cancelled")]
    Cancelled,
}

/// Fills the pixels where `mask` is not 0 with patches from where it is 0; other pixels stay.
/// `observe` sees the picture after every pass and stops the work with `ControlFlow::Break`.
pub fn content_fill(
    picture: &Picture,
    mask: &Mask,
    options: &FillOptions,
    observe: &mut dyn FnMut(FillProgress<'_>) -> ControlFlow<()>,
) -> Result<Picture, FillError> {
    let _ = (picture, mask, options, observe);
    todo!()
}

/// Fills the hole smoothly from its border (push-pull); cheap, no texture.
pub fn smooth_fill(picture: &Picture, mask: &Mask) -> Picture {
    let _ = (picture, mask);
    todo!()
}
