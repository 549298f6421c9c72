//! The prompt of a request as the network takes it.

use candle_core::Tensor;

use super::{EngineError, Monitor, Request, models::Model, prompts};
use crate::{
    diffusion::{Conditions, Embedding, NoiseSource, Prompt},
    geometry::Extent,
    networks::AddedConditions,
};

/// Encodes the prompts, or takes them from what the model kept. `size` is the sampling size. Only a
/// prior draws from `noise`.
pub fn prompt(
    model: &mut Model,
    request: &Request,
    size: Extent,
    noise: &mut dyn NoiseSource,
    monitor: &mut dyn Monitor,
) -> Result<Prompt, EngineError> {
    if let Some(prior) = model.prior() {
        return prior.prompt(request, noise, monitor);
    }
    let (cond, uncond) = prompts::encode(model, request, monitor)?;
    let folder = model.folder();
    if !folder.takes_sizes {
        let plain = |embedding: Embedding| Conditions::from(embedding.hidden);
        return Ok(Prompt { cond: plain(cond), uncond: uncond.map(plain) });
    }
    let numbers =
        request.micro_conditions.numbers(request.task, size, folder.wants_aesthetic_scores);
    let told = |embedding: Embedding, numbers: Vec<f32>| -> Result<Conditions, EngineError> {
        let count = numbers.len();
        let time_ids = Tensor::from_vec(numbers, (1, count), model.device());
        let time_ids = Some(time_ids.map_err(EngineError::failed)?);
        let text_embeds = embedding.pooled;
        let added = AddedConditions { text_embeds, time_ids, image_embeds: None };
        Ok(Conditions { context: embedding.hidden, added })
    };
    let uncond = uncond.map(|embedding| told(embedding, numbers.negative)).transpose()?;
    Ok(Prompt { cond: told(cond, numbers.positive)?, uncond })
}
