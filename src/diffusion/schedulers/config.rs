//! scheduler_config.json, read the way `diffusers` does: a class keeps the keys that it knows and
//! takes its own defaults for the rest, also when it stands in for the class that the file names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::diffusion::{Error, Result};

/// A scheduler's configuration as stored, before any class reads it.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// The file that it came from; named in errors.
    pub origin: String,
    pub values: Map<String, Value>,
}

/// The pipelines correct outdated configurations when they are put together, each in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineKind {
    TextToImage,
    ImageToImage,
    Inpaint,
    /// Those that take files as they are: Stable Diffusion XL's, Kandinsky's, and all with ControlNets.
    Uncorrected,
}

impl SchedulerConfig {
    /// `origin` is the file's name, for errors.
    ///
    /// # Errors
    /// If the text is not a JSON object. Python's `-Infinity`, `Infinity` and `NaN` are read as
    /// null, which every key takes as "use the default".
    pub fn parse(origin: impl Into<String>, text: &str) -> Result<Self> {
        let origin = origin.into();
        let failed = |reason: String| Error::ConfigFile { origin: origin.clone(), reason };
        match serde_json::from_str(&without_python_numbers(text)) {
            Ok(Value::Object(values)) => Ok(Self { origin, values }),
            Ok(_) => Err(failed("the outermost value is not an object".into())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The class that the file names.
    pub fn class_name(&self) -> Option<&str> {
        self.values.get("_class_name")?.as_str()
    }

    /// The configuration that `class` runs with in a pipeline of this kind.
    ///
    /// The pipelines set `steps_offset` to 1, switch `clip_sample` off (text-to-image and
    /// image-to-image) and `skip_prk_steps` on (inpainting). For the model's own scheduler this
    /// counts in any case; for one that was `rebuilt` (`from_config`, to name a class or options)
    /// only where the file had the key, because values that were mere defaults are not handed on.
    pub(super) fn corrected(&self, pipeline: PipelineKind, rebuilt: bool) -> Self {
        let corrections: &[(&str, Value)] = match pipeline {
            PipelineKind::Inpaint => &[("steps_offset", 1.into()), ("skip_prk_steps", true.into())],
            PipelineKind::Uncorrected => &[],
            _ => &[("steps_offset", 1.into()), ("clip_sample", false.into())],
        };
        let mut corrected = self.clone();
        for (key, value) in corrections {
            if !rebuilt || corrected.values.contains_key(*key) {
                corrected.values.insert((*key).into(), value.clone());
            }
        }
        corrected
    }

    /// The same with some keys replaced.
    pub(super) fn overridden(&self, options: &BTreeMap<String, Value>) -> Self {
        let mut out = self.clone();
        out.values.extend(options.iter().map(|(key, value)| (key.clone(), value.clone())));
        out
    }
}

/// Python writes numbers that JSON does not have.
fn without_python_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].iter().find(|word| rest.starts_with(**word));
        if let (false, Some(word)) = (in_string, word) {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        let escaped = usize::from(in_string && c == '\\');
        in_string ^= c == '"';
        let len: usize = rest.chars().take(1 + escaped).map(char::len_utf8).sum();
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out
}

/// No count of steps is larger.
const LARGEST: u64 = 1 << 20;

/// Reads keys one by one and remembers which ones its class knows.
pub(super) struct Reader<'a> {
    config: &'a SchedulerConfig,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub fn new(config: &'a SchedulerConfig) -> Self {
        Self { config, known: Vec::new() }
    }

    /// Every key that was asked for so far.
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.config.values.get(key).filter(|value| !value.is_null())
    }

    /// An error that names the file, the key and its value.
    pub fn error(&self, key: &str, expected: impl Into<String>) -> Error {
        let value = self.config.values.get(key).unwrap_or(&Value::Null);
        Error::Config {
            origin: self.config.origin.clone(),
            key: key.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    pub fn bool(&mut self, key: &'static str, default: bool) -> Result<bool> {
        let Some(value) = self.value(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.error(key, "true or false"))
    }

    pub fn usize(&mut self, key: &'static str, default: usize) -> Result<usize> {
        let Some(value) = self.value(key) else { return Ok(default) };
        let whole = value.as_u64().filter(|number| *number <= LARGEST);
        let whole = whole.map(|number| number as usize);
        whole.ok_or_else(|| self.error(key, "a whole number, 0 to a million or so"))
    }

    pub fn optional_u64(&mut self, key: &'static str) -> Result<Option<u64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| self.error(key, "a whole number, 0 or more"))
    }

    pub fn f64(&mut self, key: &'static str, default: f64) -> Result<f64> {
        Ok(self.optional_f64(key)?.unwrap_or(default))
    }

    pub fn optional_f64(&mut self, key: &'static str) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.error(key, "a number"))
    }

    pub fn optional_numbers(&mut self, key: &'static str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let numbers = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.map(Some).ok_or_else(|| self.error(key, "a list of numbers"))
    }

    /// One of several words; the first of `choices` need not be the default.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> Result<T> {
        let Some(value) = self.value(key) else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.error(key, format!("one of {}", words.join(", ")))
        })
    }

    /// A key whose feature is not here at all: only null will do.
    pub fn absent(&mut self, key: &'static str) -> Result<()> {
        match self.value(key) {
            Some(_) => Err(self.error(key, "null (nothing else is supported)")),
            None => Ok(()),
        }
    }

    /// For classes that have no use for a variance: any that needs none of the network will do.
    pub fn fixed_variance(&mut self) -> Result<()> {
        const KEY: &str = "variance_type";
        match self.value(KEY) {
            Some(value) if !value.as_str().is_some_and(|kind| kind.starts_with("fixed_")) => {
                Err(self.error(KEY, "fixed_small or null: this class learns no variance"))
            }
            _ => Ok(()),
        }
    }

    /// A key whose feature is not here: only its default will do.
    pub fn only<T: PartialEq + Into<Value>>(&mut self, key: &'static str, only: T) -> Result<()> {
        let only = only.into();
        match self.value(key) {
            Some(value) if !same(value, &only) => {
                Err(self.error(key, format!("{only} (nothing else is supported)")))
            }
            _ => Ok(()),
        }
    }
}

/// Equal, where 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|number| b.as_f64() == Some(number))
}
