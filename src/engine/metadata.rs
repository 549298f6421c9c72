//! The settings of a picture as text inside its PNG: `parameters` as tools of this field read it
//! (AUTOMATIC1111's form), and `overpaint`, the whole request as JSON.

use super::{Outcome, PromptSyntax, Request, Task, prompts::Texts};
use crate::{geometry::Extent, pixels::codec::TextEntry};

/// The key of the request's JSON.
const REQUEST_KEY: &str = "overpaint";
/// The key that other tools read.
const PARAMETERS_KEY: &str = "parameters";

/// The settings of a request, as text that [`text_of_settings`] and [`request_of`] read. Pictures
/// and mask are left out, and of LoRAs and embeddings their folders: a shared picture should not tell
/// where its maker keeps files.
pub fn settings_of(request: &Request) -> String {
    let mut request = Request { image: None, mask: None, ..request.clone() };
    request.chain.iter_mut().for_each(|stage| stage.mask = None);
    request.controlnets.iter_mut().for_each(|control| control.image = None);
    let embeddings = request.embeddings.iter_mut().map(|embedding| &mut embedding.path);
    for path in embeddings.chain(request.lora.iter_mut().map(|lora| &mut lora.path)) {
        *path = path.file_name().unwrap_or_default().into();
    }
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
    let texts = request.texts();
    let mut text = format!("{}\n", texts.prompt);
    if !texts.negative.is_empty() {
        text += &format!("Negative prompt: {}\n", texts.negative);
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
    settings.extend(about_prompts(request, &texts));
    text + &settings.join(", ")
}

/// What other tools would not guess: a syntax that is not theirs, second prompts, and the prompts
/// as they were typed, where wildcards were resolved.
fn about_prompts(request: &Request, texts: &Texts) -> Vec<String> {
    let mut settings = Vec::new();
    let mut quoted = |key: &str, text: &str| {
        // As JSON, which is how AUTOMATIC1111 writes what holds commas.
        settings.push(format!("{key}: {}", serde_json::Value::from(text)));
    };
    if texts.prompt_2 != texts.prompt {
        quoted("Prompt 2", &texts.prompt_2);
    }
    if texts.negative_2 != texts.negative {
        quoted("Negative prompt 2", &texts.negative_2);
    }
    if texts.prompt != request.prompt {
        quoted("Template", &request.prompt);
    }
    if let Some(negative) = request.negative_prompt.as_ref().filter(|n| **n != texts.negative) {
        quoted("Negative Template", negative);
    }
    let own = request.syntax();
    let differs =
        |text: &str| !text.is_empty() && own.parse(text) != PromptSyntax::A1111.parse(text);
    if differs(&texts.prompt) || differs(&texts.negative) {
        let name = serde_json::to_value(own).unwrap_or_default();
        settings.push(format!("Prompt syntax: {}", name.as_str().unwrap_or_default()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EmbeddingUse;

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

    #[test]
    fn prompts_are_kept_as_typed_and_as_read() {
        let request = Request {
            model: "m".into(),
            prompt: "a {red|red} (fox:1.2)".into(),
            negative_prompt: Some("{fog|fog}".into()),
            prompt_2: Some("oil, canvas".into()),
            seed: Some(3),
            task: Task::Generate,
            ..Request::default()
        };
        let text = text_of_settings(&settings_of(&request));
        assert_eq!(
            text[0].1,
            "a red (fox:1.2)\nNegative prompt: fog\nSteps: 20, CFG scale: 7, Seed: 3, Model: m, \
             Prompt 2: \"oil, canvas\", \
             Template: \"a {red|red} (fox:1.2)\", Negative Template: \"{fog|fog}\""
        );
        assert_eq!(request_of(&text), Some(request.clone()));
        let compel = |prompt: &str| {
            let prompt_syntax = Some(PromptSyntax::Compel);
            parameters(
                &Request { prompt: prompt.into(), prompt_syntax, ..Request::default() },
                None,
            )
        };
        assert!(compel("a fox++").contains("Prompt syntax: compel"));
        assert!(!compel("a fox").contains("Prompt syntax"));
    }

    #[test]
    fn folders_of_embeddings_are_not_told() {
        let embedding = EmbeddingUse { path: "/home/me/fog.safetensors".into(), token: None };
        let request = Request { embeddings: vec![embedding], ..Request::default() };
        assert!(!settings_of(&request).contains("home"));
        assert!(settings_of(&request).contains("fog.safetensors"));
    }
}
