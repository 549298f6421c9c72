//! `vae/config.json`, with the defaults of `AutoencoderKL`.

use std::path::Path;

use serde_json::Value;

use crate::networks::{Result, config::ConfigReader, layers::Activation};

/// Everything about an autoencoder but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoencoderConfig {
    /// Of the picture, 3.
    pub in_channels: usize,
    /// Of the decoded picture, 3.
    pub out_channels: usize,
    pub latent_channels: usize,
    /// From the finest down.
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub activation: Activation,
    pub norm_num_groups: usize,
    /// Latents are multiplied by it after encoding, and divided before decoding.
    pub scaling_factor: f64,
    pub use_quant_conv: bool,
    pub use_post_quant_conv: bool,
    pub mid_block_add_attention: bool,
}

impl AutoencoderConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    /// As [`open`](Self::open) for `text`, the content of `file`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        Self::read(ConfigReader::parse(file, text)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        let block_out_channels: Vec<usize> = json.take("block_out_channels", vec![64])?;
        let count = block_out_channels.len();
        if count == 0 || block_out_channels.contains(&0) {
            return Err(json.error("block_out_channels", "needs channels for one block or more"));
        }
        only_blocks(&mut json, "down_block_types", "DownEncoderBlock2D", count)?;
        only_blocks(&mut json, "up_block_types", "UpDecoderBlock2D", count)?;
        let config = Self {
            in_channels: json.take_positive("in_channels", 3)?,
            out_channels: json.take_positive("out_channels", 3)?,
            latent_channels: json.take_positive("latent_channels", 4)?,
            block_out_channels,
            layers_per_block: json.take_positive("layers_per_block", 1)?,
            activation: activation(&mut json)?,
            norm_num_groups: json.take_positive("norm_num_groups", 32)?,
            scaling_factor: json.take("scaling_factor", 0.18215)?,
            use_quant_conv: json.take("use_quant_conv", true)?,
            use_post_quant_conv: json.take("use_post_quant_conv", true)?,
            mid_block_add_attention: json.take("mid_block_add_attention", true)?,
        };
        json.only("latents_mean", Value::Null)?;
        json.only("latents_std", Value::Null)?;
        json.only("shift_factor", Value::Null)?;
        // Which formats it survives is for the caller to know: it runs in f32 here.
        json.ignore(&["force_upcast", "sample_size"]);
        config.check(&json)?;
        json.finish()?;
        Ok(config)
    }

    fn check(&self, json: &ConfigReader) -> Result<()> {
        let groups = self.norm_num_groups;
        if let Some(channels) = self.block_out_channels.iter().find(|c| *c % groups != 0) {
            let why = format!("does not divide the {channels} channels of a block");
            return Err(json.error("norm_num_groups", why));
        }
        if !(self.scaling_factor.is_finite() && self.scaling_factor != 0.0) {
            return Err(json.error("scaling_factor", "latents cannot be divided by it"));
        }
        Ok(())
    }

    /// How many pixels of the picture make one of the latents, in each direction: 8 as a rule.
    pub fn downsampling(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

fn only_blocks(json: &mut ConfigReader, key: &str, name: &str, count: usize) -> Result<()> {
    let types: Vec<String> = json.take(key, vec![name.to_owned()])?;
    if types.len() != count {
        return Err(json.error(key, format!("needs {count} blocks, as many as block_out_channels")));
    }
    match types.iter().all(|block| block == name) {
        true => Ok(()),
        false => Err(json.error(key, format!("only {name} is supported"))),
    }
}

fn activation(json: &mut ConfigReader) -> Result<Activation> {
    let name = json.take("act_fn", "silu".to_owned())?;
    Activation::from_diffusers(&name)
        .ok_or_else(|| json.error("act_fn", "this activation is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AutoencoderConfig> {
        AutoencoderConfig::read(ConfigReader::parse(Path::new("vae/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read("{}").unwrap();
        assert_eq!(config.block_out_channels, [64]);
        assert_eq!((config.scaling_factor, config.downsampling()), (0.18215, 1));
        assert!(config.use_quant_conv && config.mid_block_add_attention);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"down_block_types": ["AttnDownEncoderBlock2D"]}"#, "down_block_types"),
            (r#"{"block_out_channels": [32, 64]}"#, "down_block_types"),
            (r#"{"latents_mean": [0, 1, 2, 3]}"#, "latents_mean"),
            (r#"{"norm_num_groups": 5}"#, "norm_num_groups"),
            (r#"{"scaling_factor": 0}"#, "scaling_factor"),
            (r#"{"new_thing": 1}"#, "new_thing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("vae/config.json") && error.contains(key), "{error}");
        }
    }
}
