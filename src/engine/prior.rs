//! Kandinsky's prior: what its decoders read prompts through. From a text it makes the embedding of
//! a picture, by diffusion of its own, and that is all a decoder is told.

use std::{ops::ControlFlow, rc::Rc};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{EngineError, Monitor, Request, memo::Memo, networks::Part};
use crate::{
    catalog::PriorFolder,
    diffusion::{
        self, Cancelled, Conditions, EncodedText, NoiseSource, Observer, PriorInput, PriorRun,
        PriorSettings, Prompt, SchedulerConfig, StepInfo, guidance::is_guided, image_embeds,
        schedulers::UnClip,
    },
    networks::{
        ClipTextConfig, ClipTextModel, ClipTokenizer, ClipVisionConfig, ClipVisionModel, Held,
        PriorConfig, PriorText, PriorTransformer, Reading, Residency,
    },
    prompt::{self, Content},
};

/// How many texts stay encoded.
const TEXTS_KEPT: usize = 64;

/// Which prior a decoder reads the prompt through, and how. Other families pay no attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorUse {
    /// An id or a folder; `None` is the one that belongs to the decoder.
    pub model: Option<String>,
    /// 2 or more.
    pub num_inference_steps: usize,
    /// Classifier-free guidance of the prior; 1 or less runs without.
    pub guidance_scale: f64,
}

impl Default for PriorUse {
    fn default() -> Self {
        Self { model: None, num_inference_steps: 25, guidance_scale: 4.0 }
    }
}

/// What a request says, encoded.
struct Texts {
    text: EncodedText,
    empty: EncodedText,
    negative: Option<EncodedText>,
}

/// A prior that is loaded.
pub struct Prior {
    folder: PriorFolder,
    device: Device,
    tokenizer: ClipTokenizer,
    text_encoder: Held<ClipTextModel>,
    network: Held<PriorTransformer>,
    texts: Memo<String, EncodedText>,
    /// The embedding of an empty picture, once it was needed.
    empty: Option<Tensor>,
}

/// The network in use.
struct Network(Rc<PriorTransformer>);

impl diffusion::Prior for Network {
    fn embedding_dim(&self) -> usize {
        self.0.config().embedding_dim
    }

    fn predict(
        &self,
        noisy: &Tensor,
        timestep: f64,
        text: PriorText<'_>,
    ) -> candle_core::Result<Tensor> {
        self.0.forward(noisy, timestep, text)
    }

    fn post_process(&self, sample: &Tensor) -> candle_core::Result<Tensor> {
        self.0.post_process(sample)
    }
}

impl Prior {
    /// Loads tokenizer, text encoder and prior, `dtype` for the last; they stay in memory as `residency`
    /// says. The picture encoder waits until it is needed, and is let go then.
    pub fn load(
        folder: &PriorFolder,
        (device, dtype): (&Device, DType),
        residency: &Residency,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let config = |part: &str| folder.path.join(folder.part(part)).join("config.json");
        let text_config = ClipTextConfig::open_projected(&config("text_encoder"))?;
        let prior_config = PriorConfig::open(&config("prior"))?;
        scheduler(folder)?;
        let tokenizer = ClipTokenizer::open(&folder.path.join(folder.part("tokenizer")))?;
        let mut part = Part { folder: &folder.path, device, monitor };
        let place = |name: &str| folder.path.join(folder.part(name));
        let (path, what) = (place("text_encoder"), "Loading the prior's text encoder");
        let text_encoder = part.load_from(&path, what, DType::F32, residency, |weights| {
            Held::load(weights, move |weights| ClipTextModel::load(text_config.clone(), weights))
        })?;
        let (path, what) = (place("prior"), "Loading the prior");
        let network = part.load_from(&path, what, dtype, residency, |weights| {
            Held::load(weights, move |weights| {
                PriorTransformer::load(prior_config.clone(), weights)
            })
        })?;
        Ok(Self {
            folder: folder.clone(),
            device: device.clone(),
            tokenizer,
            text_encoder,
            network,
            texts: Memo::new(TEXTS_KEPT),
            empty: None,
        })
    }

    pub fn folder(&self) -> &PriorFolder {
        &self.folder
    }

    /// What the decoder is told, one embedding for each picture of the request. Draws first of all
    /// from the run's noise.
    ///
    /// # Errors
    /// Settings out of range, a text encoder that does not fit, or [`EngineError::Cancelled`].
    pub fn prompt(
        &mut self,
        request: &Request,
        noise: &mut dyn NoiseSource,
        monitor: &mut dyn Monitor,
    ) -> Result<Prompt, EngineError> {
        let Texts { text, empty, negative } = self.texts(request)?;
        let settings = PriorSettings {
            num_inference_steps: request.prior.num_inference_steps,
            guidance_scale: request.prior.guidance_scale,
            num_images_per_prompt: request.num_images_per_prompt,
        };
        let mut watcher = Watcher { monitor, error: None };
        let mut scheduler = scheduler(&self.folder)?;
        let network = Network(self.network.part().map_err(EngineError::failed)?);
        let mut run = PriorRun {
            network: &network,
            scheduler: &mut scheduler,
            noise,
            observer: &mut watcher,
            device: &self.device,
        };
        let input = PriorInput { text: &text, negative: negative.as_ref(), empty: &empty };
        let embeds = image_embeds(&mut run, &input, settings);
        let embeds =
            embeds.map_err(|error| watcher.error.take().unwrap_or_else(|| error.into()))?;
        // The picture encoder need not fit beside it.
        drop(network);
        let uncond = match embeds.uncond {
            _ if !is_guided(request.guidance_scale) => None,
            Some(uncond) => Some(uncond),
            None => Some(self.of_empty_picture(monitor)?),
        };
        let uncond = uncond.map(Conditions::of_picture).transpose()?;
        Ok(Prompt { cond: Conditions::of_picture(embeds.cond)?, uncond })
    }

