//! What a model and a run take, counted from headers and configurations.

use std::{path::Path, rc::Rc};

use candle_core::DType;

use crate::{
    catalog::{self, ModelFolder, PriorFolder},
    diffusion::guidance::is_guided,
    engine::{EngineError, LoraUse, PreviewMethod, Request, Task, autoencoder::Found, pass::Pass},
    geometry::Extent,
    networks::{
        MovqConfig, UNetConfig, Weights,
        autoencoder::memory::{PictureSize, decoding_numbers, encoding_numbers},
        unet::memory::{largest_layer, skip_numbers, working_numbers},
    },
};

/// What the program takes before a model is loaded: its own code, the vocabulary of prompts, the
/// threads' scratch, what the allocator does not give back.
const PROGRAM: u64 = 100 << 20;

/// Bytes of a number in the autoencoder and the text encoders, which run in f32.
const F32: u64 = 4;

/// Channels of a tiny autoencoder that are alive at once at the picture's size.
const TINY_CHANNELS: u64 = 4 * 64;

/// The folders of text encoders.
const TEXT: [&str; 2] = ["text_encoder", "text_encoder_2"];

/// Bytes, part by part.
#[derive(Clone)]
pub struct Needs {
    pub base: u64,
    /// Weights of what reads the prompt: text encoders, and a prior.
    pub text: u64,
    /// Weights besides that are there only while the prompt is read.
    pub passing: u64,
    /// The most of both that reading needs at once.
    pub reading: u64,
    /// Weights of the U-Net.
    pub unet: u64,
    /// The part of these that is the largest to be read at once.
    pub largest_layer: u64,
    /// Weights of the autoencoder.
    pub autoencoder: u64,
    /// What sampling holds besides weights.
    pub sampling: u64,
    /// What the autoencoder's work holds besides weights, for how much room it is given.
    coding: Rc<dyn Fn(Option<usize>) -> u64>,
    /// Whether the autoencoder is needed between steps.
    pub previews_decoded: bool,
}

impl Needs {
    /// Of a request at the sampling size `size`.
    ///
    /// # Errors
    /// If a configuration or the header of a file cannot be read.
    pub(in crate::engine) fn of(
        Pass { folder, request, prior, .. }: &Pass,
        size: Extent,
        dtype: DType,
    ) -> Result<Self, EngineError> {
        let unet = UNetConfig::open(&folder.path.join("unet/config.json"))?;
        let number = dtype.size_in_bytes() as u64;
        let guided = is_guided(request.guidance_scale) && unet.time.condition.is_none();
        let entries = request.num_images_per_prompt * if guided { 2 } else { 1 };
        let side = |pixels: u32| pixels.div_ceil(folder.latent_pixels) as usize;
        let (height, width) = (side(size.height), side(size.width));
        let mut sampling = working_numbers(&unet, entries, height, width) as u64;
        // Their residuals are there while the U-Net works: of one, or a sum and the next.
        let sets = request.controlnets.len().min(2);
        sampling += (sets * skip_numbers(&unet, entries, height, width)) as u64;
        let (autoencoder, coding) = coding(folder, request, size)?;
        let Readers { text, passing, reading } = match prior {
            Some(prior) => Readers::of_prior(prior, request, dtype),
            None => Readers::of_model(folder),
        };
        Ok(Self {
            base: PROGRAM + adapters(request, dtype),
            text,
            passing,
            reading,
            unet: Weights::bytes(&folder.path.join("unet"), dtype)? + controls(request, dtype)?,
            largest_layer: largest_layer(&unet) as u64 * number,
            autoencoder,
            sampling: sampling * number,
            coding,
            previews_decoded: request.preview == PreviewMethod::Full,
        })
    }

    /// All weights.
    pub fn weights(&self) -> u64 {
        self.text + self.unet + self.autoencoder
    }

    /// Bytes of the autoencoder's work.
    pub fn coding(&self, room: Option<usize>) -> u64 {
        (self.coding)(room)
    }

    #[cfg(test)]
    pub fn of_numbers([base, text, unet, layer, autoencoder, coding, sampling]: [u64; 7]) -> Self {
        Self {
            base,
            text,
            passing: 0,
            reading: text,
            unet,
            largest_layer: layer,
            autoencoder,
            sampling,
            coding: Rc::new(move |room| coding.min(room.map_or(coding, |room| room as u64))),
            previews_decoded: false,
        }
    }
}

