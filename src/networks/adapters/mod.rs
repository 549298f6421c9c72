//! Low-rank adapters (LoRA): small additions to the layers of a network that is loaded already.
//!
//! An adapted layer computes W x + b + s B A x, with A [rank, inputs] and B [outputs, rank]; beside
//! a convolution A is one of the same kernel, stride and padding, and B is 1x1. The additions are
//! computed beside the layer and never merged into W: that is what PEFT computes, it takes no copy
//! of the weights, and other files or scales are in place at once.
//!
//! Every [`Linear`](super::layers::Linear) and [`Conv2d`](super::layers::Conv2d) has a [`Slot`],
//! which [`Weights`](super::Weights) keeps a handle of under the layer's path. [`Lora::open`] reads
//! a file and finds the slots that it is meant for, by whichever of the field's naming schemes it
//! uses; [`install`] fills them. Whoever trains an adapter sets a slot to tensors of its own.

mod file;
mod keys;
mod lora;
mod peft;
mod scale;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::{
    keys::Part,
    lora::Lora,
    scale::AlphaRule,
    slot::{Branch, Slot, Slots},
};
use super::Result;

/// The networks of a model that can be adapted.
pub type Parts<'a> = BTreeMap<Part, &'a Slots>;

/// From now on the networks run with these files, each at its strength (any number; 0 is without),
/// and with no others.
///
/// # Errors
/// If memory runs out, or a file was read for another model.
pub fn install(parts: &Parts<'_>, loras: &[(&Lora, f64)]) -> Result<()> {
    for (&part, slots) in parts {
        for (path, slot) in slots.iter() {
            let mut branches = Vec::new();
            for (lora, strength) in loras.iter().filter(|(_, strength)| *strength != 0.0) {
                branches.extend(lora.branch(part, path, *strength)?);
            }
            slot.set(Branch::joined(branches)?);
        }
    }
    Ok(())
}
