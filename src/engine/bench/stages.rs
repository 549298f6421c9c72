//! The parts of a generation, each as the program runs it.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Measured, Settings, Timing, architecture::Architecture};
use crate::{
    diffusion::{LinearPreview, StepInfo},
    engine::{
        EngineError,
        compositing::{Composite, Through},
        preview::{Method, Previewer},
    },
    geometry::Extent,
    networks::{
        AddedConditions, AutoencoderKl, ClipTextConfig, ClipTextModel, Conditioning, NetworkError,
        Reading, UNet2DConditionModel, Weights,
        autoencoder::{
            memory::PictureSize,
            work::{decoding_work, encoding_work},
        },
        unet::{
            AdditionConfig,
            work::{Sizes, multiply_adds},
        },
    },
    pixels::{
        Mask, Picture,
        blend::{Blend, Hole, InnerSides},
    },
};

/// One row of the text encoders.
const TOKENS: usize = 77;
/// In the middle of the schedule.
const TIMESTEP: f64 = 500.0;

/// A part of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// One prompt through every text encoder.
    Text,
    /// A picture to latents.
    Encode,
    /// One evaluation for a picture with guidance: a batch of two.
    UnetGuided,
    /// One evaluation for a picture without guidance.
    Unet,
    /// Latents to a picture.
    Decode,
    /// A preview of latents, by the linear map.
    Preview,
    /// The made picture onto the original through a mask, its colours and its seam matched.
    Composite,
}

impl Stage {
    /// In the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Encode,
        Self::Decode,
        Self::UnetGuided,
        Self::Unet,
        Self::Preview,
        Self::Composite,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Encode => "encode",
            Self::UnetGuided => "unet-guided",
            Self::Unet => "unet",
            Self::Decode => "decode",
            Self::Preview => "preview",
            Self::Composite => "composite",
        }
    }

    /// Whether it runs in the U-Net's number format.
    pub fn is_of_unet(self) -> bool {
        matches!(self, Self::UnetGuided | Self::Unet)
    }
}

/// Multiply-adds of one prompt through every text encoder.
pub fn text_work(of: &Architecture) -> u64 {
    of.texts.iter().map(|text| text.multiply_adds(TOKENS)).sum()
}

/// Multiply-adds of one evaluation for latents of `side` x `side`, where they can be counted.
pub fn unet_work(of: &Architecture, side: usize, batch: usize) -> Option<u64> {
    let sizes = Sizes { batch, height: side, width: side, tokens: TOKENS };
    multiply_adds(&of.unet, sizes)
}

/// A measuring under way.
pub struct Bench<'a> {
    pub settings: &'a Settings,
    pub device: Device,
    /// Of the U-Net.
    pub dtype: DType,
    /// Of the picture, in pixels.
    pub side: usize,
    pub told: &'a mut dyn FnMut(&Measured),
    pub done: Vec<Measured>,
}

type Result<T> = std::result::Result<T, EngineError>;

