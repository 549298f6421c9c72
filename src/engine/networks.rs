//! A model's networks as the pipelines see them, and how they are loaded from its folder.

use std::{ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Tensor};

use super::{
    EngineError, Monitor,
    autoencoder::{self, Autoencoder},
    memory::Arrangement,
    text::{self, States, TextEncoders},
};
use crate::{
    diffusion::{Denoiser, DenoiserInput},
    networks::{
        Conditioning, NetworkError, Residency, Residuals, UNet2DConditionModel, UNetConfig,
        Weights,
        adapters::{self, Parts},
        unet::AdditionConfig,
    },
};

/// The parts of a model.
pub struct Networks {
    pub text: TextEncoders,
    pub unet: Unet,
    pub autoencoder: Autoencoder,
    pub residencies: Residencies,
    /// The U-Net stays in memory while other parts work.
    pub keep_unet: bool,
}

/// How much of each part stays in memory.
#[derive(Clone, Default)]
pub struct Residencies {
    pub text: Residency,
    pub unet: Residency,
    pub autoencoder: Residency,
}

impl Residencies {
    /// Sets the limits that the arrangement says.
    pub fn limit(&self, arrangement: &Arrangement) {
        let whole = |keeps: bool| if keeps { None } else { Some(0) };
        self.text.set_limit(whole(arrangement.keep_text));
        self.autoencoder.set_limit(whole(arrangement.keep_autoencoder));
        self.unet.set_limit(arrangement.resident);
    }

    /// Forgets everything: each part is read again when it is used next.
    pub fn forget(&self) {
        [&self.text, &self.unet, &self.autoencoder].into_iter().for_each(Residency::forget);
    }
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
        (device, dtype): (&Device, DType),
        residencies: Residencies,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let config = |part: &str| folder.join(part).join("config.json");
        // All configurations first: a wrong one should not cost the time to read weights.
        let unet_config = UNetConfig::open(&config("unet"))?;
        let is_kandinsky = matches!(unet_config.addition, Some(AdditionConfig::Image { .. }));
        let text = if is_kandinsky { text::Found::none() } else { text::Found::open(folder)? };
        let states = match unet_config.addition {
            Some(AdditionConfig::TextTime { .. }) => States::Penultimate,
            Some(AdditionConfig::Image { .. }) | None => States::Last,
        };
        let mut part = Part { folder, device, monitor };
        let text = text.load(states, &mut part, &residencies.text)?;
        let (place, what) = (folder.join("unet"), "Loading the U-Net");
        let unet = part.load_from(&place, what, dtype, &residencies.unet, |weights| {
            UNet2DConditionModel::load(unet_config, weights)
        })?;
        let autoencoder = autoencoder.load(&mut part, &residencies.autoencoder)?;
        Ok(Self { text, unet: Unet(unet), autoencoder, residencies, keep_unet: true })
    }

    /// Makes room for another part than the U-Net, where there is not enough for both.
    pub fn rest_unet(&self) {
        if !self.keep_unet {
            self.residencies.unet.forget();
        }
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
    /// Loads what is in the folder `name` to stay; `what` tells the person who waits.
    pub fn load<T>(
        &mut self,
        name: &str,
        what: &str,
        dtype: DType,
        make: impl FnOnce(&Weights<'_>) -> Result<T, NetworkError>,
    ) -> Result<T, EngineError> {
        self.load_from(&self.folder.join(name), what, dtype, &Residency::default(), make)
    }

    /// Loads what is in the folder, or the file, at `path`; `what` tells the person who waits.
    pub fn load_from<T>(
        &mut self,
        path: &Path,
        what: &str,
        dtype: DType,
        residency: &Residency,
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
        Ok(make(&weights.within(residency))?)
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
