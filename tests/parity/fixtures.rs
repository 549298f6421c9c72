//! What the reference left in `tests/fixtures/parity`.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use candle_core::{Device, Tensor};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The folder of most fixtures.
pub fn root() -> PathBuf {
    set("parity")
}

/// A folder of fixtures, laid out as that one is.
pub fn set(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// One part of units.json; a fixture that cannot be read ends the tests.
pub fn unit<T: DeserializeOwned>(part: &str) -> T {
    static UNITS: LazyLock<Value> = LazyLock::new(|| read_json("units/units.json"));
    serde_json::from_value(UNITS[part].clone()).unwrap_or_else(|error| panic!("{part}: {error}"))
}

/// A JSON file of the fixtures.
pub fn read_json<T: DeserializeOwned>(path: &str) -> T {
    read_file(&root().join(path))
}

/// A JSON file.
pub fn read_file<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tensors of one safetensors file.
#[derive(Clone)]
pub struct Tensors {
    file: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Tensors {
    pub fn load(path: &str) -> Self {
        Self::open(root().join(path))
    }

    /// Of any file.
    pub fn open(file: PathBuf) -> Self {
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { file, tensors }
    }

    /// The steps whose latents there are, in no order.
    pub fn steps(&self) -> Vec<usize> {
        let step = |name: &String| name.strip_prefix("latents_")?.parse().ok();
        self.tensors.keys().filter_map(step).collect()
    }

    pub fn get(&self, name: &str) -> Result<&Tensor, String> {
        self.tensors.get(name).ok_or_else(|| format!("{} has no {name}", self.file.display()))
    }

    pub fn numbers(&self, name: &str) -> Result<Vec<f32>, String> {
        super::compare::numbers(self.get(name)?)
    }
}
