//! `text_encoder/config.json` and `image_encoder/config.json`, with the defaults of
//! `CLIPTextConfig` and `CLIPVisionConfig`.

use std::path::Path;

use serde_json::json;

use super::layer::LayerConfig;
use crate::networks::{Result, config::ConfigReader, layers::Activation};

/// Everything about a text encoder but its weights.
#[derive(Clone, Debug)]
pub struct ClipTextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// The longest text, in tokens: 77.
    pub max_position_embeddings: usize,
    pub activation: Activation,
    pub layer_norm_eps: f64,
    pub eos_token_id: u32,
    /// Width of the projected text, for `CLIPTextModelWithProjection`.
    pub projection: Option<usize>,
}

/// What only matters to training, to other architectures, or to the library that wrote the file.
const HARMLESS: [&str; 43] = [
    "add_cross_attention",
    "attention_dropout",
    "bos_token_id",
    "chunk_size_feed_forward",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
];

impl ClipTextConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?, false)
    }

    /// As [`open`](Self::open) for `text`, the content of `file`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        Self::read(ConfigReader::parse(file, text)?, false)
    }

    /// Multiply-adds of reading one text of `tokens` tokens: linear layers and attentions.
    pub fn multiply_adds(&self, tokens: usize) -> u64 {
        let (width, inner, tokens) =
            (self.hidden_size as u64, self.intermediate_size as u64, tokens as u64);
        let layer = tokens * (4 * width * width + 2 * width * inner + 2 * tokens * width);
        let projection = self.projection.map_or(0, |outputs| width * outputs as u64);
        self.num_hidden_layers as u64 * layer + projection
    }

    /// Of a model that is known to have a projection, whether its file names the class or not.
    /// Errors as [`open`](Self::open).
    pub fn open_projected(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?, true)
    }

    fn read(mut json: ConfigReader, is_projected: bool) -> Result<Self> {
        json.only("model_type", json!("clip_text_model"))?;
        let projection = projection(&mut json, is_projected)?;
        let config = Self {
            vocab_size: json.take_positive("vocab_size", 49408)?,
            hidden_size: json.take_positive("hidden_size", 512)?,
            intermediate_size: json.take_positive("intermediate_size", 2048)?,
            num_hidden_layers: json.take("num_hidden_layers", 12)?,
            num_attention_heads: json.take_positive("num_attention_heads", 8)?,
            max_position_embeddings: json.take_positive("max_position_embeddings", 77)?,
            activation: activation(&mut json)?,
            layer_norm_eps: json.take("layer_norm_eps", 1e-5)?,
            eos_token_id: json.take("eos_token_id", 49407)?,
            projection,
        };
        json.only("use_attention_mask", json!(false))?;
        config.layer().check(&json)?;
        finish(json)?;
        Ok(config)
    }

    pub(super) fn layer(&self) -> LayerConfig {
        LayerConfig {
            width: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            activation: self.activation,
            eps: self.layer_norm_eps,
            causal: true,
        }
    }
}

/// Everything about a picture encoder but its weights.
#[derive(Clone, Debug)]
pub struct ClipVisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Width of the picture's embedding.
    pub projection_dim: usize,
    /// Of the picture, 3.
    pub num_channels: usize,
    /// Pixels a side of the picture, and of the squares that it is cut into.
    pub image_size: usize,
    pub patch_size: usize,
    pub activation: Activation,
    pub layer_norm_eps: f64,
}

