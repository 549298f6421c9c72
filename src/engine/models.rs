//! A model that is loaded: its networks, and what they have encoded already.

use candle_core::{DType, Device, Tensor};

use super::{
    EngineError, Monitor, PreviewMethod, Request, Task,
    autoencoder::{self, Autoencoder, LatentSpace},
    calibration::chart,
    control::{ControlNetworks, Controlled},
    conventions::{check_scheduler, without_unused_variance},
    inversions::Inversions,
    loras::Loras,
    memo::Memo,
    memory::Arrangement,
    networks::{Networks, Part, Residencies},
    preview::Method,
    prior::Prior,
    tensors::picture_tensor,
    text::Text,
};
use crate::{
    catalog::{ModelFolder, PriorFolder},
    diffusion::{
        Decoder, Denoiser, Embedding, LinearPreview, Posterior, Scheduler, SchedulerConfig,
        schedulers::{PipelineKind, Unscaled, build},
    },
    networks::Residency,
};

/// How many prompts and pictures stay encoded.
const PROMPTS_KEPT: usize = 64;
const PICTURES_KEPT: usize = 8;

/// A loaded model. A second run with the same prompt and picture encodes nothing.
pub struct Model {
    folder: ModelFolder,
    device: Device,
    networks: Networks,
    prompts: Memo<Text, Embedding>,
    pictures: Memo<u64, Posterior>,
    /// What the request named in place of the model's own.
    autoencoder: Option<String>,
    /// Whose latents it works on.
    latents: LatentSpace,
    linear_preview: Option<LinearPreview>,
    loras: Loras,
    inversions: Inversions,
    /// For previews.
    tiny: Option<Autoencoder>,
    controls: ControlNetworks,
    prior: Option<Prior>,
    dtype: DType,
}

impl Model {
    /// Loads every part from its folder, `dtype` for the U-Net; `vae` names another autoencoder.
    pub fn load(
        folder: &ModelFolder,
        vae: Option<&str>,
        device: Device,
        dtype: DType,
        arrangement: &Arrangement,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, EngineError> {
        let latents = LatentSpace::of_model(folder)?;
        let autoencoder = autoencoder::Found::chosen(folder, vae)?;
        let residencies = Residencies::default();
        residencies.limit(arrangement);
        let kind = (&device, dtype);
        let networks = Networks::load(&folder.path, autoencoder, kind, residencies, monitor)?;
        Ok(Self {
            folder: folder.clone(),
            device,
            networks,
            prompts: Memo::new(PROMPTS_KEPT),
            pictures: Memo::new(PICTURES_KEPT),
            autoencoder: vae.map(str::to_owned),
            latents,
            linear_preview: None,
            loras: Loras::default(),
            inversions: Inversions::default(),
            tiny: None,
            controls: ControlNetworks::default(),
            prior: None,
            dtype,
        })
    }

    /// Makes the ControlNets of a request resident, and no others.
    ///
    /// # Errors
    /// When one is not found, cannot be read, or does not fit this model.
    pub fn load_controls(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        let unit = self.folder.latent_pixels;
        let kind = (&self.device, self.dtype);
        self.controls.load(request, &self.networks, unit, kind, monitor)
    }

    /// The U-Net with the ControlNets of a request beside it, if it has any; `pictures` are what they
    /// see, [1, 3, H, W] in [0, 1] and -1 where something is absent.
    ///
    /// # Errors
    /// If a control picture does not fit its network.
    pub fn controlled(
        &self,
        request: &Request,
        pictures: &[Tensor],
    ) -> Result<Option<Controlled<'_>>, EngineError> {
        self.controls.beside(&self.networks.unet, request, pictures)
    }

    /// Takes the prior that a pass reads its prompt through, and no other.
    pub fn use_prior(
        &mut self,
        folder: Option<&PriorFolder>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        if self.prior.as_ref().map(Prior::folder) == folder {
            return Ok(());
        }
        // Dropped first: two need not fit.
        self.prior = None;
        self.rest_unet();
        let (kind, residency) = ((&self.device, self.dtype), &self.networks.residencies.text);
        let load = |folder| Prior::load(folder, kind, residency, monitor);
        self.prior = folder.map(load).transpose()?;
        Ok(())
    }

