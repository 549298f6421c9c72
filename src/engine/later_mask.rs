//! The mask of a later pass, at the sampling size.

use super::{
    EngineError, Request, Stage, Task, compositing::Composite, fill, plan::Plan, source,
    validate::check_mask_size,
};
use crate::{
    geometry::Bounds,
    pixels::{
        Mask,
        fit::resize_mask_and_fill,
        resize::{Filter, resize_mask},
    },
};

/// The stage's own mask, or the one of the first pass; none where nothing masked is repainted.
///
/// # Errors
/// If its own mask cannot be read, or is not of the size of the picture that is made.
pub fn later_mask(
    request: &Request,
    stage: &Stage,
    plan: &Plan,
    latent_pixels: u32,
) -> Result<Option<Mask>, EngineError> {
    if stage.task != Task::Fill {
        return Ok(None);
    }
    let Some(own) = &stage.mask else {
        return Ok(plan.masks.first().cloned().flatten());
    };
    let mask = fill::blurred(source::mask(own)?, request.mask_blur);
    Ok(Some(match &plan.composite {
        Composite::Overlay { crop: Some(crop), .. } => {
            resize_mask_and_fill(&mask.crop(*crop), plan.size)
        }
        Composite::Region { bounds, .. } => {
            fill::repainted(&part(&mask, *bounds)?, plan.size, latent_pixels)
        }
        Composite::Whole { extent } if !request.exact => {
            check_mask_size(*extent, mask.extent())?;
            fill::repainted(&mask, plan.size, latent_pixels)
        }
        Composite::Whole { .. } | Composite::Overlay { .. } => {
            resize_mask(&mask, plan.size, Filter::Lanczos)
        }
    }))
}

/// What lies in the part of the picture that is sampled.
fn part(mask: &Mask, bounds: Bounds) -> Result<Mask, EngineError> {
    if mask.extent().bounds().intersect(bounds) == bounds {
        return Ok(mask.crop(bounds));
    }
    Err(EngineError::invalid(format!(
        "its mask is {} pixels, smaller than the picture: they must have one size",
        mask.extent()
    )))
}
