//! The mapped files of one component, and the way from a key to a tensor.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Shape, Tensor, safetensors::MmapedSafetensors};
use safetensors::tensor::TensorView;

use super::{BytesRead, aliases::aliases, convert};
use crate::networks::{
    NetworkError, Result,
    adapters::{Slot, Slots},
};

type Progress<'a> = Box<dyn FnMut(BytesRead) -> ControlFlow<()> + 'a>;

pub struct Store<'a> {
    files: Vec<(PathBuf, MmapedSafetensors)>,
    /// Which file holds a key.
    routes: HashMap<String, usize>,
    total: u64,
    done: Cell<u64>,
    progress: RefCell<Progress<'a>>,
    /// Of the layers made so far, by their paths.
    slots: RefCell<Vec<(String, Slot)>>,
}

impl<'a> Store<'a> {
    /// Maps the files and checks their headers: whole, and no tensor outside its file.
    pub fn open(paths: &[PathBuf], progress: Progress<'a>) -> Result<Self> {
        let mut files = Vec::with_capacity(paths.len());
        let mut routes = HashMap::new();
        let mut total = 0;
        for path in paths {
            std::fs::File::open(path).map_err(NetworkError::io(path))?;
            // SAFETY: the map is only read. Another program that changes the file meanwhile could
            // change the numbers that are read, or end this program if it shortens the file; the
            // same holds for every program that maps model files.
            let file = unsafe { MmapedSafetensors::new(path) }
                .map_err(|error| NetworkError::damaged(path, error))?;
            for (key, view) in file.tensors() {
                total += view.data().len() as u64;
                routes.insert(key, files.len());
            }
            files.push((path.clone(), file));
        }
        let (done, progress, slots) = (Cell::new(0), RefCell::new(progress), RefCell::default());
        Ok(Self { files, routes, total, done, progress, slots })
    }

    pub fn keep_slot(&self, path: &str, slot: Slot) {
        self.slots.borrow_mut().push((path.to_owned(), slot));
    }

    /// The slots under a path, by the rest of theirs.
    pub fn slots(&self, prefix: &str) -> Slots {
        let slots = self.slots.borrow();
        let below = slots.iter().filter_map(|(path, slot)| {
            let rest = path.strip_prefix(prefix)?;
            let rest = if prefix.is_empty() { rest } else { rest.strip_prefix('.')? };
            Some((rest.to_owned(), slot.clone()))
        });
        Slots::new(below)
    }

    /// The file and the name in it under which `key` is stored.
    fn find(&self, key: &str) -> Option<(usize, String)> {
        std::iter::once(key.to_owned())
            .chain(aliases(key))
            .find_map(|name| self.routes.get(&name).map(|&file| (file, name)))
    }

    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    pub fn load(&self, key: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some((index, stored_key)) = self.find(key) else {
            let file = self.files.first().map(|(path, _)| path.clone()).unwrap_or_default();
            return Err(NetworkError::MissingTensor { file, key: key.to_owned() });
        };
        let (path, file) = &self.files[index];
        let view = file.get(&stored_key)?;
        if without_trailing_ones(view.shape()) != without_trailing_ones(shape.dims()) {
            let (found, expected) = (view.shape().to_vec(), shape.dims().to_vec());
            let file = path.clone();
            return Err(NetworkError::TensorShape { file, key: stored_key, found, expected });
        }
        let tensor = checked(path, &stored_key, &view, dtype, device)?.reshape(shape)?;
        self.advance(view.data().len() as u64)?;
        Ok(tensor)
    }

    fn advance(&self, bytes: u64) -> Result<()> {
        let done = (self.done.get() + bytes).min(self.total);
        self.done.set(done);
        match (self.progress.borrow_mut())(BytesRead { done, total: self.total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(NetworkError::Cancelled),
        }
    }
}

/// A stored tensor on `device` as `dtype`.
///
/// # Errors
/// If it holds no floating-point numbers, or some that are not finite in `dtype`.
pub fn checked(
    file: &Path,
    key: &str,
    view: &TensorView<'_>,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let (file, key) = (file.to_owned(), key.to_owned());
    if !convert::is_float(view.dtype()) {
        return Err(NetworkError::TensorDtype { file, key, stored: view.dtype().to_string() });
    }
    if !convert::is_finite(view, dtype) {
        return Err(NetworkError::NotFinite { file, key, dtype });
    }
    Ok(convert::load(view, dtype, device)?)
}

/// A shape without the ones at its end: a 1x1 convolution is a linear layer.
pub fn without_trailing_ones(dims: &[usize]) -> &[usize] {
    let end = dims.iter().rposition(|&dim| dim != 1).map_or(0, |last| last + 1);
    &dims[..end]
}