    /// What the prompt is read through, where text encoders do not read it; there is room for it.
    pub fn prior(&mut self) -> Option<&mut Prior> {
        let prior = self.prior.as_mut()?;
        self.networks.rest_unet();
        Some(prior)
    }

    /// Puts the request's LoRAs in place, and no others.
    pub fn use_loras(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        let parts = self.networks.adaptable();
        if self.loras.put_in_place(request, &parts, monitor)? {
            self.prompts.clear();
        }
        Ok(())
    }

    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    /// Keeps from now on in memory what the arrangement says.
    pub fn arrange(&mut self, arrangement: &Arrangement) {
        self.networks.residencies.limit(arrangement);
        self.networks.autoencoder.room = arrangement.room;
        self.networks.keep_unet = arrangement.keep_unet;
    }

    /// Makes room for another part than the U-Net, where there is not enough for both.
    pub fn rest_unet(&self) {
        self.networks.rest_unet();
    }

    /// Makes room for another model.
    pub fn rest(&self) {
        self.networks.residencies.forget();
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Pixels a side that one latent stands for.
    pub fn latent_pixels(&self) -> u32 {
        self.folder.latent_pixels
    }

    pub fn in_channels(&self) -> usize {
        self.denoiser().in_channels()
    }

    pub fn denoiser(&self) -> &dyn Denoiser {
        &self.networks.unet
    }

    pub fn decoder(&self) -> &dyn Decoder {
        &self.networks.autoencoder
    }

    /// A scheduler of its own for each run.
    pub fn scheduler(&self, request: &Request) -> Result<Box<dyn Scheduler>, EngineError> {
        scheduler(&self.folder, request)
    }

    /// The encoded text.
    pub fn text(
        &mut self,
        text: &Text,
        monitor: &mut dyn Monitor,
    ) -> Result<Embedding, EngineError> {
        let networks = &self.networks;
        self.prompts.get_or_try(text.clone(), || {
            monitor.loading("Reading the prompt", None)?;
            networks.rest_unet();
            networks.text.encode(text)
        })
    }

    /// Takes the request's words of textual inversion, and no others.
    pub fn use_embeddings(&mut self, request: &Request) -> Result<(), EngineError> {
        if self.inversions.teach(&mut self.networks.text, request)? {
            self.prompts.clear();
        }
        Ok(())
    }

    /// What the autoencoder says about a picture [1, 3, H, W] in [-1, 1].
    pub fn posterior(
        &mut self,
        picture: &Tensor,
        monitor: &mut dyn Monitor,
    ) -> Result<Posterior, EngineError> {
        let key = content_hash(picture).map_err(EngineError::failed)?;
        let networks = &self.networks;
        self.pictures.get_or_try(key, || {
            monitor.loading("Encoding the picture", None)?;
            networks.rest_unet();
            networks.autoencoder.encode(picture)
        })
    }

    /// Takes the autoencoder that `name` stands for (`Request::vae`), or the model's own again.
    ///
    /// # Errors
    /// If there is none of that name, or its latents are of another shape than the model's.
    pub fn use_autoencoder(
        &mut self,
        name: Option<&str>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        if self.autoencoder.as_deref() == name {
            return Ok(());
        }
        let found = autoencoder::Found::chosen(&self.folder, name)?;
        let mut part = Part { folder: &self.folder.path, device: &self.device, monitor };
        let residency = &self.networks.residencies.autoencoder;
        residency.forget();
        let room = self.networks.autoencoder.room;
        self.networks.autoencoder = found.load(&mut part, residency)?;
        self.networks.autoencoder.room = room;
        self.autoencoder = name.map(str::to_owned);
        self.pictures = Memo::new(PICTURES_KEPT);
        Ok(())
    }

    /// Loads or computes what a preview needs, once.
    pub fn prepare_preview(
        &mut self,
        method: PreviewMethod,
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        if method == PreviewMethod::Tiny && self.tiny.is_none() {
            let mut part = Part { folder: &self.folder.path, device: &self.device, monitor };
            let found = self.latents.tiny_autoencoder();
            self.tiny =
                found.map(|found| found.load(&mut part, &Residency::default())).transpose()?;
        }
        let linear = match method {
            PreviewMethod::Linear => true,
            PreviewMethod::Tiny => self.tiny.is_none(),
            PreviewMethod::Off | PreviewMethod::Full => false,
        };
        if linear && self.linear_preview.is_none() {
            let map = match self.latents.linear_preview() {
                Some(map) => map,
                None => self.fitted_preview(monitor)?,
            };
            self.linear_preview = Some(map);
        }
        Ok(())
    }

    /// How latents are shown, once [`Self::prepare_preview`] was called; nothing for no previews.
    pub fn preview(&self, method: PreviewMethod) -> Option<Method<'_>> {
        let linear = || self.linear_preview.clone().map(Method::Linear);
        match method {
            PreviewMethod::Off => None,
            PreviewMethod::Linear => linear(),
            PreviewMethod::Tiny => {
                let tiny = self.tiny.as_ref().map(|tiny| Method::Decoded(tiny));
                tiny.or_else(linear)
            }
            PreviewMethod::Full => Some(Method::Decoded(self.decoder())),
        }
    }

