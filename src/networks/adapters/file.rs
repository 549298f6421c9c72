//! A LoRA file, opened: its tensors in their order, and its header's configuration.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor, safetensors::MmapedSafetensors};
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::peft;
use crate::networks::{NetworkError, Result, weights::convert};

/// A header longer than this is no header; the format's own limit.
const HEADER_LIMIT: u64 = 100_000_000;

pub struct LoraFile {
    path: PathBuf,
    tensors: MmapedSafetensors,
}

impl LoraFile {
    /// Maps the file and checks its header.
    pub fn open(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|e| ["pt", "pth", "bin", "ckpt"].contains(&e)) {
            return Err(NetworkError::Pickle { file: path.to_owned() });
        }
        File::open(path).map_err(NetworkError::io(path))?;
        // SAFETY: the map is only read. Another program that changes the file meanwhile could
        // change the numbers that are read, or end this program if it shortens the file; the same
        // holds for every program that maps model files.
        let tensors = unsafe { MmapedSafetensors::new(path) }
            .map_err(|error| NetworkError::damaged(path, error))?;
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// Names of all tensors, in the order in which they are stored.
    pub fn names(&self) -> Vec<String> {
        let mut tensors = self.tensors.tensors();
        tensors.sort_by_key(|(_, view)| view.data().as_ptr());
        tensors.into_iter().map(|(name, _)| name).collect()
    }

    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.tensors.get(name)?.shape().to_vec())
    }

    /// A tensor as the run computes, with this shape.
    pub fn load(
        &self,
        name: &str,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let view = self.view(name)?;
        if !convert::is_finite(&view, dtype) {
            let (file, key) = (self.path.clone(), name.to_owned());
            return Err(NetworkError::NotFinite { file, key, dtype });
        }
        Ok(convert::load(&view, dtype, device)?.reshape(shape)?)
    }

    /// The one number that a tensor holds.
    pub fn number(&self, name: &str) -> Result<f64> {
        let tensor = self.tensors.get(name)?;
        let values = convert::load(&tensor, DType::F64, &Device::Cpu)?.flatten_all()?;
        match values.to_vec1::<f64>()?.as_slice() {
            [number] if number.is_finite() => Ok(*number),
            other => Err(self.refused(format!("{name} should be one number, but is {other:?}"))),
        }
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        let view = self.tensors.get(name)?;
        if convert::is_float(view.dtype()) {
            return Ok(view);
        }
        let (file, key) = (self.path.clone(), name.to_owned());
        Err(NetworkError::TensorDtype { file, key, stored: view.dtype().to_string() })
    }

    /// PEFT's configuration, as text, where the header has one.
    pub fn peft_config(&self) -> Result<Option<String>> {
        let header = self.header().map_err(NetworkError::io(&self.path))?;
        let header: Value = serde_json::from_slice(&header)
            .map_err(|error| NetworkError::damaged(&self.path, error))?;
        let entry = header.get("__metadata__").and_then(|metadata| metadata.get(peft::ENTRY));
        Ok(entry.and_then(Value::as_str).map(str::to_owned))
    }

    /// The header's JSON, behind its length.
    fn header(&self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length).min(HEADER_LIMIT);
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header)?;
        Ok(header)
    }

    /// An error about this file.
    pub fn refused(&self, why: impl std::fmt::Display) -> NetworkError {
        NetworkError::Lora { file: self.path.clone(), why: why.to_string() }
    }
}
