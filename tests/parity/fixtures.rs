//! What the reference left in `tests/fixtures/parity`.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use candle_core::{Device, Tensor};
use overpaint::{
    geometry::Extent,
    pixels::{Mask, Picture},
};
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

    /// The bytes of a tensor of u8.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let flat = self.get(name)?.flatten_all().and_then(|tensor| tensor.to_vec1());
        flat.map_err(|error| format!("{name}: {error}"))
    }

    /// Width and height of a tensor (height, width, ...).
    pub fn extent(&self, name: &str) -> Result<Extent, String> {
        match self.get(name)?.dims() {
            [height, width, ..] => Ok(Extent::new(*width as u32, *height as u32)),
            other => Err(format!("{name} has shape {other:?}")),
        }
    }

    /// A tensor (height, width) of u8 as a mask.
    pub fn mask(&self, name: &str) -> Result<Mask, String> {
        Mask::from_raw(self.extent(name)?, self.bytes(name)?).ok_or_else(|| format!("{name}: size"))
    }

    /// A tensor (height, width, 3) or (height, width) of u8 as an opaque picture.
    pub fn picture(&self, name: &str) -> Result<Picture, String> {
        let bytes = self.bytes(name)?;
        let grey = self.get(name)?.rank() == 2;
        let opaque: Vec<u8> = if grey {
            bytes.iter().flat_map(|&v| [v, v, v, 255]).collect()
        } else {
            bytes.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect()
        };
        Picture::from_raw(self.extent(name)?, opaque).ok_or_else(|| format!("{name}: size"))
    }

    /// Whether a tensor is grey (height, width) rather than coloured.
    pub fn is_grey(&self, name: &str) -> bool {
        self.tensors.get(name).is_some_and(|tensor| tensor.rank() == 2)
    }
}
