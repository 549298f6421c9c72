//! The settings of a picture as text inside its PNG: `parameters` as tools of this field read it
//! (AUTOMATIC1111's form), and `overpaint`, the whole request as JSON.

use super::{Outcome, Request, Task};
use crate::{geometry::Extent, pixels::codec::TextEntry};

/// The key of the request's JSON.
const REQUEST_KEY: &str = "overpaint";
/// The key that other tools read.
const PARAMETERS_KEY: &str = "parameters";

/// The settings of a request, as text that [`text_of_settings`] and [`request_of`] read. Picture
/// and mask are left out: a shared picture should not tell where its maker keeps files.
pub fn settings_of(request: &Request) -> String {
    let mut request = Request { image: None, mask: None, ..request.clone() };
    request.chain.iter_mut().for_each(|stage| stage.mask = None);
    serde_json::to_string(&request).unwrap_or_default()
}

/// The text chunks for settings as [`settings_of`] gave them; none for an empty or foreign text.
pub fn text_of_settings(settings: &str) -> Vec<TextEntry> {
    match serde_json::from_str::<Request>(settings) {
        Ok(request) => vec![
            (PARAMETERS_KEY.into(), parameters(&request, None)),
            (REQUEST_KEY.into(), settings.into()),
        ],
        Err(_) => Vec::new(),
    }
}

/// The text chunks for a finished job's picture of this size.
pub fn text_of_outcome(outcome: &Outcome, extent: Extent) -> Vec<TextEntry> {
    vec![
        (PARAMETERS_KEY.into(), parameters(&outcome.request, Some(extent))),
        (REQUEST_KEY.into(), settings_of(&outcome.request)),
    ]
}

/// The request inside a picture's text chunks.
pub fn request_of(text: &[TextEntry]) -> Option<Request> {
    let (_, json) = text.iter().find(|(key, _)| key == REQUEST_KEY)?;
    serde_json::from_str(json).ok()
}

/// Prompt, negative prompt, then one line of settings.
fn parameters(request: &Request, extent: Option<Extent>) -> String {
    let mut text = format!("{}\n", request.prompt);
    if let Some(negative) = request.negative_prompt.as_deref().filter(|n| !n.is_empty()) {
        text += &format!("Negative prompt: {negative}\n");
    }
    let mut settings = vec![format!("Steps: {}", request.num_inference_steps)];
    if let Some(scheduler) = &request.scheduler {
        settings.push(format!("Sampler: {scheduler}"));
    }
    settings.push(format!("CFG scale: {}", request.guidance_scale));
    if let Some(seed) = request.seed {
        settings.push(format!("Seed: {seed}"));
    }
    if let Some(extent) = extent {
        settings.push(format!("Size: {extent}"));
    }
    settings.push(format!("Model: {}", request.model));
    if request.task != Task::Generate {
        settings.push(format!("Denoising strength: {}", request.strength()));
    }
    if request.task == Task::Fill && request.mask_blur > 0.0 {
        settings.push(format!("Mask blur: {}", request.mask_blur));
    }
    if let Some(skip) = request.clip_skip {
        // AUTOMATIC1111 counts from the last layer, so that 1 leaves out none.
        settings.push(format!("Clip skip: {}", skip + 1));
    }
    text + &settings.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_and_other_tools_can_read_them() {
        let request = Request {
            model: "starter".into(),
            prompt: "a reef".into(),
            negative_prompt: Some("fog".into()),
            seed: Some(7),
            clip_skip: Some(1),
            ..Request::default()
        };
        let settings = settings_of(&request);
        let text = text_of_settings(&settings);
        assert_eq!(request_of(&text), Some(request));
        assert_eq!(
            text[0].1,
            "a reef\nNegative prompt: fog\nSteps: 20, CFG scale: 7, Seed: 7, Model: starter, \
             Denoising strength: 1, Clip skip: 2"
        );
        assert!(text_of_settings("something else").is_empty());
    }
}
