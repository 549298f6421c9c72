//! A model's networks as the pipelines see them, and how they are loaded from its folder.

use std::{ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Tensor};

use super::{
    EngineError, Monitor,
    autoencoder::{self, Autoencoder},
    text::{self, States, TextEncoders},
};
use crate::{
    diffusion::{Denoiser, DenoiserInput},
    networks::{
        Conditioning, NetworkError, Residuals, UNet2DConditionModel, UNetConfig, Weights,
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

impl Denoiser for Unet {
    fn in_channels(&self) -> usize {
        self.0.config().in_channels
    }

    fn guidance_embedding_dim(&self) -> Option<usize> {
        self.0.config().time.condition
    }

    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor> {
        self.predict_with(input, None)
    }
}

impl Unet {
    pub fn config(&self) -> &UNetConfig {
        self.0.config()
    }

    /// The prediction with what ControlNets add to the states inside.
    pub fn predict_with(
        &self,
        input: DenoiserInput<'_>,
        residuals: Option<&Residuals>,
    ) -> candle_core::Result<Tensor> {
        let conditioning = Conditioning {
            timestep_cond: input.guidance_embedding,
            added: Some(input.added),
            residuals,
            ..Conditioning::new(input.context)
        };
        self.0.forward(input.sample, input.timestep, conditioning)
    }
}

impl Networks {
    /// Loads every part, `dtype` for the U-Net; the others are small and stay in f32, in which the
    /// autoencoder cannot overflow.
    pub fn load(
        folder: &Path,
        autoencoder: autoencoder::Found,
        device: &Device,
        dtype: DType,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let config = |part: &str| folder.join(part).join("config.json");
        // All configurations first: a wrong one should not cost the time to read weights.
        let text = text::Found::open(folder)?;
        let unet_config = UNetConfig::open(&config("unet"))?;
        let states = match unet_config.addition {
            Some(AdditionConfig::TextTime { .. }) => States::Penultimate,
            Some(AdditionConfig::Image { .. }) | None => States::Last,
        };
        let mut part = Part { folder, device, monitor };
        let text = text.load(states, &mut part)?;
        let unet = part.load("unet", "Loading the U-Net", dtype, |weights| {
            UNet2DConditionModel::load(unet_config, weights)
        })?;
        let autoencoder = autoencoder.load(&mut part)?;
        Ok(Self { text, unet: Unet(unet), autoencoder })
    }

    /// Where LoRAs act.
    pub fn adaptable(&self) -> Parts<'_> {
        let unet = (adapters::Part::Unet, self.unet.0.slots());
        self.text.adaptable().chain([unet]).collect()
    }
}

/// Loads parts of one model.
pub struct Part<'a> {
    pub folder: &'a Path,
    pub device: &'a Device,
    pub monitor: &'a mut dyn Monitor,
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
        self.load_from(&self.folder.join(name), what, dtype, make)
    }

    /// Loads what is in the folder, or the file, at `path`.
    pub fn load_from<T>(
        &mut self,
        path: &Path,
        what: &str,
        dtype: DType,
        make: impl FnOnce(&Weights<'_>) -> Result<T, NetworkError>,
    ) -> Result<T, EngineError> {
        let monitor = &mut *self.monitor;
        monitor.loading(what, Some(0.0))?;
        let mut shown = 0;
        let weights = Weights::open(path, dtype, self.device, |read| {
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