    /// For other autoencoders than the published ones: how this one encodes a chart of colours.
    fn fitted_preview(&mut self, monitor: &mut dyn Monitor) -> Result<LinearPreview, EngineError> {
        let (large, small) = chart(self.folder.latent_pixels);
        let tensor = |picture| picture_tensor(picture, &self.device).map_err(EngineError::failed);
        let (large, small) = (tensor(&large)?, tensor(&small)?);
        let mean = self.posterior(&large, monitor)?.mean;
        let scaled = (mean * self.decoder().scaling_factor()).map_err(EngineError::failed)?;
        LinearPreview::fit(&scaled, &small).map_err(EngineError::from)
    }
}

/// The scheduler's file of a model.
fn scheduler_config(folder: &ModelFolder) -> Result<SchedulerConfig, EngineError> {
    let file = folder.path.join("scheduler/scheduler_config.json");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| EngineError::invalid(format!("{}: {error}", file.display())))?;
    Ok(SchedulerConfig::parse(file.display().to_string(), &text)?)
}

/// The timestep that stands for a part (0 to 1) of the schedule being done.
pub fn timestep_at(folder: &ModelFolder, request: &Request, part: f64) -> Result<f64, EngineError> {
    const KEY: &str = "num_train_timesteps";
    let config = scheduler_config(folder)?;
    let named = request.scheduler_options.get(KEY).or(config.values.get(KEY));
    let steps = named.and_then(serde_json::Value::as_f64).unwrap_or(1000.0);
    Ok((steps - part * steps).round_ties_even())
}

/// A scheduler as the model's file and the request say.
pub fn scheduler(
    folder: &ModelFolder,
    request: &Request,
) -> Result<Box<dyn Scheduler>, EngineError> {
    let mut config = scheduler_config(folder)?;
    let (conventions, name) = (folder.conventions, request.scheduler.as_deref());
    if !request.exact {
        without_unused_variance(&mut config, name);
    }
    let pipeline = match request.task {
        _ if !conventions.corrects_schedulers || !request.controlnets.is_empty() => {
            PipelineKind::Uncorrected
        }
        Task::Fill => PipelineKind::Inpaint,
        Task::Generate => PipelineKind::TextToImage,
        Task::Transform => PipelineKind::ImageToImage,
    };
    let scheduler = build(&config, name, &request.scheduler_options, pipeline)?;
    if request.exact {
        check_scheduler(&*scheduler, &config, folder, request)?;
    }
    Ok(match conventions.scales_input || !request.exact {
        true => scheduler,
        false => Box::new(Unscaled(scheduler)),
    })
}

/// FNV-1a over shape and values.
fn content_hash(picture: &Tensor) -> candle_core::Result<u64> {
    let values: Vec<f32> = picture.flatten_all()?.to_vec1()?;
    let shape = picture.dims().iter().map(|&d| d as u32);
    let words = shape.chain(values.iter().map(|v| v.to_bits()));
    Ok(words.fold(0xcbf2_9ce4_8422_2325, |hash, word| {
        (hash ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}
