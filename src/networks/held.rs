//! Parts of a network that need not stay in memory between uses.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
};

use candle_core::Result;

use super::{Result as LoadResult, Weights};

/// How much of a network stays in memory. Clones are the same.
#[derive(Clone)]
pub struct Residency(Rc<State>);

struct State {
    /// Bytes; `None` is without limit.
    limit: Cell<Option<u64>>,
    held: Cell<u64>,
    /// Those that are still in use.
    parts: RefCell<Vec<Weak<dyn Forget>>>,
}

/// A part, whatever it is.
trait Forget {
    fn forget(&self);
}

impl Default for Residency {
    /// Everything stays.
    fn default() -> Self {
        Self::within(None)
    }
}

impl Residency {
    /// Parts stay as long as they take `limit` bytes together; 0 reads each for every use.
    pub fn within(limit: Option<u64>) -> Self {
        let (held, parts) = (Cell::new(0), RefCell::default());
        Self(Rc::new(State { limit: Cell::new(limit), held, parts }))
    }

    /// Another limit from now on. What stays beyond it is forgotten with all the rest.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.0.limit.set(limit);
        if limit.is_some_and(|limit| self.0.held.get() > limit) {
            self.forget();
        }
    }

    /// Forgets every part: each is read again when it is used next.
    pub fn forget(&self) {
        self.0.parts.borrow().iter().filter_map(Weak::upgrade).for_each(|part| part.forget());
    }

    /// Bytes of the parts that stay now.
    pub fn held(&self) -> u64 {
        self.0.held.get()
    }

    /// Whether a part of so many bytes may stay; if so it counts from now on.
    fn admits(&self, bytes: u64) -> bool {
        let held = self.0.held.get() + bytes;
        let admits = self.0.limit.get().is_none_or(|limit| held <= limit);
        if admits {
            self.0.held.set(held);
        }
        admits
    }

    fn releases(&self, bytes: u64) {
        self.0.held.set(self.0.held.get() - bytes);
    }

    fn knows(&self, part: Weak<dyn Forget>) {
        let mut parts = self.0.parts.borrow_mut();
        parts.retain(|part| part.strong_count() > 0);
        parts.push(part);
    }
}

/// A part of a network: in memory, or read from its file when it is used. What it computes is the
/// same either way.
pub struct Held<T> {
    kept: Rc<Kept<T>>,
    make: Rc<dyn Fn() -> LoadResult<T>>,
}

/// Where a part is while it is in memory; it counts for its network as long as it is there.
struct Kept<T> {
    part: RefCell<Option<Rc<T>>>,
    bytes: u64,
    residency: Residency,
}

impl<T> Kept<T> {
    fn put(&self, part: &Rc<T>) {
        if self.residency.admits(self.bytes) {
            *self.part.borrow_mut() = Some(Rc::clone(part));
        }
    }
}

impl<T> Forget for Kept<T> {
    fn forget(&self) {
        if self.part.borrow_mut().take().is_some() {
            self.residency.releases(self.bytes);
        }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        self.forget();
    }
}

impl<T: 'static> Held<T> {
    /// Makes the part from `weights`, so that whatever is wrong with them is found, and keeps it if
    /// the network's [`Residency`] lets it stay.
    ///
    /// # Errors
    /// As `make`.
    pub fn load(
        weights: &Weights<'_>,
        make: impl Fn(&Weights<'_>) -> LoadResult<T> + 'static,
    ) -> LoadResult<Self> {
        let before = weights.bytes_loaded();
        let part = make(weights)?;
        let bytes = weights.bytes_loaded() - before;
        let residency = weights.residency().clone();
        let kept = Rc::new(Kept { part: RefCell::default(), bytes, residency });
        kept.put(&Rc::new(part));
        let known: Rc<dyn Forget> = Rc::<Kept<T>>::clone(&kept);
        kept.residency.knows(Rc::downgrade(&known));
        let place = weights.unwatched();
        let make = move || {
            let part = make(&place);
            place.unmap();
            part
        };
        Ok(Self { kept, make: Rc::new(make) })
    }

    /// The part for one use.
    ///
    /// # Errors
    /// If it cannot be read any more.
    pub fn part(&self) -> Result<Rc<T>> {
        if let Some(part) = &*self.kept.part.borrow() {
            return Ok(Rc::clone(part));
        }
        let part = Rc::new((self.make)().map_err(candle_core::Error::wrap)?);
        self.kept.put(&part);
        Ok(part)
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { kept: Rc::clone(&self.kept), make: Rc::clone(&self.make) }
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.kept.part.borrow().is_some();
        write!(f, "Held({} bytes, here: {here})", self.kept.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, ops::ControlFlow};

    use candle_core::{DType, Device, Tensor};

    use super::*;

    /// Three parts of 16 bytes, within a limit.
    fn parts(limit: Option<u64>) -> (Residency, Vec<Held<Tensor>>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let tensor = |value: f32| Tensor::full(value, 4, &Device::Cpu).unwrap();
        let tensors: HashMap<_, _> =
            [("a", tensor(1.0)), ("b", tensor(2.0)), ("c", tensor(3.0))].into();
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
        let residency = Residency::within(limit);
        let keep_going = |_| ControlFlow::Continue(());
        let weights = Weights::open(folder.path(), DType::F32, &Device::Cpu, keep_going)
            .unwrap()
            .within(&residency);
        let load =
            |name: &'static str| Held::load(&weights, move |weights| weights.get(4, name)).unwrap();
        let parts = ["a", "b", "c"].map(load).into();
        (residency, parts, folder)
    }

    fn sum(parts: &[Held<Tensor>]) -> f32 {
        let of = |part: &Held<Tensor>| {
            part.part().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        parts.iter().map(of).sum()
    }

    #[test]
    fn what_is_beyond_the_limit_is_read_again() {
        for (limit, held) in [(None, 48), (Some(40), 32), (Some(16), 16), (Some(0), 0)] {
            let (residency, parts, _folder) = parts(limit);
            assert_eq!((residency.held(), sum(&parts)), (held, 24.0));
            assert_eq!((residency.held(), sum(&parts)), (held, 24.0));
        }
    }

    #[test]
    fn parts_that_were_forgotten_come_back_with_their_next_use() {
        let (residency, parts, _folder) = parts(None);
        residency.forget();
        assert_eq!(residency.held(), 0);
        assert_eq!((sum(&parts), residency.held()), (24.0, 48));
        residency.set_limit(Some(20));
        assert_eq!((sum(&parts), residency.held()), (24.0, 16));
    }

    #[test]
    fn parts_that_are_gone_count_no_more() {
        let (residency, mut parts, _folder) = parts(None);
        let copy = parts[0].clone();
        parts.truncate(2);
        assert_eq!(residency.held(), 32);
        parts.clear();
        assert_eq!(residency.held(), 16);
        drop(copy);
        assert_eq!(residency.held(), 0);
    }

    #[test]
    fn a_file_that_went_away_stays_mapped_or_is_an_error() {
        let (residency, parts, folder) = parts(Some(0));
        std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        assert_eq!(residency.held(), 0);
        if let Err(error) = parts[0].part().and_then(|_| parts[0].part()) {
            assert!(error.to_string().contains("model.safetensors"), "{error}");
        }
    }
}
