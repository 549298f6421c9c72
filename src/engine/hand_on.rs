//! What one pass left, brought to the next.

use candle_core::Tensor;

use super::{
    EngineError, Monitor,
    handover::Handover,
    pass::Pass,
    plan::Plan,
    residents::Residents,
    sampling::Inputs,
    tensors::{picture_tensor, pictures},
};
use crate::diffusion::decode;

/// What pass `index` (1 or more) starts from, given the latents that the one before it left, and
/// what a person should know about it.
pub fn handed_on(
    residents: &mut Residents,
    passes: &[Pass],
    index: usize,
    plan: &Plan,
    latents: Tensor,
    monitor: &mut dyn Monitor,
) -> Result<(Inputs, Option<String>), EngineError> {
    let mask = plan.mask(index, latents.device())?;
    let Some(Handover::Picture(reason)) = &passes[index].handover else {
        let inputs = Inputs { picture: None, latents: Some(latents), mask, controls: Vec::new() };
        return Ok((inputs, None));
    };
    monitor.loading("Decoding the picture", None)?;
    let model = residents.get(&passes[index - 1], monitor)?;
    model.rest_unet();
    let decoded = decode(model.decoder(), &latents)?;
    let picture = as_bytes(&decoded).map_err(EngineError::failed)?;
    let note = format!("the picture was decoded and encoded before pass {}: {reason}", index + 1);
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
