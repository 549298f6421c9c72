//! A component's tensors, read from safetensors as they are asked for.

mod aliases;
mod convert;
mod files;
mod store;

use std::{ops::ControlFlow, path::Path, rc::Rc};

use candle_core::{DType, Device, Shape, Tensor};

use self::store::Store;
use super::{NetworkError, Result};

/// How far loading has come, in bytes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesRead {
    pub done: u64,
    pub total: u64,
}

/// A place among named tensors: `weights.pp("down_blocks.0").get((320,), "bias")`.
///
/// Tensors come in the dtype and on the device of the run. What is missing, has another shape, or
/// is not finite is an error that names the file and the key.
#[derive(Clone)]
pub struct Weights<'a> {
    store: Rc<Store<'a>>,
    prefix: String,
    dtype: DType,
    device: Device,
}

impl<'a> Weights<'a> {
    /// Opens the weights in a component's folder (`unet`, `vae`, `text_encoder`): plain, sharded,
    /// or a variant (`.fp16`), whichever is there; of several, the one closest to `dtype`. Files
    /// are memory-mapped, so nothing is read yet.
    ///
    /// `progress` is called after each tensor; it can end the loading with `Break`.
    ///
    /// # Errors
    /// If there is nothing, or only pickles, or a damaged file; or if the processor cannot run
    /// networks in `dtype`.
    pub fn open(
        folder: &Path,
        dtype: DType,
        device: &Device,
        progress: impl FnMut(BytesRead) -> ControlFlow<()> + 'a,
    ) -> Result<Self> {
        if device.is_cpu() && !matches!(dtype, DType::F32 | DType::F16) {
            return Err(NetworkError::DeviceDtype(dtype));
        }
        let store = Store::open(&files::find(folder, dtype)?, Box::new(progress))?;
        Ok(Self { store: Rc::new(store), prefix: String::new(), dtype, device: device.clone() })
    }

    /// The place `name` under this one.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.key(name), ..self.clone() }
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// Whether there is a tensor of this name here.
    pub fn contains(&self, name: &str) -> bool {
        self.store.contains(&self.key(name))
    }

    /// The tensor `name` here. A 1x1 convolution may stand for a linear layer, and the reverse.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        self.store.load(&self.key(name), &shape.into(), self.dtype, &self.device)
    }

    /// The dtype that tensors come in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}
