//! `AutoencoderTiny` (TAESD and its kin): a few plain convolutions that do about what the whole
//! autoencoder does, in a hundredth of the time. For previews and quick decodes.

mod config;

use candle_core::{DType, Module, Result, Tensor, bail};

pub use self::config::TinyAutoencoderConfig;
use super::{
    Result as LoadResult, Weights,
    layers::{Activation, Conv2d},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct TinyAutoencoder {
    /// Not in files that hold the decoder alone.
    encoder: Option<Vec<Layer>>,
    decoder: Vec<Layer>,
    dtype: DType,
    config: TinyAutoencoderConfig,
}

#[derive(Clone, Debug)]
enum Layer {
    Conv(Conv2d),
    Block(Block),
    Activation(Activation),
    /// Repeats each pixel so many times in both directions.
    Enlarge(usize),
}

/// Three convolutions around which the input is added.
#[derive(Clone, Debug)]
struct Block {
    convs: [Conv2d; 3],
    activation: Activation,
}

/// Beyond this latents are bent back, softly.
const LATENT_RANGE: f64 = 3.0;

impl TinyAutoencoder {
    /// Weights as `diffusers` stores them (`encoder.layers.0.weight`), or a decoder alone as TAESD's
    /// own files have it (`1.weight`: the bending of latents is layer 0 there).
    ///
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: TinyAutoencoderConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let alone = weights.contains("1.weight") && !weights.contains("decoder.layers.0.weight");
        let (encoder, decoder) = if alone {
            (None, Sequence::new(weights.clone(), 1).decoder(&config)?)
        } else {
            let half = |name: &str| Sequence::new(weights.pp(name).pp("layers"), 0);
            (Some(half("encoder").encoder(&config)?), half("decoder").decoder(&config)?)
        };
        Ok(Self { encoder, decoder, dtype: weights.dtype(), config })
    }

    pub fn config(&self) -> &TinyAutoencoderConfig {
        &self.config
    }

    /// A picture [B, 3, H, W] in [-1, 1] to latents [B, C, H / 8, W / 8], not yet multiplied by the
    /// scaling factor. There is no distribution to draw from.
    ///
    /// # Errors
    /// If the size does not fit, or the weights hold a decoder only.
    pub fn encode(&self, picture: &Tensor) -> Result<Tensor> {
        let Some(encoder) = &self.encoder else {
            bail!("this tiny autoencoder holds a decoder only, so it cannot encode a picture");
        };
        let (_, channels, height, width) = picture.dims4()?;
        let factor = self.config.downsampling();
        if channels != self.config.in_channels {
            let right = self.config.in_channels;
            bail!("the autoencoder takes {right} channels, but the picture has {channels}");
        }
        if height == 0 || width == 0 || height % factor != 0 || width % factor != 0 {
            bail!("the picture is {width}x{height}, but both must be multiples of {factor}");
        }
        // The network's colours are 0 to 1.
        run(encoder, ((picture.to_dtype(self.dtype)? + 1.0)? / 2.0)?)
    }

    /// Latents [B, C, h, w], divided by the scaling factor, to a picture [B, 3, 8 h, 8 w], about
    /// [-1, 1], in the network's dtype.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let channels = latents.dim(1)?;
        if channels != self.config.latent_channels {
            let right = self.config.latent_channels;
            bail!("the autoencoder takes {right} channels, but the latents have {channels}");
        }
        let bent = ((latents.to_dtype(self.dtype)? / LATENT_RANGE)?.tanh()? * LATENT_RANGE)?;
        (run(&self.decoder, bent)? * 2.0)? - 1.0
    }
}

fn run(layers: &[Layer], x: Tensor) -> Result<Tensor> {
    layers.iter().try_fold(x, |x, layer| layer.forward(&x))
}

impl Module for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
            Self::Activation(activation) => activation.forward(x),
            Self::Enlarge(factor) => {
                let (_, _, height, width) = x.dims4()?;
                x.upsample_nearest2d(height * factor, width * factor)
            }
        }
    }
}

impl Block {
    fn load(weights: &Weights<'_>, channels: usize, activation: Activation) -> LoadResult<Self> {
        let conv =
            |index: usize| Conv2d::load(&weights.pp("conv").pp(index), channels, channels, 3);
        Ok(Self { convs: [conv(0)?, conv(2)?, conv(4)?], activation })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.convs;
        let hidden = self.activation.forward(&first.forward(x)?)?;
        let hidden = self.activation.forward(&second.forward(&hidden)?)?;
        // Always this one, whatever the others are.
        (third.forward(&hidden)? + x)?.relu()
    }
}

/// Layers that are numbered in the order in which they run.
struct Sequence<'a> {
    weights: Weights<'a>,
    next: usize,
    layers: Vec<Layer>,
}

impl<'a> Sequence<'a> {
    fn new(weights: Weights<'a>, first: usize) -> Self {
        Self { weights, next: first, layers: Vec::new() }
    }

    /// The place of the next layer's weights.
    fn place(&mut self) -> Weights<'a> {
        self.next += 1;
        self.weights.pp(self.next - 1)
    }

    fn push(&mut self, layer: Layer) {
        self.next += 1;
        self.layers.push(layer);
    }

    fn conv(&mut self, inputs: usize, outputs: usize) -> LoadResult<()> {
        let conv = Conv2d::load(&self.place(), inputs, outputs, 3)?;
        self.layers.push(Layer::Conv(conv));
        Ok(())
    }

    fn conv_without_bias(&mut self, channels: usize, stride: usize) -> LoadResult<()> {
        let conv = Conv2d::load_without_bias(&self.place(), channels, channels, 3, stride, 1)?;
        self.layers.push(Layer::Conv(conv));
        Ok(())
    }

    fn blocks(&mut self, channels: usize, count: usize, activation: Activation) -> LoadResult<()> {
        for _ in 0..count {
            let block = Block::load(&self.place(), channels, activation)?;
            self.layers.push(Layer::Block(block));
        }
        Ok(())
    }

    fn encoder(mut self, config: &TinyAutoencoderConfig) -> LoadResult<Vec<Layer>> {
        for (level, &(channels, blocks)) in config.encoder.iter().enumerate() {
            if level == 0 {
                self.conv(config.in_channels, channels)?;
            } else {
                self.conv_without_bias(channels, 2)?;
            }
            self.blocks(channels, blocks, config.activation)?;
        }
        let last = config.encoder.last().map_or(0, |level| level.0);
        self.conv(last, config.latent_channels)?;
        Ok(self.layers)
    }

    fn decoder(mut self, config: &TinyAutoencoderConfig) -> LoadResult<Vec<Layer>> {
        let first = config.decoder.first().map_or(0, |level| level.0);
        self.conv(config.latent_channels, first)?;
        self.push(Layer::Activation(config.activation));
        for (level, &(channels, blocks)) in config.decoder.iter().enumerate() {
            self.blocks(channels, blocks, config.activation)?;
            if level + 1 == config.decoder.len() {
                self.conv(channels, config.out_channels)?;
            } else {
                self.push(Layer::Enlarge(config.upsampling));
                self.conv_without_bias(channels, 1)?;
            }
        }
        Ok(self.layers)
    }
}
