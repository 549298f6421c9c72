//! The configurations that PEFT leaves in a file's header, under `lora_adapter_metadata`: for each
//! network `unet.r`, `unet.lora_alpha`, `unet.alpha_pattern` ...

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{keys::Part, scale::LayerScale};

/// The name of the header's entry.
pub const ENTRY: &str = "lora_adapter_metadata";

/// Those of all networks.
#[derive(Debug)]
pub struct PeftConfig(BTreeMap<Part, LoraConfig>);

/// The values of PEFT's class of this name that matter here, with its defaults.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct LoraConfig {
    lora_alpha: f64,
    /// By module: the end of its path, which may begin with `^` when it is all of it.
    alpha_pattern: BTreeMap<String, f64>,
    /// Divide by the root of the rank instead.
    use_rslora: bool,
    use_dora: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        let alpha_pattern = BTreeMap::new();
        Self { lora_alpha: 8.0, alpha_pattern, use_rslora: false, use_dora: false }
    }
}

impl PeftConfig {
    /// # Errors
    /// What is wrong with it, or cannot be done.
    pub fn parse(text: &str) -> Result<Self, String> {
        let all: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("{ENTRY}: {error}"))?;
        let parts = [
            (Part::Unet, "unet."),
            (Part::TextEncoder, "text_encoder."),
            (Part::TextEncoder2, "text_encoder_2."),
        ];
        let mut found = BTreeMap::new();
        for (part, prefix) in parts {
            let own: Map<String, Value> = all
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.into(), value.clone())))
                .collect();
            if own.is_empty() {
                continue;
            }
            let config: LoraConfig = serde_json::from_value(Value::Object(own))
                .map_err(|error| format!("{ENTRY}: {error}"))?;
            config.check()?;
            found.insert(part, config);
        }
        Ok(Self(found))
    }

    /// `None` where the file says nothing about the network.
    pub fn scale(&self, layer: &LayerScale<'_>) -> Option<f64> {
        let config = self.0.get(&layer.part)?;
        let mut patterns = config.alpha_pattern.iter();
        let alpha = patterns
            .find_map(|(pattern, alpha)| matches(pattern, layer.path).then_some(*alpha))
            .unwrap_or(config.lora_alpha);
        let rank = layer.rank as f64;
        Some(alpha / if config.use_rslora { rank.sqrt() } else { rank })
    }
}

impl LoraConfig {
    fn check(&self) -> Result<(), String> {
        if self.use_dora {
            return Err("this is a DoRA (LoRA with a magnitude for each output), which is not \
                        supported; get it as a plain LoRA"
                .into());
        }
        let odd = |pattern: &&String| pattern.contains(|c: char| "*+?()[]{}|$\\".contains(c));
        match self.alpha_pattern.keys().find(odd) {
            Some(pattern) => Err(format!(
                "{ENTRY}: the alpha pattern {pattern:?} is a regular expression, which is not read"
            )),
            None => Ok(()),
        }
    }
}

/// Whether the pattern is the path, or whole segments at its end.
fn matches(pattern: &str, path: &str) -> bool {
    let (whole, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let pattern = pattern.strip_prefix("text_model.").unwrap_or(pattern);
    match path.strip_suffix(pattern) {
        Some("") => true,
        Some(start) => !whole && start.ends_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(text: &str, path: &str) -> Option<f64> {
        let layer = LayerScale { part: Part::Unet, path, rank: 4, alpha: None, kohya: None };
        PeftConfig::parse(text).unwrap().scale(&layer)
    }

    #[test]
    fn patterns_match_ends_of_paths() {
        let text =
            r#"{"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 2, "^conv_in": 1}}"#;
        assert_eq!(scale(text, "mid_block.attn1.to_q"), Some(0.5));
        assert_eq!(scale(text, "mid_block.other_attn1.to_q"), Some(2.0));
        assert_eq!(scale(text, "conv_in"), Some(0.25));
        assert_eq!(scale(text, "x.conv_in"), Some(2.0));
        assert_eq!(scale(r#"{"text_encoder.r": 4}"#, "conv_in"), None);
        assert_eq!(scale(r#"{"unet.use_rslora": true}"#, "conv_in"), Some(4.0));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(PeftConfig::parse(r#"{"unet.use_dora": true}"#).unwrap_err().contains("DoRA"));
        let pattern = r#"{"unet.alpha_pattern": {"to_(q|k)": 1}}"#;
        assert!(PeftConfig::parse(pattern).unwrap_err().contains("regular expression"));
        assert!(PeftConfig::parse("[]").is_err());
    }
}
