//! The architectures of published models, as data.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    engine::EngineError,
    networks::{AutoencoderConfig, ClipTextConfig, UNetConfig},
};

/// Component by component what the models' own `config.json`s say; where there is a `base`, what
/// differs from that. `tests/reference/bench.py` reads the same file.
const TABLE: &str = include_str!("architectures.json");

/// A model without its weights.
pub struct Architecture {
    pub name: String,
    /// The side that it was made for, in pixels.
    pub side: usize,
    pub unet: UNetConfig,
    pub autoencoder: AutoencoderConfig,
    pub texts: Vec<ClipTextConfig>,
}

/// What there is.
pub fn names() -> Vec<String> {
    table().keys().cloned().collect()
}

/// The architecture of that name.
///
/// # Errors
/// If there is none; the error lists those there are.
pub fn find(name: &str) -> Result<Architecture, EngineError> {
    let table = table();
    let Some(whole) = resolved(&table, name) else {
        let known: Vec<&str> = table.keys().map(String::as_str).collect();
        return Err(EngineError::invalid(format!(
            "no architecture `{name}`; there are {}",
            known.join(", ")
        )));
    };
    let file = |part: &str| format!("{name}/{part}/config.json");
    let texts = whole["text_encoders"].as_array().into_iter().flatten();
    Ok(Architecture {
        name: name.to_owned(),
        side: whole["side"].as_u64().unwrap_or_default() as usize,
        unet: UNetConfig::parse(Path::new(&file("unet")), &whole["unet"].to_string())?,
        autoencoder: AutoencoderConfig::parse(Path::new(&file("vae")), &whole["vae"].to_string())?,
        texts: texts
            .map(|text| ClipTextConfig::parse(Path::new(&file("text_encoder")), &text.to_string()))
            .collect::<Result<_, _>>()?,
    })
}

fn table() -> Map<String, Value> {
    // The file is part of the program; a test reads all of it.
    serde_json::from_str(TABLE).unwrap_or_default()
}

/// An entry over its base.
fn resolved(table: &Map<String, Value>, name: &str) -> Option<Value> {
    let own = table.get(name)?;
    let Some(base) = own["base"].as_str() else { return Some(own.clone()) };
    let mut whole = resolved(table, base)?;
    lay_over(&mut whole, own);
    Some(whole)
}

/// Objects are joined key by key; everything else is replaced.
fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_is_understood() {
        let names = names();
        assert!(names.len() >= 7);
        for name in names {
            let found = find(&name).unwrap();
            assert!(found.side.is_multiple_of(64), "{name}");
            assert!(!found.texts.is_empty(), "{name}");
        }
        assert_eq!(find("sdxl-inpaint").unwrap().unet.in_channels, 9);
        assert_eq!(find("sdxl-inpaint").unwrap().texts.len(), 2);
        let error = find("sd16").err().unwrap().to_string();
        assert!(error.contains("sd16") && error.contains("sdxl-inpaint"), "{error}");
    }
}
