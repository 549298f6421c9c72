//! What is sampled, at which size, and how it goes back onto the picture: a request, read.

use candle_core::{Device, Tensor};

use super::{
    EngineError, Monitor, Request, Task, compositing::Composite, context_area::MULTIPLE,
    control::ControlPicture, fill, generate, later_mask::later_mask, pass::Pass,
    tensors::mask_tensor, transform, validate::check_side,
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
    /// The same with sides that suit the models of all passes.
    pub fn suiting(self, passes: &[Pass]) -> Self {
        // Powers of two: the largest is a multiple of every other.
        let units = passes.iter().map(|pass| pass.folder.side_unit);
        Self { side_unit: units.fold(self.side_unit, u32::max), ..self }
    }

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
    /// Of that size, one for each pass; none where it repaints no mask.
    pub masks: Vec<Option<Mask>>,
    /// What the ControlNets see, in their order.
    pub controls: Vec<ControlPicture>,
    pub composite: Composite,
}

impl Plan {
    /// The mask of pass `index`, [1, 1, H, W] in [0, 1].
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn mask(&self, index: usize, device: &Device) -> Result<Option<Tensor>, EngineError> {
        let mask = self.masks.get(index).and_then(Option::as_ref);
        mask.map(|mask| mask_tensor(mask, device)).transpose().map_err(EngineError::failed)
    }
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
    let mut plan = match request.task {
        Task::Fill => fill::plan(request, model, monitor)?,
        Task::Generate => generate::plan(request, model)?,
        Task::Transform => transform::plan(request, model)?,
    };
    let count = request.chain.len() + 1;
    for (index, stage) in request.chain.iter().enumerate() {
        let mask = later_mask(request, stage, &plan, model.latent_pixels);
        plan.masks.push(mask.map_err(|error| error.in_pass(index + 1, count))?);
    }
    Ok(plan)
}
