//! The prompt of a request as the network takes it.

use candle_core::Tensor;

use super::{
    EngineError, Monitor, Request,
    models::{Model, Text},
};
use crate::{
    diffusion::{Conditions, Embedding, Prompt, guidance::is_guided},
    geometry::Extent,
    networks::AddedConditions,
};

/// Encodes the prompts, or takes them from what the model kept. `size` is the sampling size.
pub fn prompt(
    model: &mut Model,
    request: &Request,
    size: Extent,
    monitor: &mut dyn Monitor,
) -> Result<Prompt, EngineError> {
    let second = |second: &Option<String>, first: &str| match second.as_deref() {
        None | Some("") => first.to_owned(),
        Some(second) => second.to_owned(),
    };
    let text = Text {
        text: request.prompt.clone(),
        second: second(&request.prompt_2, &request.prompt),
        clip_skip: request.clip_skip,
    };
    let cond = model.text(&text, monitor)?;
    let uncond = if !is_guided(request.guidance_scale) {
        None
    } else if request.negative_prompt.is_none() && model.folder().zero_negative {
        Some(nothing(&cond).map_err(EngineError::failed)?)
    } else {
        let negative = request.negative_prompt.clone().unwrap_or_default();
        let second = second(&request.negative_prompt_2, &negative);
        // The reference skips no layers for the negative prompt.
        Some(model.text(&Text { text: negative, second, clip_skip: None }, monitor)?)
    };
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

/// The embedding of no prompt at all, for models trained with zeros in its place.
fn nothing(like: &Embedding) -> candle_core::Result<Embedding> {
    let pooled = like.pooled.as_ref().map(Tensor::zeros_like).transpose()?;
    Ok(Embedding { hidden: like.hidden.zeros_like()?, pooled })
}
