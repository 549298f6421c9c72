//! A component's tensors, read from safetensors as they are asked for.

mod aliases;
pub(super) mod convert;
mod files;
mod random;
mod store;

use std::{cell::RefCell, ops::ControlFlow, path::Path, rc::Rc};

use candle_core::{DType, Device, Shape, Tensor};

use self::store::Store;
pub use self::store::checked;
pub(super) use self::store::without_trailing_ones;
use super::{
    NetworkError, Residency, Result,
    adapters::{Slot, Slots},
};

/// How far loading has come, in bytes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesRead {
    pub done: u64,
    pub total: u64,
}

/// Whether two components, by their folders or files, hold the same tensors to the byte.
///
/// # Errors
/// If there is nothing to read, or something damaged.
pub fn same(one: &Path, other: &Path) -> Result<bool> {
    let open = |folder| Store::open(files::find(folder, DType::F32)?);
    open(one)?.holds_the_same(&open(other)?)
}

type Progress<'a> = Box<dyn FnMut(BytesRead) -> ControlFlow<()> + 'a>;

/// A place among named tensors: `weights.pp("down_blocks.0").get((320,), "bias")`.
///
/// Tensors come in the dtype and on the device of the run. What is missing, has another shape, or
/// is not finite is an error that names the file and the key.
#[derive(Clone)]
pub struct Weights<'a> {
    store: Rc<Store>,
    progress: Option<Rc<RefCell<Progress<'a>>>>,
    residency: Residency,
    prefix: String,
    dtype: DType,
    device: Device,
}

