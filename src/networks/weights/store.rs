//! The mapped files of one component, and the way from a key to a tensor.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Shape, Tensor, safetensors::MmapedSafetensors};
use safetensors::tensor::TensorView;

use super::{BytesRead, aliases::aliases, convert, files::Found, random};
use crate::{
    key_map::{Stored, View},
    networks::{
        NetworkError, Result,
        adapters::{Slot, Slots},
    },
};

/// Bytes read from mapped files after which they are mapped anew, which gives their pages back.
const MAPPED: u64 = 32 << 20;

pub struct Store {
    files: Vec<(PathBuf, RefCell<MmapedSafetensors>)>,
    /// There are no files, and whatever is asked for is made up.
    is_random: bool,
    /// Which file holds a key, and as what.
    routes: HashMap<String, (usize, Stored)>,
    total: u64,
    done: Cell<u64>,
    /// Bytes in memory of what was loaded so far.
    loaded: Cell<u64>,
    /// Bytes read since the files were mapped.
    touched: Cell<u64>,
    /// Of the layers made so far, by their paths.
    slots: RefCell<Vec<(String, Slot)>>,
}

impl Store {
    /// Maps the files and checks their headers: whole, and no tensor outside its file.
    pub fn open(found: Vec<Found>) -> Result<Self> {
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
            files.push((path, RefCell::new(file)));
        }
        let zero = || Cell::new(0);
        let (done, loaded, touched) = (zero(), zero(), zero());
        let (is_random, slots) = (false, RefCell::default());
        Ok(Self { files, is_random, routes, total, done, loaded, touched, slots })
    }

    /// Without files: see [`super::Weights::random`].
    pub fn random() -> Self {
        let zero = || Cell::new(0);
        Self {
            files: Vec::new(),
            is_random: true,
            routes: HashMap::new(),
            total: 0,
            done: zero(),
            loaded: zero(),
            touched: zero(),
            slots: RefCell::default(),
        }
    }

    /// Bytes in memory of what was loaded so far.
    pub fn loaded(&self) -> u64 {
        self.loaded.get()
    }

    /// Numbers in all tensors of numbers.
    pub fn numbers(&self) -> Result<u64> {
        let mut numbers = 0;
        for (file, stored) in self.routes.values() {
            let file = self.files[*file].1.borrow();
            let view = part(&file.get(&stored.key)?, stored.view)?;
            if convert::is_float(view.dtype()) {
                numbers += view.shape().iter().product::<usize>() as u64;
            }
        }
        Ok(numbers)
    }

    /// How far the reading has come.
    pub fn read(&self) -> BytesRead {
        BytesRead { done: self.done.get(), total: self.total }
    }

    /// Maps the files anew. Pages of a mapped file that were read count as this program's memory
    /// until then. A file that is gone stays mapped.
    pub fn unmap(&self) {
        self.touched.set(0);
        for (path, file) in &self.files {
            if let Ok(again) = map(path) {
                *file.borrow_mut() = again;
            }
        }
    }

    /// The slot of the layer at a path, which stays the same when the layer is loaded again.
    pub fn slot(&self, path: &str, make: impl FnOnce() -> Slot) -> Slot {
        let mut slots = self.slots.borrow_mut();
        if let Some((_, slot)) = slots.iter().find(|(known, _)| known == path) {
            return slot.clone();
        }
        let slot = make();
        slots.push((path.to_owned(), slot.clone()));
        slot
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
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let of_file = |file: &RefCell<MmapedSafetensors>| -> Vec<_> {
            let file = file.borrow();
            let weights = file.tensors().into_iter();
            let weights = weights.filter(|(_, view)| convert::is_float(view.dtype()));
            weights.map(|(name, view)| (name, view.shape().to_vec())).collect()
        };
        self.files.iter().flat_map(|(_, file)| of_file(file)).collect()
    }

    /// The file, and what in it `key` is.
    fn find(&self, key: &str) -> Option<&(usize, Stored)> {
        self.routes.get(key).or_else(|| aliases(key).iter().find_map(|name| self.routes.get(name)))
    }

    pub fn contains(&self, key: &str) -> bool {
        self.is_random || self.find(key).is_some()
    }

    pub fn load(&self, key: &str, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        if self.is_random {
            let tensor = random::tensor(key, shape, dtype, device)?;
            self.count(0, (tensor.elem_count() * dtype.size_in_bytes()) as u64);
            return Ok(tensor);
        }
        let Some((index, Stored { key, view: which })) = self.find(key) else {
            let file = self.files.first().map(|(path, _)| path.clone()).unwrap_or_default();
            return Err(NetworkError::MissingTensor { file, key: key.to_owned() });
        };
        let (path, file) = &self.files[*index];
        let file = file.borrow();
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
        let bytes = view.data().len() as u64;
        drop(file);
        self.count(bytes, (tensor.elem_count() * dtype.size_in_bytes()) as u64);
        Ok(tensor.reshape(shape)?)
    }

    /// Whether another one has the same tensors, and no others. A matrix may be stored as a
    /// convolution of one pixel, as checkpoints in one file have them.
    pub fn holds_the_same(&self, other: &Self) -> Result<bool> {
        if self.routes.len() != other.routes.len() {
            return Ok(false);
        }
        for (name, here) in &self.routes {
            let Some(there) = other.find(name) else { return Ok(false) };
            let (our_file, their_file) = (self.file(here), other.file(there));
            let ours = part(&our_file.get(&here.1.key)?, here.1.view)?;
            let theirs = part(&their_file.get(&there.1.key)?, there.1.view)?;
            let turned = |stored: &Stored| stored.view == View::Transposed;
            let form = |view: &TensorView<'_>| without_trailing_ones(view.shape()).to_vec();
            let alike = ours.dtype() == theirs.dtype() && turned(&here.1) == turned(&there.1);
            if !alike || form(&ours) != form(&theirs) || ours.data() != theirs.data() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn file(&self, (file, _): &(usize, Stored)) -> Ref<'_, MmapedSafetensors> {
        self.files[*file].1.borrow()
    }

    fn count(&self, read: u64, loaded: u64) {
        self.done.set((self.done.get() + read).min(self.total));
        self.loaded.set(self.loaded.get() + loaded);
        self.touched.set(self.touched.get() + read);
        if self.touched.get() > MAPPED {
            self.unmap();
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