impl ClipVisionConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        json.only("model_type", json!("clip_vision_model"))?;
        let config = Self {
            hidden_size: json.take_positive("hidden_size", 768)?,
            intermediate_size: json.take_positive("intermediate_size", 3072)?,
            num_hidden_layers: json.take("num_hidden_layers", 12)?,
            num_attention_heads: json.take_positive("num_attention_heads", 12)?,
            projection_dim: json.take_positive("projection_dim", 512)?,
            num_channels: json.take_positive("num_channels", 3)?,
            image_size: json.take_positive("image_size", 224)?,
            patch_size: json.take_positive("patch_size", 32)?,
            activation: activation(&mut json)?,
            layer_norm_eps: json.take("layer_norm_eps", 1e-5)?,
        };
        if config.patch_size > config.image_size {
            return Err(json.error("patch_size", "larger than image_size"));
        }
        json.ignore(&["architectures"]);
        config.layer().check(&json)?;
        finish(json)?;
        Ok(config)
    }

    pub(super) fn layer(&self) -> LayerConfig {
        LayerConfig {
            width: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            activation: self.activation,
            eps: self.layer_norm_eps,
            causal: false,
        }
    }

    /// Squares a side; what is left over at the right and the bottom is not looked at.
    pub fn patches(&self) -> usize {
        self.image_size / self.patch_size
    }
}

impl LayerConfig {
    fn check(&self, json: &ConfigReader) -> Result<()> {
        if self.width.is_multiple_of(self.heads) {
            return Ok(());
        }
        let why = format!("does not divide hidden_size, {}", self.width);
        Err(json.error("num_attention_heads", why))
    }
}

/// What both kinds of file have besides.
fn finish(mut json: ConfigReader) -> Result<()> {
    json.only("pruned_heads", json!({}))?;
    json.ignore(&HARMLESS);
    json.finish()
}

/// Unless it is known, the class that the file was written for decides; both classes write the
/// width.
fn projection(json: &mut ConfigReader, is_projected: bool) -> Result<Option<usize>> {
    let width = json.take_positive("projection_dim", 512)?;
    let classes: Option<Vec<String>> = json.take("architectures", None)?;
    let has_it = classes.iter().flatten().any(|class| class == "CLIPTextModelWithProjection");
    Ok((is_projected || has_it).then_some(width))
}

fn activation(json: &mut ConfigReader) -> Result<Activation> {
    let name = json.take("hidden_act", "quick_gelu".to_owned())?;
    Activation::from_transformers(&name)
        .ok_or_else(|| json.error("hidden_act", "this activation is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClipTextConfig> {
        ClipTextConfig::read(
            ConfigReader::parse(Path::new("text_encoder/config.json"), text)?,
            false,
        )
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"model_type": "t5"}"#, "model_type"),
            (r#"{"hidden_act": "laplace"}"#, "hidden_act"),
            (r#"{"num_attention_heads": 7}"#, "num_attention_heads"),
            (r#"{"eos_token_id": [1, 2]}"#, "eos_token_id"),
            (r#"{"rotary": true}"#, "rotary"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("text_encoder/config.json") && error.contains(key), "{error}");
        }
    }

    #[test]
    fn picture_encoders_have_their_own_defaults() {
        let read = |text: &str| {
            let file = Path::new("image_encoder/config.json");
            ClipVisionConfig::read(ConfigReader::parse(file, text)?)
        };
        let published = r#"{"architectures": ["CLIPVisionModelWithProjection"], "patch_size": 14,
            "image_size": 29, "dropout": 0.0}"#;
        let config = read(published).unwrap();
        assert_eq!((config.hidden_size, config.patches()), (768, 2));
        for (text, key) in [
            (r#"{"model_type": "clip_text_model"}"#, "model_type"),
            (r#"{"patch_size": 225}"#, "patch_size"),
            (r#"{"num_attention_heads": 7}"#, "num_attention_heads"),
            (r#"{"windows": 3}"#, "windows"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("image_encoder/config.json") && error.contains(key), "{error}");
        }
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config =
            read(r#"{"architectures": ["CLIPTextModel"], "torch_dtype": "float32"}"#).unwrap();
        assert_eq!((config.hidden_size, config.num_hidden_layers), (512, 12));
        assert_eq!((config.eos_token_id, config.activation), (49407, Activation::QuickGelu));
        assert_eq!(config.projection, None);
        let config =
            read(r#"{"architectures": ["CLIPTextModelWithProjection"], "projection_dim": 1280}"#);
        assert_eq!(config.unwrap().projection, Some(1280));
    }
}