impl Bench<'_> {
    /// Every stage that is wanted; networks are there only while they are measured.
    pub fn all(&mut self, of: &Architecture) -> Result<()> {
        self.text(of)?;
        self.autoencoder(of)?;
        self.unet(of)?;
        self.preview(of)?;
        self.composite()
    }

    fn wants(&self, stage: Stage) -> bool {
        self.settings.only.is_empty() || self.settings.only.contains(&stage)
    }

    fn measure(
        &mut self,
        stage: Stage,
        multiply_adds: Option<u64>,
        work: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        if self.wants(stage) {
            let timing = Timing::of(&self.device, self.settings.repeat, work)?;
            let measured = Measured { stage, timing, multiply_adds };
            (self.told)(&measured);
            self.done.push(measured);
        }
        Ok(())
    }

    fn weights(&self, dtype: DType) -> Result<Weights<'static>> {
        Ok(Weights::random(dtype, &self.device)?)
    }

    fn random(&self, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
        Tensor::randn(0f32, 1.0, shape, &self.device).map_err(EngineError::failed)
    }

    fn text(&mut self, of: &Architecture) -> Result<()> {
        if !self.wants(Stage::Text) {
            return Ok(());
        }
        let weights = self.weights(DType::F32)?;
        let load = |text: &ClipTextConfig| ClipTextModel::load(text.clone(), &weights);
        let encoders: Vec<_> =
            of.texts.iter().map(load).collect::<std::result::Result<_, NetworkError>>()?;
        // Ends with the token that ends texts, which has the largest number.
        let ids = |vocabulary: usize| (vocabulary - TOKENS..vocabulary).map(|id| id as u32);
        let rows: Vec<Vec<u32>> =
            of.texts.iter().map(|text| ids(text.vocab_size).collect()).collect();
        self.measure(Stage::Text, Some(text_work(of)), || {
            for (encoder, row) in encoders.iter().zip(&rows) {
                let read = encoder.forward(std::slice::from_ref(row), Reading::default());
                read.map_err(EngineError::failed)?;
            }
            Ok(())
        })
    }

    fn autoencoder(&mut self, of: &Architecture) -> Result<()> {
        if !self.wants(Stage::Encode) && !self.wants(Stage::Decode) {
            return Ok(());
        }
        let config = &of.autoencoder;
        let network = AutoencoderKl::load(config.clone(), &self.weights(DType::F32)?)?;
        let (side, small) = (self.side, self.side / config.downsampling());
        let size = PictureSize { width: side, height: side };
        let picture = self.random((1, config.in_channels, side, side))?;
        self.measure(Stage::Encode, Some(encoding_work(config, size)), || {
            network.encode_moments(&picture).map(drop).map_err(EngineError::failed)
        })?;
        let latents = self.random((1, config.latent_channels, small, small))?;
        self.measure(Stage::Decode, Some(decoding_work(config, size)), || {
            network.decode(&latents).map(drop).map_err(EngineError::failed)
        })
    }

    fn unet(&mut self, of: &Architecture) -> Result<()> {
        if !self.wants(Stage::UnetGuided) && !self.wants(Stage::Unet) {
            return Ok(());
        }
        let network = UNet2DConditionModel::load(of.unet.clone(), &self.weights(self.dtype)?)?;
        let side = self.side / of.autoencoder.downsampling();
        for (stage, batch) in [(Stage::UnetGuided, 2), (Stage::Unet, 1)] {
            let sample = self.random((batch, of.unet.in_channels, side, side))?;
            let prompt = self.random((batch, TOKENS, of.unet.levels[0].context))?;
            let added = self.added(of, batch)?;
            self.measure(stage, unet_work(of, side, batch), || {
                let told = Conditioning { added: Some(&added), ..Conditioning::new(&prompt) };
                let prediction = network.forward(&sample, TIMESTEP, told);
                prediction.map(drop).map_err(EngineError::failed)
            })?;
        }
        Ok(())
    }

    /// What the U-Net is told besides, of the widths that it expects.
    fn added(&self, of: &Architecture, batch: usize) -> Result<AddedConditions> {
        let Some(AdditionConfig::TextTime { time_width, inputs }) = of.unet.addition else {
            return Ok(AddedConditions::default());
        };
        let pooled = of.texts.last().and_then(|text| text.projection).unwrap_or_default();
        let numbers = inputs.saturating_sub(pooled) / time_width;
        Ok(AddedConditions {
            text_embeds: Some(self.random((batch, pooled))?),
            time_ids: Some(self.random((batch, numbers))?),
            image_embeds: None,
        })
    }

    fn preview(&mut self, of: &Architecture) -> Result<()> {
        let small = self.side / of.autoencoder.downsampling();
        let latents = self.random((1, 4, small, small))?;
        let method = Method::Linear(LinearPreview::sd1());
        let previewer = Previewer::new(method, 1, self.extent());
        let info = StepInfo {
            index: 0,
            total: 1,
            timestep: TIMESTEP,
            latents: &latents,
            predicted_x0: None,
        };
        self.measure(Stage::Preview, None, || {
            previewer.picture(info).map(drop).map_err(EngineError::failed)
        })
    }

    /// With a mask whose edge is soft, over half of the picture.
    fn composite(&mut self) -> Result<()> {
        let extent = self.extent();
        let mut mask = Mask::new(extent);
        let width = self.side;
        for (index, coverage) in mask.bytes_mut().iter_mut().enumerate() {
            *coverage = ((index % width) * 1024 / width).saturating_sub(384).min(255) as u8;
        }
        let mut made = Picture::new(extent);
        for (index, byte) in made.bytes_mut().iter_mut().enumerate() {
            *byte = if index % 4 == 3 { 255 } else { (index % 251) as u8 };
        }
        let (original, bounds) = (Picture::new(extent), extent.bounds());
        let inner_sides = InnerSides::default();
        let hole = Hole { painted: Arc::new(mask), strength: 1.0, inner_sides };
        let through = Some(Through::new(hole, Blend::default()));
        let composite = Composite::Region { original, bounds, through };
        self.measure(Stage::Composite, None, || {
            composite.apply(made.clone());
            Ok(())
        })
    }

    fn extent(&self) -> Extent {
        Extent::new(self.side as u32, self.side as u32)
    }
}
