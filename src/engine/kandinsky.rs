//! What the reference's pipelines of Kandinsky 2.2 do that its others do not: their sizes, and how
//! they resize pictures.

use super::{EngineError, Request, Task, plan::ModelFacts, validate::check_side};
use crate::{
    geometry::Extent,
    pixels::{
        Picture,
        resize::{Filter, resize_picture_by_blocks},
    },
};

/// What an exact run samples at. New pictures: the named sides rounded up, and so is the result.
/// Inpainting: the named sides, which must not need that. Image-to-image: cut down to whole latents,
/// with width and height in each other's place.
///
/// # Errors
/// If a side does not suit the pipeline or the network.
pub fn exact_size(request: &Request, model: ModelFacts) -> Result<Extent, EngineError> {
    let named = |side: Option<u32>| side.unwrap_or(model.reference);
    let (width, height) = (named(request.width), named(request.height));
    let latent = model.latent_pixels;
    // The reference squares the autoencoder's factor; that is 64 for one of 8.
    let unit = latent * latent;
    let size = match request.task {
        Task::Generate => Extent::new(width.div_ceil(unit) * unit, height.div_ceil(unit) * unit),
        Task::Fill => {
            check_side("width", width, unit)?;
            check_side("height", height, unit)?;
            Extent::new(width, height)
        }
        Task::Transform => Extent::new(height / latent * latent, width / latent * latent),
    };
    for (what, side) in [("width", size.width), ("height", size.height)] {
        check_side(&format!("the {what} that is sampled"), side, model.side_unit)?;
    }
    Ok(size)
}

/// A picture at the sampling size, as these pipelines bring it there.
pub fn resized(picture: &Picture, size: Extent) -> Picture {
    resize_picture_by_blocks(picture, size, Filter::Bicubic)
}
