//! A model's networks as the pipelines see them, and how they are loaded from its folder.

use std::{ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Tensor};

use super::{
    EngineError, Monitor,
    text::{self, States, TextEncoders},
};
use crate::{
    diffusion::{Decoder, Denoiser, DenoiserInput, LinearPreview, Posterior},
    networks::{
        AutoencoderConfig, AutoencoderKl, Conditioning, NetworkError, UNet2DConditionModel,
        UNetConfig, Weights,
        adapters::{self, Parts},
        unet::AdditionConfig,
    },
};

/// The parts of a model.
pub struct Networks {
    pub text: TextEncoders,
    pub unet: Unet,
    pub autoencoder: Autoencoder,
}

/// The U-Net as a denoiser.
pub struct Unet(UNet2DConditionModel);

/// The autoencoder as a decoder (and encoder).
pub struct Autoencoder(AutoencoderKl);

impl Denoiser for Unet {
    fn in_channels(&self) -> usize {
        self.0.config().in_channels
    }

    fn guidance_embedding_dim(&self) -> Option<usize> {
        self.0.config().time.condition
    }

    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor> {
        let conditioning = Conditioning {
            timestep_cond: input.guidance_embedding,
            added: Some(input.added),
            ..Conditioning::new(input.context)
        };
        self.0.forward(input.sample, input.timestep, conditioning)
    }
}

impl Autoencoder {
    /// The map from latents to colours, where this is an autoencoder that one is known for.
    pub fn known_preview(&self) -> Option<LinearPreview> {
        let config = self.0.config();
        if config.block_out_channels != [128, 256, 512, 512] {
            return None;
        }
        match config.scaling_factor {
            0.18215 => Some(LinearPreview::sd1()),
            0.13025 => Some(LinearPreview::sdxl()),
            _ => None,
        }
    }
}

impl Decoder for Autoencoder {
    fn scaling_factor(&self) -> f64 {
        self.0.config().scaling_factor
    }

    fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        self.0.decode(latents)
    }
}

impl Networks {
    /// Loads every part, `dtype` for the U-Net; the others are small and stay in f32, in which the
    /// autoencoder cannot overflow.
    pub fn load(
        folder: &Path,
        device: &Device,
        dtype: DType,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let config = |part: &str| folder.join(part).join("config.json");
        // All configurations first: a wrong one should not cost the time to read weights.
        let text = text::Found::open(folder)?;
        let unet_config = UNetConfig::open(&config("unet"))?;
        let autoencoder_config = AutoencoderConfig::open(&config("vae"))?;
        let states = match unet_config.addition {
            Some(AdditionConfig::TextTime { .. }) => States::Penultimate,
            Some(AdditionConfig::Image { .. }) | None => States::Last,
        };
        let mut part = Part { folder, device, monitor };
        let text = text.load(states, &mut part)?;
        let unet = part.load("unet", "Loading the U-Net", dtype, |weights| {
            UNet2DConditionModel::load(unet_config, weights)
        })?;
        let autoencoder = part.load("vae", "Loading the autoencoder", DType::F32, |weights| {
            AutoencoderKl::load(autoencoder_config, weights)
        })?;
        let (unet, autoencoder) = (Unet(unet), Autoencoder(autoencoder));
        Ok(Self { text, unet, autoencoder })
    }

    /// Where LoRAs act.
    pub fn adaptable(&self) -> Parts<'_> {
        let unet = (adapters::Part::Unet, self.unet.0.slots());
        self.text.adaptable().chain([unet]).collect()
    }

    /// The distribution of latents of a picture [1, 3, H, W] in [-1, 1].
    pub fn encode_picture(&self, picture: &Tensor) -> Result<Posterior, EngineError> {
        let moments = self.autoencoder.0.encode_moments(picture).map_err(EngineError::failed)?;
        Posterior::from_moments(&moments).map_err(EngineError::failed)
    }
}

/// Loads parts of one model.
pub struct Part<'a> {
    folder: &'a Path,
    device: &'a Device,
    monitor: &'a mut dyn Monitor,
}

impl Part<'_> {
    /// Loads what is in the folder `name`; `what` tells the person who waits.
    pub fn load<T>(
        &mut self,
        name: &str,
        what: &str,
        dtype: DType,
        make: impl FnOnce(&Weights<'_>) -> Result<T, NetworkError>,
    ) -> Result<T, EngineError> {
        let monitor = &mut *self.monitor;
        monitor.loading(what, Some(0.0))?;
        let mut shown = 0;
        let weights = Weights::open(&self.folder.join(name), dtype, self.device, |read| {
            // In hundredths: a network has a thousand tensors.
            let hundredths = read.done * 100 / read.total.max(1);
            let news = hundredths > shown;
            shown = hundredths;
            let stop = if news {
                monitor.loading(what, Some(hundredths as f32 / 100.0)).is_err()
            } else {
                monitor.is_cancelled()
            };
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(make(&weights)?)
    }
}

impl From<NetworkError> for EngineError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Cancelled => Self::Cancelled,
            NetworkError::Tensor(error) => Self::failed(error),
            other => Self::invalid(other),
        }
    }
}
