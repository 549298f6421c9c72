//! The `config.json` of a tiny autoencoder, with the defaults of `AutoencoderTiny`, which are
//! those of TAESD and TAESDXL.

use std::path::Path;

use crate::networks::{Result, config::ConfigReader, layers::Activation};

/// Everything about a tiny autoencoder but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct TinyAutoencoderConfig {
    /// Of the picture, 3.
    pub in_channels: usize,
    /// Of the decoded picture, 3.
    pub out_channels: usize,
    pub latent_channels: usize,
    /// Channels and number of residual blocks of each level, from the finest down.
    pub encoder: Vec<(usize, usize)>,
    /// The same of the decoder, from the coarsest up.
    pub decoder: Vec<(usize, usize)>,
    pub activation: Activation,
    /// How much each level of the decoder enlarges.
    pub upsampling: usize,
    /// Latents are multiplied by it after encoding, and divided before decoding; 1 as a rule,
    /// because the network works on the latents that the denoiser sees.
    pub scaling_factor: f64,
}

impl TinyAutoencoderConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    /// What a file of weights without a `config.json` is taken for.
    pub fn taesd() -> Self {
        let encoder = [1, 3, 3, 3].map(|blocks| (64, blocks)).to_vec();
        let decoder = [3, 3, 3, 1].map(|blocks| (64, blocks)).to_vec();
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            encoder,
            decoder,
            activation: Activation::Relu,
            upsampling: 2,
            scaling_factor: 1.0,
        }
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        let usual = Self::taesd();
        let activation = json.take("act_fn", "relu".to_owned())?;
        let activation = Activation::from_diffusers(&activation)
            .ok_or_else(|| json.error("act_fn", "this activation is not known"))?;
        let config = Self {
            in_channels: json.take_positive("in_channels", usual.in_channels)?,
            out_channels: json.take_positive("out_channels", usual.out_channels)?,
            latent_channels: json.take_positive("latent_channels", usual.latent_channels)?,
            encoder: levels(&mut json, "encoder", &usual.encoder)?,
            decoder: levels(&mut json, "decoder", &usual.decoder)?,
            activation,
            upsampling: json.take_positive("upsampling_scaling_factor", usual.upsampling)?,
            scaling_factor: json.take("scaling_factor", usual.scaling_factor)?,
        };
        if !(config.scaling_factor.is_finite() && config.scaling_factor != 0.0) {
            return Err(json.error("scaling_factor", "latents cannot be divided by it"));
        }
        json.only("upsample_fn", "nearest".into())?;
        json.only("shift_factor", 0.0.into())?;
        // The first two store latents as bytes; the others repeat what is said above.
        json.ignore(&["latent_magnitude", "latent_shift", "force_upcast", "block_out_channels"]);
        json.finish()?;
        Ok(config)
    }

    /// How many pixels of the picture make one of the latents, in each direction: 8 as a rule.
    pub fn downsampling(&self) -> usize {
        1 << (self.encoder.len() - 1)
    }
}

/// Channels and blocks of one half's levels.
fn levels(
    json: &mut ConfigReader,
    half: &str,
    usual: &[(usize, usize)],
) -> Result<Vec<(usize, usize)>> {
    let channels_key = format!("{half}_block_out_channels");
    let blocks_key = format!("num_{half}_blocks");
    let (channels, blocks): (Vec<usize>, Vec<usize>) = usual.iter().copied().unzip();
    let channels: Vec<usize> = json.take(&channels_key, channels)?;
    let blocks: Vec<usize> = json.take(&blocks_key, blocks)?;
    if channels.is_empty() || channels.contains(&0) {
        return Err(json.error(&channels_key, "needs channels for one level or more"));
    }
    if channels.windows(2).any(|pair| pair[0] != pair[1]) {
        let why = "levels of different widths do not fit each other in this network";
        return Err(json.error(&channels_key, why));
    }
    if blocks.len() != channels.len() {
        return Err(json.error(&blocks_key, format!("must have {} numbers", channels.len())));
    }
    Ok(channels.into_iter().zip(blocks).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TinyAutoencoderConfig> {
        TinyAutoencoderConfig::read(ConfigReader::parse(Path::new("vae/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read("{}").unwrap();
        assert_eq!(config.decoder, [(64, 3), (64, 3), (64, 3), (64, 1)]);
        assert_eq!((config.downsampling(), config.scaling_factor), (8, 1.0));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"encoder_block_out_channels": [32, 64]}"#, "encoder_block_out_channels"),
            (r#"{"num_decoder_blocks": [3]}"#, "num_decoder_blocks"),
            (r#"{"upsample_fn": "bilinear"}"#, "upsample_fn"),
            (r#"{"scaling_factor": 0}"#, "scaling_factor"),
            (r#"{"act_fn": "sine"}"#, "act_fn"),
            (r#"{"new_thing": 1}"#, "new_thing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("vae/config.json") && error.contains(key), "{error}");
        }
    }
}
