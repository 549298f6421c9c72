//! Strict reading of `config.json`: every key is either understood, known not to matter, or an
//! error. A setting passed over in silence would be a wrong picture.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{NetworkError, Result};

/// A JSON object being read key by key.
pub struct ConfigReader {
    file: PathBuf,
    values: Map<String, Value>,
    seen: BTreeSet<String>,
}

/// No whole number of a network is larger: the product of three of them can still be counted.
const LARGEST: u64 = 1 << 20;

fn is_too_large(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some_and(|number| number > LARGEST),
        Value::Array(values) => values.iter().any(is_too_large),
        Value::Object(values) => values.values().any(is_too_large),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

impl ConfigReader {
    /// # Errors
    /// If the file is missing, is not JSON, or is not an object.
    pub fn open(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(NetworkError::io(file))?;
        Self::parse(file, &text)
    }

    /// Reads `text` as the content of `file`, which errors will name.
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(values)) => {
                if let Some((key, _)) = values.iter().find(|(_, value)| is_too_large(value)) {
                    let why = format!("{key:?} is larger than in any network");
                    return Err(NetworkError::damaged(file, why));
                }
                Ok(Self { file: file.to_owned(), values, seen: BTreeSet::new() })
            }
            Ok(_) => Err(NetworkError::damaged(file, "not a JSON object")),
            Err(error) => Err(NetworkError::damaged(file, error)),
        }
    }

    /// The value of `key`, or `default` where the file lacks it.
    pub fn take<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T> {
        self.seen.insert(key.to_owned());
        match self.values.get(key) {
            None => Ok(default),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|error| self.error(key, format!("not understood ({error})"))),
        }
    }

    /// A switch; `null`, which published files write for some, is off.
    pub fn take_switch(&mut self, key: &str, default: bool) -> Result<bool> {
        Ok(self.take(key, Some(default))?.unwrap_or(false))
    }

    /// A count or size that must be at least 1.
    pub fn take_positive(&mut self, key: &str, default: usize) -> Result<usize> {
        match self.take(key, default)? {
            0 => Err(self.error(key, "must be 1 or more")),
            number => Ok(number),
        }
    }

    /// Insists on the only value that is supported: `null`, or the default of the class.
    pub fn only(&mut self, key: &str, supported: Value) -> Result<()> {
        self.seen.insert(key.to_owned());
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if same(value, &supported) => Ok(()),
            Some(_) => Err(self.error(key, format!("not supported; must be {supported}"))),
        }
    }

    /// Keys that change nothing about inference.
    pub fn ignore(&mut self, keys: &[&str]) {
        self.seen.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Fails on what nobody asked for: unknown keys that are not null. Keys that begin with an
    /// underscore are notes of the library that wrote the file.
    pub fn finish(self) -> Result<()> {
        let unknown = self
            .values
            .iter()
            .find(|(key, value)| {
                !key.starts_with('_') && !value.is_null() && !self.seen.contains(*key)
            })
            .map(|(key, _)| key.clone());
        match unknown {
            Some(key) => Err(self.error(&key, "this setting is not known, so it cannot be heeded")),
            None => Ok(()),
        }
    }

    /// An error about the value of `key`.
    pub fn error(&self, key: &str, why: impl Into<String>) -> NetworkError {
        let value = self.values.get(key).map_or("absent".to_owned(), Value::to_string);
        NetworkError::Config {
            file: self.file.clone(),
            key: key.to_owned(),
            value,
            why: why.into(),
        }
    }
}

/// Equal, where 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// `8`, or `[5, 10, 20, 20]`: one value for every level, or one each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    /// One value a level; `None` if their number is not `levels`.
    pub fn spread(self, levels: usize) -> Option<Vec<T>> {
        match self {
            Self::One(value) => Some(vec![value; levels]),
            Self::Many(values) => (values.len() == levels).then_some(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(text: &str) -> ConfigReader {
        ConfigReader::parse(Path::new("unet/config.json"), text).unwrap()
    }

    #[test]
    fn unknown_keys_are_errors_that_name_them() {
        let mut config = reader(r#"{"_class_name": "X", "a": 3, "gone": null, "b": true}"#);
        assert_eq!(config.take("a", 1usize).unwrap(), 3);
        let text = config.finish().unwrap_err().to_string();
        assert!(text.contains("unet/config.json") && text.contains("\"b\" is true"), "{text}");
    }

    #[test]
    fn numbers_that_no_network_has_are_refused() {
        for text in [r#"{"a": 18446744073709551615}"#, r#"{"b": 1, "a": [2, 9223372036854775807]}"#]
        {
            let refused = ConfigReader::parse(Path::new("unet/config.json"), text);
            let text = refused.err().unwrap().to_string();
            assert!(text.contains("unet/config.json") && text.contains("\"a\""), "{text}");
        }
        reader(r#"{"ok": [1048576, 1e30, -1]}"#);
    }

    #[test]
    fn unsupported_values_are_errors() {
        let mut config = reader(r#"{"scale": 1.0, "kind": "gated", "n": 0}"#);
        config.only("scale", 1.into()).unwrap();
        assert!(config.only("kind", "default".into()).is_err());
        assert!(config.take_positive("n", 1).is_err());
        assert!(config.take("kind", 3usize).is_err());
        assert_eq!(config.take_positive("absent", 7).unwrap(), 7);
    }

    #[test]
    fn lists_must_have_one_value_a_level() {
        let mut config = reader(r#"{"one": 8, "many": [5, 10]}"#);
        let one: OneOrMany<usize> = config.take("one", OneOrMany::One(1)).unwrap();
        let many: OneOrMany<usize> = config.take("many", OneOrMany::One(1)).unwrap();
        assert_eq!(one.spread(3), Some(vec![8; 3]));
        assert_eq!(many.clone().spread(2), Some(vec![5, 10]));
        assert_eq!(many.spread(3), None);
    }

    #[test]
    fn broken_json_names_the_file() {
        let error = ConfigReader::parse(Path::new("vae/config.json"), "{\"a\": ").err().unwrap();
        assert!(error.to_string().contains("vae/config.json"));
    }
}
