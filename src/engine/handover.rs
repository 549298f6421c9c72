//! Between two passes of a chain: latents as they are where that is possible, otherwise a picture.

use candle_core::Tensor;

use super::{
    EngineError, Monitor, Request, Stage,
    pass::Pass,
    plan::Plan,
    residents::Residents,
    sampling::Inputs,
    source,
    tensors::{mask_tensor, picture_tensor, pictures},
};
use crate::{
    diffusion::decode,
    pixels::{
        blur::gaussian_blur_mask,
        resize::{Filter, resize_mask},
    },
};

/// A pass of a chain, and the one before it.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    pub before: &'a Pass,
    pub pass: &'a Pass,
    /// What `pass` was made from.
    pub stage: &'a Stage,
}

/// What the next pass starts from, given the latents that the one before left, and what a person
/// should know about it.
pub fn handed_on(
    residents: &mut Residents,
    next: Next<'_>,
    plan: &Plan,
    latents: Tensor,
    monitor: &mut dyn Monitor,
) -> Result<(Inputs, Option<String>), EngineError> {
    let (before, after) = (&next.before.folder, &next.pass.folder);
    let mask = mask(&next.pass.request, next.stage, plan, &latents)?;
    let looks_around = after.is_inpainting() && after.image_embeds.is_none();
    let reason = if looks_around {
        format!("{} looks at the picture around the mask", after.name)
    } else if !residents.share_autoencoder(next.before, next.pass)? {
        format!("{} and {} have different autoencoders", before.name, after.name)
    } else {
        let inputs = Inputs { picture: None, latents: Some(latents), mask, controls: Vec::new() };
        return Ok((inputs, None));
    };
    monitor.loading("Decoding the picture", None)?;
    let model = residents.get(next.before, monitor)?;
    model.rest_unet();
    let decoded = decode(model.decoder(), &latents)?;
    let picture = as_bytes(&decoded).map_err(EngineError::failed)?;
    let note = format!("the picture was decoded and encoded between two passes: {reason}");
    let inputs = Inputs { picture: Some(picture), latents: None, mask, controls: Vec::new() };
    Ok((inputs, Some(note)))
}

/// The picture [B, 3, H, W] as a file would keep it.
fn as_bytes(decoded: &Tensor) -> candle_core::Result<Tensor> {
    let tensors: candle_core::Result<Vec<Tensor>> = pictures(decoded)?
        .iter()
        .map(|picture| picture_tensor(picture, decoded.device()))
        .collect();
    Tensor::cat(&tensors?, 0)
}

/// The mask of a pass: its own, brought to the sampling size, or that of the plan.
fn mask(
    pass: &Request,
    stage: &Stage,
    plan: &Plan,
    latents: &Tensor,
) -> Result<Option<Tensor>, EngineError> {
    let own = match &stage.mask {
        Some(file) if pass.mask.is_some() => {
            let mask = source::mask(file)?;
            let soft = (pass.mask_blur > 0.0).then(|| gaussian_blur_mask(&mask, pass.mask_blur));
            Some(resize_mask(soft.as_ref().unwrap_or(&mask), plan.size, Filter::Lanczos))
        }
        _ => None,
    };
    let mask = own.as_ref().or(plan.mask.as_ref()).filter(|_| pass.mask.is_some());
    let tensor = mask.map(|mask| mask_tensor(mask, latents.device())).transpose();
    tensor.map_err(EngineError::failed)
}