impl<'a> Weights<'a> {
    /// Opens the weights in a component's folder (`unet`, `vae`, `text_encoder`): plain, sharded,
    /// or a variant (`.fp16`), whichever is there; of several, the one closest to `dtype`. A folder
    /// without weights may lead to a single-file checkpoint ([`crate::key_map::Source`]); a file
    /// stands for itself. Files are memory-mapped, so nothing is read yet.
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
        let place = Self::at_root(Store::open(files::find(folder, dtype)?)?, dtype, device)?;
        let progress: Progress<'a> = Box::new(progress);
        Ok(Self { progress: Some(Rc::new(RefCell::new(progress))), ..place })
    }

    /// Weights of no model: whatever is asked for is there, of the shape that is asked for and random,
    /// the same each time. They keep the size of what goes through a layer about as it is, so that a
    /// network can be measured without any files.
    ///
    /// # Errors
    /// If the processor cannot run networks in `dtype`.
    pub fn random(dtype: DType, device: &Device) -> Result<Self> {
        Self::at_root(Store::random(), dtype, device)
    }

    fn at_root(store: Store, dtype: DType, device: &Device) -> Result<Self> {
        if device.is_cpu() && !matches!(dtype, DType::F32 | DType::F16) {
            return Err(NetworkError::DeviceDtype(dtype));
        }
        Ok(Self {
            store: Rc::new(store),
            progress: None,
            residency: Residency::default(),
            prefix: String::new(),
            dtype,
            device: device.clone(),
        })
    }

    /// The same weights for a network that keeps its parts in memory as `residency` says.
    pub fn within(self, residency: &Residency) -> Self {
        Self { residency: residency.clone(), ..self }
    }

    /// How much of the network stays in memory.
    pub fn residency(&self) -> &Residency {
        &self.residency
    }

    /// The same place for later, when nobody watches the progress.
    pub(super) fn unwatched(&self) -> Weights<'static> {
        Weights {
            store: Rc::clone(&self.store),
            progress: None,
            residency: self.residency.clone(),
            prefix: self.prefix.clone(),
            dtype: self.dtype,
            device: self.device.clone(),
        }
    }

    /// Bytes in memory of all tensors that were loaded from these files so far.
    pub(super) fn bytes_loaded(&self) -> u64 {
        self.store.loaded()
    }

    /// Gives back the memory that mapped files take.
    pub(super) fn unmap(&self) {
        self.store.unmap();
    }

    /// Bytes that the component in `folder` takes once it is loaded in `dtype`, from the headers
    /// of its files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn bytes(folder: &Path, dtype: DType) -> Result<u64> {
        let store = Store::open(files::find(folder, dtype)?)?;
        Ok(store.numbers()? * dtype.size_in_bytes() as u64)
    }

    /// Names and shapes of all weights that are stored, in no particular order.
    pub fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.store.shapes().into_iter()
    }

    /// The place `name` under this one.
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.key(name), ..self.clone() }
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// The tensor `name` here. A 1x1 convolution may stand for a linear layer, and the reverse.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        let tensor = self.store.load(&self.key(name), &shape.into(), self.dtype, &self.device)?;
        match &self.progress {
            Some(progress) if (progress.borrow_mut())(self.store.read()).is_break() => {
                Err(NetworkError::Cancelled)
            }
            _ => Ok(tensor),
        }
    }

    /// A slot for the layer here, whose weight has this shape.
    pub fn slot(&self, shape: &[usize]) -> Slot {
        self.store.slot(&self.prefix, || Slot::new(shape, self.dtype, &self.device))
    }

    /// The slots of all layers that were loaded from here.
    pub fn slots(&self) -> Slots {
        self.store.slots(&self.prefix)
    }

    /// Whether there is a tensor `name` here, whatever its shape.
    pub fn contains(&self, name: &str) -> bool {
        self.store.contains(&self.key(name))
    }

    /// The dtype that tensors come in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> &Device {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::key_map::{Source, Stored, TABLE, View};

    /// A folder with one file of these tensors.
    fn folder(tensors: &[(&str, Tensor)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensors: HashMap<_, _> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
        folder
    }

    fn open(folder: &tempfile::TempDir, dtype: DType) -> Result<Weights<'static>> {
        Weights::open(folder.path(), dtype, &Device::Cpu, |_| ControlFlow::Continue(()))
    }

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn tensors_come_in_the_dtype_of_the_run() {
        let stored = tensor(&[1.5, -2.0]).to_dtype(DType::F16).unwrap();
        let folder = folder(&[("block.0.weight", stored)]);
        let weights = open(&folder, DType::F32).unwrap().pp("block.0");
        let got = weights.get(2, "weight").unwrap();
        assert_eq!(got.to_vec1::<f32>().unwrap(), [1.5, -2.0]);
        assert_eq!(weights.get((2, 1, 1), "weight").unwrap().dims(), [2, 1, 1]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = folder(&[
            ("a", tensor(&[1.0, 2.0])),
            ("nan", tensor(&[1.0, f32::NAN])),
            ("large", tensor(&[1e6])),
            ("ids", Tensor::new(&[1i64], &Device::Cpu).unwrap()),
        ]);
        let weights = open(&folder, DType::F32).unwrap();
        assert!(matches!(weights.get(2, "b"), Err(NetworkError::MissingTensor { .. })));
        assert!(matches!(weights.get(3, "a"), Err(NetworkError::TensorShape { .. })));
        assert!(matches!(weights.get(2, "nan"), Err(NetworkError::NotFinite { .. })));
        assert!(matches!(weights.get(1, "ids"), Err(NetworkError::TensorDtype { .. })));
        assert!(weights.get(1, "large").is_ok());
        let half = open(&folder, DType::F16).unwrap();
        let text = half.get(1, "large").unwrap_err().to_string();
        assert!(text.contains("model.safetensors") && text.contains("large"), "{text}");
        assert!(matches!(open(&folder, DType::BF16), Err(NetworkError::DeviceDtype(_))));
    }

    #[test]
    fn damaged_files_are_found_before_use() {
        let folder = folder(&[("a", tensor(&[1.0; 64]))]);
        let file = folder.path().join("model.safetensors");
        let whole = std::fs::read(&file).unwrap();
        for damaged in [&whole[..whole.len() - 9], &whole[..20], &[], b"<html>not found</html>"] {
            std::fs::write(&file, damaged).unwrap();
            let error = open(&folder, DType::F32).err().unwrap();
            assert!(matches!(error, NetworkError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("model.safetensors"));
        }
    }

    #[test]
    fn a_table_leads_to_parts_of_another_file() {
        let numbers = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape((3, 2)).unwrap();
        let whole = folder(&[
            ("q.in_proj", numbers.clone()),
            ("p", numbers.clone()),
            ("x", tensor(&[7.0])),
        ]);
        let file = whole.path().join("model.safetensors");
        let stored = |key: &str, view| Stored { key: key.into(), view };
        let tensors = [
            ("key.weight".to_owned(), stored("q.in_proj", View::Third(1))),
            ("projection".to_owned(), stored("p", View::Transposed)),
        ];
        let described = |tensors: &[(String, Stored)]| {
            let folder = tempfile::tempdir().unwrap();
            let tensors = tensors.iter().cloned().collect();
            let source = Source::Table { file: file.clone(), tensors };
            std::fs::write(folder.path().join(TABLE), serde_json::to_string(&source).unwrap())
                .unwrap();
            folder
        };
        let folder = described(&tensors);
        let weights = open(&folder, DType::F32).unwrap();
        let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(weights.get((1, 2), "key.weight").unwrap()), [3.0, 4.0]);
        let turned = weights.get((2, 3), "projection").unwrap();
        assert_eq!(values(turned), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert!(matches!(weights.get((3, 2), "projection"), Err(NetworkError::TensorShape { .. })));
        assert!(!weights.contains("x") && weights.get(1, "x").is_err());
        assert!(same(folder.path(), described(&tensors).path()).unwrap());
        assert!(!same(folder.path(), described(&tensors[..1]).path()).unwrap());
        assert!(!same(folder.path(), whole.path()).unwrap());
        let gone = described(&[("a".into(), stored("no such", View::Whole))]);
        assert!(matches!(open(&gone, DType::F32), Err(NetworkError::MissingTensor { .. })));
    }

    #[test]
    fn random_weights_are_there_for_every_name_and_keep_sizes() {
        let weights = Weights::random(DType::F32, &Device::Cpu).unwrap().pp("block");
        assert!(weights.contains("anything"));
        let matrix = weights.get((64, 400), "weight").unwrap();
        let squares = matrix.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((squares / 64.0 - 1.0).abs() < 0.05, "{squares}");
        let again = weights.get((64, 400), "weight").unwrap();
        assert_eq!(matrix.to_vec2::<f32>().unwrap(), again.to_vec2::<f32>().unwrap());
        let other = weights.get((64, 400), "other.weight").unwrap();
        assert_ne!(matrix.to_vec2::<f32>().unwrap(), other.to_vec2::<f32>().unwrap());
        assert_eq!(weights.get(2, "norm.weight").unwrap().to_vec1::<f32>().unwrap(), [1.0, 1.0]);
        assert_eq!(weights.get(2, "norm.bias").unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0]);
        let half = Weights::random(DType::F16, &Device::Cpu).unwrap();
        assert_eq!(half.get((2, 3), "weight").unwrap().dtype(), DType::F16);
    }

    #[test]
    fn progress_is_told_and_can_end_the_loading() {
        let folder = folder(&[("a", tensor(&[1.0; 3])), ("b", tensor(&[1.0]))]);
        let mut told = Vec::new();
        let watch = |read: BytesRead| {
            told.push((read.done, read.total));
            if told.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let weights = Weights::open(folder.path(), DType::F32, &Device::Cpu, watch).unwrap();
        assert!(weights.get(3, "a").is_ok());
        assert!(matches!(weights.get(1, "b"), Err(NetworkError::Cancelled)));
        drop(weights);
        assert_eq!(told, [(12, 16), (16, 16)]);
    }
}