/// Weights of what reads the prompt, in bytes; see [`Needs`].
struct Readers {
    text: u64,
    passing: u64,
    reading: u64,
}

impl Readers {
    /// A model's own text encoders, which all work at once.
    fn of_model(folder: &ModelFolder) -> Self {
        let text = TEXT.iter().map(|part| weights(&folder.path.join(part), DType::F32)).sum();
        Self { text, passing: 0, reading: text }
    }

    /// The parts of a prior, which work one after the other. Its picture encoder is for what takes
    /// the place of a negative prompt, and never stays.
    fn of_prior(prior: &PriorFolder, request: &Request, dtype: DType) -> Self {
        let part = |name: &str, dtype| weights(&prior.path.join(prior.part(name)), dtype);
        let (encoder, network) = (part("text_encoder", DType::F32), part("prior", dtype));
        let sees = is_guided(request.guidance_scale) && request.negative_prompt.is_none();
        let passing = if sees { part("image_encoder", DType::F32) } else { 0 };
        Self { text: encoder + network, passing, reading: encoder.max(network).max(passing) }
    }
}

/// Bytes of the LoRAs' weights; those files usually keep 2 bytes for a number.
fn adapters(request: &Request, dtype: DType) -> u64 {
    let stored = |lora: &LoraUse| std::fs::metadata(&lora.path).map_or(0, |file| file.len());
    let stored: u64 = request.lora.iter().map(stored).sum();
    stored / 2 * dtype.size_in_bytes() as u64
}

/// Bytes of the weights of ControlNets, which stay and go with the U-Net's.
fn controls(request: &Request, dtype: DType) -> Result<u64, EngineError> {
    let mut bytes = 0;
    for control in &request.controlnets {
        let folder = catalog::find_controlnet(&control.model).map_err(EngineError::invalid)?;
        bytes += Weights::bytes(&folder.path, dtype)?;
    }
    Ok(bytes)
}

/// Numbers that are alive at once when MoVQ decodes: at the picture's size its first block takes
/// the channels of the level before, and its normalisation makes a scale, a shift and their product
/// with each of them.
fn movq_numbers(config: &MovqConfig, pixels: u64) -> u64 {
    const ALIVE: u64 = 4;
    let widest = config.block_out_channels.iter().take(2).max();
    ALIVE * widest.copied().unwrap_or(0) as u64 * pixels
}

/// Bytes of a component in memory; none where it is not there.
fn weights(folder: &Path, dtype: DType) -> u64 {
    Weights::bytes(folder, dtype).unwrap_or(0)
}

type Coding = Rc<dyn Fn(Option<usize>) -> u64>;

/// Weights and work of the request's autoencoder.
fn coding(
    folder: &ModelFolder,
    request: &Request,
    size: Extent,
) -> Result<(u64, Coding), EngineError> {
    let found = Found::chosen(folder, request.vae.as_deref())?;
    let pictures = request.num_images_per_prompt;
    let pixels = size.area() as u64;
    // Decoded pictures as numbers, twice, and as bytes.
    let results = pictures as u64 * pixels * 3 * (2 * F32 + 2);
    Ok(match found {
        Found::Tiny(path, _) => {
            let work = pictures as u64 * pixels * TINY_CHANNELS * F32 + results;
            (Weights::bytes(&path, DType::F32)?, Rc::new(move |_| work))
        }
        Found::Movq(path, config) => {
            let work = movq_numbers(&config, pixels) * pictures as u64 * F32 + results;
            (Weights::bytes(&path, DType::F32)?, Rc::new(move |_| work))
        }
        Found::Whole(path, config) => {
            let size = PictureSize { width: size.width as usize, height: size.height as usize };
            let encodes = request.task != Task::Generate;
            let work = move |room: Option<usize>| {
                let numbers = room.map(|bytes| bytes / F32 as usize);
                // With room to heed, pictures are decoded one by one.
                let at_once = if room.is_some() { 1 } else { pictures };
                let decoding = at_once * decoding_numbers(&config, size, numbers);
                let encoding = if encodes { encoding_numbers(&config, size, numbers) } else { 0 };
                decoding.max(encoding) as u64 * F32 + results
            };
            (Weights::bytes(&path, DType::F32)?, Rc::new(work))
        }
    })
}
