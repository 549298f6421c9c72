//! `movq/config.json`, with the defaults of `VQModel`.

use std::path::Path;

use serde_json::json;

use super::norm::{NormConfig, SPATIAL_GROUPS};
use crate::networks::{Result, config::ConfigReader, layers::Activation};

/// Everything about a MoVQ but its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct MovqConfig {
    /// Of the picture, 3.
    pub in_channels: usize,
    /// Of the decoded picture, 3.
    pub out_channels: usize,
    pub latent_channels: usize,
    /// From the finest down.
    pub block_out_channels: Vec<usize>,
    /// Whether a block of the encoder has attention, from the finest down.
    pub down_attention: Vec<bool>,
    /// Whether a block of the decoder has attention, from the coarsest up.
    pub up_attention: Vec<bool>,
    pub layers_per_block: usize,
    pub activation: Activation,
    pub norm_num_groups: usize,
    pub mid_block_add_attention: bool,
    /// The decoder's normalisations are scaled and shifted by what the latents are at each place.
    pub spatial_norm: bool,
}

impl MovqConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        let block_out_channels: Vec<usize> = json.take("block_out_channels", vec![64])?;
        let count = block_out_channels.len();
        if count == 0 || block_out_channels.contains(&0) {
            return Err(json.error("block_out_channels", "needs channels for one block or more"));
        }
        let config = Self {
            in_channels: json.take_positive("in_channels", 3)?,
            out_channels: json.take_positive("out_channels", 3)?,
            latent_channels: json.take_positive("latent_channels", 3)?,
            block_out_channels,
            down_attention: blocks(&mut json, "down_block_types", "DownEncoderBlock2D", count)?,
            up_attention: blocks(&mut json, "up_block_types", "UpDecoderBlock2D", count)?,
            layers_per_block: json.take_positive("layers_per_block", 1)?,
            activation: activation(&mut json)?,
            norm_num_groups: json.take_positive("norm_num_groups", 32)?,
            mid_block_add_attention: json.take("mid_block_add_attention", true)?,
            spatial_norm: spatial_norm(&mut json)?,
        };
        // The code book goes unused: Kandinsky's pipelines decode with `force_not_quantize`, and
        // encoding does not quantise either. Nor do they scale latents.
        json.ignore(&["num_vq_embeddings", "scaling_factor"]);
        json.only("lookup_from_codebook", json!(false))?;
        // Which formats it survives is for the caller to know: it runs in f32 here.
        json.ignore(&["force_upcast", "sample_size"]);
        config.check(&mut json)?;
        json.finish()?;
        Ok(config)
    }

    fn check(&self, json: &mut ConfigReader) -> Result<()> {
        let width: Option<usize> = json.take("vq_embed_dim", None)?;
        if width.is_some_and(|width| width != self.latent_channels) {
            let why = format!("only latent_channels, {}, is supported", self.latent_channels);
            return Err(json.error("vq_embed_dim", why));
        }
        let groups = self.norm_num_groups;
        if let Some(channels) = self.block_out_channels.iter().find(|c| *c % groups != 0) {
            let why = format!("does not divide the {channels} channels of a block");
            return Err(json.error("norm_num_groups", why));
        }
        let groups = SPATIAL_GROUPS;
        if self.spatial_norm && self.block_out_channels.iter().any(|c| c % groups != 0) {
            let why = format!("spatial normalisation needs multiples of {groups}");
            return Err(json.error("block_out_channels", why));
        }
        Ok(())
    }

    /// How many pixels of the picture make one of the latents, in each direction: 8 as a rule.
    pub fn downsampling(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    pub(super) fn encoder_norm(&self) -> NormConfig {
        NormConfig::Group { groups: self.norm_num_groups }
    }

    pub(super) fn decoder_norm(&self) -> NormConfig {
        match self.spatial_norm {
            true => NormConfig::Spatial { latents: self.latent_channels },
            false => self.encoder_norm(),
        }
    }
}

/// Whether each block has attention: `plain` blocks have none, those with `Attn` before it have.
fn blocks(json: &mut ConfigReader, key: &str, plain: &str, count: usize) -> Result<Vec<bool>> {
    let attention = format!("Attn{plain}");
    let types: Vec<String> = json.take(key, vec![plain.to_owned()])?;
    if types.len() != count {
        return Err(json.error(key, format!("needs {count} blocks, as many as block_out_channels")));
    }
    match types.iter().all(|block| block == plain || *block == attention) {
        true => Ok(types.iter().map(|block| *block == attention).collect()),
        false => Err(json.error(key, format!("only {plain} and {attention} are supported"))),
    }
}

fn spatial_norm(json: &mut ConfigReader) -> Result<bool> {
    match json.take("norm_type", "group".to_owned())?.as_str() {
        "group" => Ok(false),
        "spatial" => Ok(true),
        _ => Err(json.error("norm_type", "only \"group\" and \"spatial\" are supported")),
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

    fn read(text: &str) -> Result<MovqConfig> {
        MovqConfig::read(ConfigReader::parse(Path::new("movq/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read("{}").unwrap();
        assert_eq!((config.latent_channels, config.downsampling()), (3, 1));
        assert!(!config.spatial_norm && config.mid_block_add_attention);
        assert_eq!((config.down_attention, config.up_attention), (vec![false], vec![false]));
    }

    #[test]
    fn as_published() {
        let config = read(
            r#"{"_class_name": "VQModel", "norm_type": "spatial", "scaling_factor": 0.18215,
                "down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
                "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
                "block_out_channels": [128, 256], "latent_channels": 4, "vq_embed_dim": 4,
                "num_vq_embeddings": 16384}"#,
        )
        .unwrap();
        assert_eq!(config.downsampling(), 2);
        assert_eq!(config.down_attention, [false, true]);
        assert_eq!(config.up_attention, [true, false]);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"down_block_types": ["CrossAttnDownBlock2D"]}"#, "down_block_types"),
            (r#"{"block_out_channels": [32, 64]}"#, "down_block_types"),
            (r#"{"norm_num_groups": 5}"#, "norm_num_groups"),
            (r#"{"norm_type": "layer"}"#, "norm_type"),
            (r#"{"vq_embed_dim": 8}"#, "vq_embed_dim"),
            (r#"{"lookup_from_codebook": true}"#, "lookup_from_codebook"),
            (
                r#"{"norm_type": "spatial", "block_out_channels": [48], "norm_num_groups": 8}"#,
                "block_out_channels",
            ),
            (r#"{"new_thing": 1}"#, "new_thing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("movq/config.json") && error.contains(key), "{error}");
        }
    }
}
