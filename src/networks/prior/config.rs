//! `prior/config.json`, with the defaults of `PriorTransformer`.

use std::path::Path;

use serde_json::json;

use crate::networks::{Result, config::ConfigReader, layers::Activation};

/// What stands after the text in the sequence: the text as a whole, the time, the noisy embedding,
/// and the place where the answer is read.
pub(super) const EXTRAS: usize = 4;

/// Everything about a prior but its weights.
#[derive(Clone, Debug)]
pub struct PriorConfig {
    pub heads: usize,
    pub head_width: usize,
    pub layers: usize,
    /// Width of the picture's embedding, and of the text's states.
    pub embedding_dim: usize,
    /// Width of the text as a whole.
    pub text_width: usize,
    /// The longest text, in tokens: 77.
    pub tokens: usize,
    pub time_activation: Activation,
    /// Width between the two layers of the time embedding.
    pub time_width: usize,
    /// Whether the sequence is normalised before the blocks.
    pub norm_in: bool,
    /// Whether the text as a whole is normalised before its projection.
    pub text_norm: bool,
}

impl PriorConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        let heads = json.take_positive("num_attention_heads", 32)?;
        let head_width = json.take_positive("attention_head_dim", 64)?;
        let embedding_dim = json.take_positive("embedding_dim", 768)?;
        let time_width: Option<usize> = json.take("time_embed_dim", None)?;
        let text_width: Option<usize> = json.take("embedding_proj_dim", None)?;
        let config = Self {
            heads,
            head_width,
            layers: json.take("num_layers", 20)?,
            embedding_dim,
            text_width: text_width.filter(|width| *width > 0).unwrap_or(embedding_dim),
            tokens: json.take_positive("num_embeddings", 77)?,
            time_activation: time_activation(&mut json)?,
            time_width: time_width.filter(|width| *width > 0).unwrap_or(heads * head_width),
            norm_in: has_norm(&mut json, "norm_in_type")?,
            text_norm: has_norm(&mut json, "embedding_proj_norm_type")?,
        };
        let out: Option<usize> = json.take("clip_embed_dim", None)?;
        if out.is_some_and(|out| out != embedding_dim) {
            let why = format!("only embedding_dim, {embedding_dim}, is supported");
            return Err(json.error("clip_embed_dim", why));
        }
        json.only("additional_embeddings", json!(EXTRAS))?;
        json.only("added_emb_type", json!("prd"))?;
        json.only("encoder_hid_proj_type", json!("linear"))?;
        json.ignore(&["dropout"]);
        json.finish()?;
        Ok(config)
    }

    /// Width of the blocks.
    pub fn inner(&self) -> usize {
        self.heads * self.head_width
    }
}

fn time_activation(json: &mut ConfigReader) -> Result<Activation> {
    let name = json.take("time_embed_act_fn", "silu".to_owned())?;
    Activation::from_diffusers(&name)
        .ok_or_else(|| json.error("time_embed_act_fn", "this activation is not known"))
}

fn has_norm(json: &mut ConfigReader, key: &str) -> Result<bool> {
    match json.take::<Option<String>>(key, None)?.as_deref() {
        None => Ok(false),
        Some("layer") => Ok(true),
        Some(_) => Err(json.error(key, "only \"layer\" and null are supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PriorConfig> {
        PriorConfig::read(ConfigReader::parse(Path::new("prior/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read(r#"{"clip_embed_dim": 768, "additional_embeddings": 4}"#).unwrap();
        assert_eq!((config.inner(), config.layers, config.tokens), (2048, 20, 77));
        assert_eq!((config.time_width, config.text_width), (2048, 768));
        assert!(!config.norm_in && !config.text_norm);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"clip_embed_dim": 5}"#, "clip_embed_dim"),
            (r#"{"added_emb_type": "none"}"#, "added_emb_type"),
            (r#"{"additional_embeddings": 3}"#, "additional_embeddings"),
            (r#"{"norm_in_type": "group"}"#, "norm_in_type"),
            (r#"{"time_embed_act_fn": "snake"}"#, "time_embed_act_fn"),
            (r#"{"new_thing": 1}"#, "new_thing"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("prior/config.json") && error.contains(key), "{error}");
        }
    }
}
