//! What is sampled, at which size, and how it goes back onto the picture: a request, read.

use super::{
    EngineError, Monitor, Request, Task, compositing::Composite, context_area::MULTIPLE,
    control::ControlPicture, fill, generate, transform, validate::check_side,
};
use crate::{
    catalog::ModelFolder,
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// What the planning needs to know about a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelFacts {
    /// The side that it paints best at, in pixels.
    pub native: u32,
    /// The side that the reference samples at when no size is named.
    pub reference: u32,
    /// Pixels a latent: 8 for the usual autoencoder.
    pub latent_pixels: u32,
    /// What sampled sides must be multiples of, in pixels.
    pub side_unit: u32,
    /// Whether it is one of Kandinsky's decoders, whose pipelines treat sizes in their own way.
    pub is_kandinsky: bool,
}

impl From<&ModelFolder> for ModelFacts {
    fn from(folder: &ModelFolder) -> Self {
        Self {
            native: folder.native_size,
            reference: folder.reference_size,
            latent_pixels: folder.latent_pixels,
            side_unit: folder.side_unit,
            is_kandinsky: folder.image_embeds.is_some(),
        }
    }
}

impl ModelFacts {
    /// What a side that the request names must be a multiple of.
    fn unit_of(&self, request: &Request) -> u32 {
        match (request.exact, request.task) {
            // Brought to whole latents, or refused, as its pipelines do it.
            (true, _) if self.is_kandinsky => 1,
            // The reference's inpainting wants whole latents only.
            (true, Task::Fill) => self.latent_pixels,
            _ => self.side_unit.max(MULTIPLE),
        }
    }
}

/// Inputs at the sampling size, before they become tensors.
pub struct Plan {
    /// The sampling size.
    pub size: Extent,
    /// Of that size; none for text-to-image.
    pub picture: Option<Picture>,
    /// Of that size; for fill only.
    pub mask: Option<Mask>,
    /// What the ControlNets see, in their order.
    pub controls: Vec<ControlPicture>,
    pub composite: Composite,
}

/// Reads a request, whose ranges were checked, for a model.
///
/// # Errors
/// When a file cannot be read, or picture, mask and sizes do not fit each other.
pub fn plan(
    request: &Request,
    model: ModelFacts,
    monitor: &mut dyn Monitor,
) -> Result<Plan, EngineError> {
    for (what, side) in [("width", request.width), ("height", request.height)] {
        side.map_or(Ok(()), |side| check_side(what, side, model.unit_of(request)))?;
    }
    match request.task {
        Task::Fill => fill::plan(request, model, monitor),
        Task::Generate => generate::plan(request, model),
        Task::Transform => transform::plan(request, model),
    }
}
