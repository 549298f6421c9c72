//! Where a network can be adapted: one slot a layer, empty until something is set.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use candle_core::{DType, Device, Result, Tensor};

/// What is added to one layer's output. The layer and whoever sets it share it; clones are the same
/// slot.
#[derive(Clone, Debug)]
pub struct Slot(Rc<State>);

#[derive(Debug)]
struct State {
    shape: Vec<usize>,
    dtype: DType,
    device: Device,
    branch: RefCell<Option<Branch>>,
}

/// The low-rank way beside a layer: up(down(x)) + bias.
#[derive(Clone, Debug)]
pub struct Branch {
    /// [rank, inputs] or, beside a convolution, [rank, inputs, kernel, kernel].
    pub down: Tensor,
    /// [outputs, rank] or [outputs, rank, 1, 1], with its scale in it.
    pub up: Tensor,
    /// [outputs].
    pub bias: Option<Tensor>,
}

impl Slot {
    /// For a layer whose weight has this shape: [outputs, inputs] or [outputs, inputs, k, k].
    pub fn new(shape: &[usize], dtype: DType, device: &Device) -> Self {
        let (shape, device) = (shape.to_vec(), device.clone());
        Self(Rc::new(State { shape, dtype, device, branch: RefCell::new(None) }))
    }

    /// The shape of the layer's weight.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// What the layer computes in, and so what a branch must be in.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// What is added from now on; `None` is the plain layer.
    pub fn set(&self, branch: Option<Branch>) {
        *self.0.branch.borrow_mut() = branch;
    }

    /// `output` and what `run` makes of the branch, if there is one.
    pub fn add(
        &self,
        output: Tensor,
        run: impl FnOnce(&Branch) -> Result<Tensor>,
    ) -> Result<Tensor> {
        match &*self.0.branch.borrow() {
            Some(branch) => output + run(branch)?,
            None => Ok(output),
        }
    }
}

impl Branch {
    /// Several branches as one: their ranks one after the other. `None` of none.
    pub fn joined(branches: Vec<Self>) -> Result<Option<Self>> {
        if branches.len() < 2 {
            return Ok(branches.into_iter().next());
        }
        let downs: Vec<_> = branches.iter().map(|branch| &branch.down).collect();
        let ups: Vec<_> = branches.iter().map(|branch| &branch.up).collect();
        let mut biases = branches.iter().filter_map(|branch| branch.bias.clone());
        let bias = match biases.next() {
            Some(first) => Some(biases.try_fold(first, |sum, bias| sum + bias)?),
            None => None,
        };
        Ok(Some(Self { down: Tensor::cat(&downs, 0)?, up: Tensor::cat(&ups, 1)?, bias }))
    }
}

/// The slots of one network, by the path of their layers.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    by_path: BTreeMap<String, Slot>,
    /// Second names of layers, to paths.
    aliases: BTreeMap<String, String>,
}

impl Slots {
    pub fn new(slots: impl IntoIterator<Item = (String, Slot)>) -> Self {
        Self { by_path: slots.into_iter().collect(), aliases: BTreeMap::new() }
    }

    /// Also found by what `name` calls a path.
    #[must_use]
    pub fn also_named(mut self, name: impl Fn(&str) -> Option<String>) -> Self {
        let paths = self.by_path.keys();
        self.aliases.extend(paths.filter_map(|path| Some((name(path)?, path.clone()))));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Slot)> {
        self.by_path.iter().map(|(path, slot)| (path.as_str(), slot))
    }

    /// Second names, and the paths they stand for.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    pub fn get(&self, path: &str) -> Option<&Slot> {
        self.by_path.get(path)
    }
}