    /// All that a request says, read with one loading of the text encoder at most.
    fn texts(&mut self, request: &Request) -> Result<Texts, EngineError> {
        let (tokenizer, held, kept) = (&self.tokenizer, &self.text_encoder, &mut self.texts);
        let mut in_use: Option<Rc<ClipTextModel>> = None;
        let mut read = |text: &str| {
            kept.get_or_try(text.to_owned(), || {
                let encoder = match in_use.take() {
                    Some(encoder) => encoder,
                    None => held.part().map_err(EngineError::failed)?,
                };
                encoded(tokenizer, in_use.insert(encoder), text)
            })
        };
        let texts = request.texts();
        let text = read(&words(request, &texts.prompt)?)?;
        let empty = read("")?;
        let negative = match &request.negative_prompt {
            Some(_) => Some(read(&words(request, &texts.negative)?)?),
            None => None,
        };
        Ok(Texts { text, empty, negative })
    }

    /// What stands for no prompt at all: the embedding [1, width] of an empty picture.
    fn of_empty_picture(&mut self, monitor: &mut dyn Monitor) -> Result<Tensor, EngineError> {
        if let Some(empty) = &self.empty {
            return Ok(empty.clone());
        }
        let name = self.folder.part("image_encoder");
        let config = self.folder.path.join(&name).join("config.json");
        let config = ClipVisionConfig::open(&config)?;
        let mut part = Part { folder: &self.folder.path, device: &self.device, monitor };
        let what = "Loading the prior's picture encoder";
        let encoder =
            part.load(&name, what, DType::F32, |weights| ClipVisionModel::load(config, weights))?;
        let empty = encoder.embed_empty().map_err(EngineError::invalid)?;
        self.empty = Some(empty.clone());
        Ok(empty)
    }
}

fn encoded(
    tokenizer: &ClipTokenizer,
    encoder: &ClipTextModel,
    text: &str,
) -> Result<EncodedText, EngineError> {
    let ids = tokenizer.encode(text)?;
    let length = tokenizer.tokens(text)?.len().min(tokenizer.frame().capacity()) + 2;
    let output = encoder.forward(&[ids], Reading::default()).map_err(EngineError::invalid)?;
    let embeds = output
        .text_embeds
        .ok_or_else(|| EngineError::invalid("the prior's text encoder has no projection"))?;
    Ok(EncodedText { embeds, states: output.last_hidden_state, length })
}

/// A prompt without the marks of its syntax: a prior has no use for weights.
fn words(request: &Request, text: &str) -> Result<String, EngineError> {
    let prompt = request.syntax().parse(text).map_err(EngineError::invalid)?;
    let words = |part: &prompt::Part| match &part.content {
        Content::Text(fragments) => fragments.iter().map(|f| f.text.as_str()).collect::<String>(),
        Content::Blend { texts, .. } => {
            texts.iter().flatten().map(|f| f.text.as_str()).collect::<Vec<_>>().join(" ")
        }
    };
    Ok(prompt.parts.iter().map(words).collect::<Vec<_>>().join(" "))
}

/// The prior's own, whatever the request names for the decoder.
fn scheduler(folder: &PriorFolder) -> Result<UnClip, EngineError> {
    let file = folder.path.join(folder.part("scheduler")).join("scheduler_config.json");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| EngineError::invalid(format!("{}: {error}", file.display())))?;
    Ok(UnClip::open(&SchedulerConfig::parse(file.display().to_string(), &text)?)?)
}

/// Tells how far the prior is, which counts as loading: its steps are not the picture's.
struct Watcher<'a> {
    monitor: &'a mut dyn Monitor,
    error: Option<EngineError>,
}

impl Observer for Watcher<'_> {
    fn step(&mut self, info: StepInfo<'_>) -> ControlFlow<Cancelled> {
        let fraction = (info.index + 1) as f32 / info.total.max(1) as f32;
        match self.monitor.loading("Imagining the picture", Some(fraction)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(Cancelled)
            }
        }
    }

    fn check(&mut self) -> ControlFlow<Cancelled> {
        if self.monitor.is_cancelled() {
            ControlFlow::Break(Cancelled)
        } else {
            ControlFlow::Continue(())
        }
    }
}
