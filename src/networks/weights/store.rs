//! The mapped files of one component, and the way from a key to a tensor.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Shape, Tensor, safetensors::MmapedSafetensors};
use safetensors::tensor::TensorView;

use super::{BytesRead, aliases::aliases, convert, files::Found};
use crate::{
    key_map::{Stored, View},
    networks::{
        NetworkError, Result,
        adapters::{Slot, Slots},
    },
};

type Progress<'a> = Box<dyn FnMut(BytesRead) -> ControlFlow<()> + 'a>;

pub struct Store<'a> {
    files: Vec<(PathBuf, MmapedSafetensors)>,
    /// Which file holds a key, and as what.
    routes: HashMap<String, (usize, Stored)>,
    total: u64,
    done: Cell<u64>,
    progress: RefCell<Progress<'a>>,
    /// Of the layers made so far, by their paths.
    slots: RefCell<Vec<(String, Slot)>>,
}

impl<'a> Store<'a> {
    /// Maps the files and checks their headers: whole, and no tensor outside its file.
    pub fn open(found: Vec<Found>, progress: Progress<'a>) -> Result<Self> {
        let mut files = Vec::with_capacity(found.len());
        let mut routes = HashMap::new();
        let mut total = 0;
        for Found { path, tensors } in found {
            let file = map(&path)?;
            let whole = |(key, _): (String, _)| (key.clone(), Stored { key, view: View::Whole });
            let named: Vec<(String, Stored)> = match tensors {
                Some(tensors) => tensors.into_iter().collect(),
                None => file.tensors().into_iter().map(whole).collect(),
            };
            for (name, stored) in named {
                let view = file.get(&stored.key).map_err(|_| NetworkError::MissingTensor {
                    file: path.clone(),
                    key: stored.key.clone(),
                })?;
                total += (part(&view, stored.view)?.data().len()) as u64;
                routes.insert(name, (files.len(), stored));
            }
            files.push((path, file));
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

    /// Names and shapes of what can be weights.
    pub fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let views = self.files.iter().flat_map(|(_, file)| file.tensors());
        let weights = views.filter(|(_, view)| convert::is_float(view.dtype()));
        weights.map(|(name, view)| (name, view.shape().to_vec()))
    }

    /// The file, and what in it `key` is.
    fn find(&self, key: &str) -> Option<&(usize, Stored)> {
        self.routes.get(key).or_else(|| aliases(key).iter().find_map(|name| self.routes.get(name)))
    }

    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    pub fn load(&self, key: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some((index, Stored { key, view: which })) = self.find(key) else {
            let file = self.files.first().map(|(path, _)| path.clone()).unwrap_or_default();
            return Err(NetworkError::MissingTensor { file, key: key.to_owned() });
        };
        let (path, file) = &self.files[*index];
        let view = part(&file.get(key)?, *which)?;
        let found = match which {
            View::Transposed => view.shape().iter().rev().copied().collect(),
            View::Whole | View::Third(_) => view.shape().to_vec(),
        };
        if without_trailing_ones(&found) != without_trailing_ones(shape.dims()) {
            let (file, key, expected) = (path.clone(), key.clone(), shape.dims().to_vec());
            return Err(NetworkError::TensorShape { file, key, found, expected });
        }
        let tensor = checked(path, key, &view, dtype, device)?;
        let tensor = match which {
            View::Transposed => tensor.t()?.contiguous()?,
            View::Whole | View::Third(_) => tensor,
        };
        self.advance(view.data().len() as u64)?;
        Ok(tensor.reshape(shape)?)
    }

    /// Whether another one has the same tensors, and no others.
    pub fn holds_the_same(&self, other: &Self) -> Result<bool> {
        if self.routes.len() != other.routes.len() {
            return Ok(false);
        }
        for (name, here) in &self.routes {
            let Some(there) = other.find(name) else { return Ok(false) };
            let (ours, theirs) = (self.view(here)?, other.view(there)?);
            let alike = ours.dtype() == theirs.dtype() && here.1.view == there.1.view;
            if !alike || ours.shape() != theirs.shape() || ours.data() != theirs.data() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn view(&self, (file, stored): &(usize, Stored)) -> Result<TensorView<'_>> {
        part(&self.files[*file].1.get(&stored.key)?, stored.view)
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

fn map(path: &Path) -> Result<MmapedSafetensors> {
    std::fs::File::open(path).map_err(NetworkError::io(path))?;
    // SAFETY: the map is only read. Another program that changes the file meanwhile could change
    // the numbers that are read, or end this program if it shortens the file; the same holds for
    // every program that maps model files.
    unsafe { MmapedSafetensors::new(path) }.map_err(|error| NetworkError::damaged(path, error))
}

/// The rows of a tensor that are meant, where they lie.
fn part<'f>(stored: &TensorView<'f>, view: View) -> Result<TensorView<'f>> {
    let View::Third(which) = view else { return Ok(stored.clone()) };
    let shape = view.shape(stored.shape()).ok_or_else(|| {
        candle_core::Error::Msg(format!("a tensor {:?} is not of three parts", stored.shape()))
    })?;
    let bytes = stored.data().len() / 3;
    let data = &stored.data()[which * bytes..][..bytes];
    Ok(TensorView::new(stored.dtype(), shape, data).map_err(candle_core::Error::wrap)?)
}

/// A shape without the ones at its end: a 1x1 convolution is a linear layer.
pub fn without_trailing_ones(dims: &[usize]) -> &[usize] {
    let end = dims.iter().rposition(|&dim| dim != 1).map_or(0, |last| last + 1);
    &dims[..end]
}
