//! How much memory a run takes, before it starts, and how it is made to fit a budget.
//!
//! [`Needs`] counts: the weights from the headers of their files, the work from the configurations
//! of the networks. [`Arrangement`] is what follows for a budget: which parts stay loaded while
//! another works, how much room the autoencoder has, and how much of the U-Net is read anew for
//! every step.

mod arrangement;
mod needs;
mod process;

pub use arrangement::Arrangement;
pub use needs::Needs;
pub(super) use process::{forget_peak, give_back_at_once};
pub use process::{machine_bytes, peak_bytes};

use super::{
    EngineError, Request, device,
    pass::{Pass, passes},
};
use crate::{catalog::ModelFolder, geometry::Extent};

/// Bytes of a GiB.
const GIB: f64 = (1u64 << 30) as f64;

/// What a request will take at the sampling size `size`, in bytes.
///
/// # Errors
/// If a model cannot be read, or the request's budget is too small for it.
pub fn foresee(folder: &ModelFolder, request: &Request, size: Extent) -> Result<u64, EngineError> {
    arrange(&mut passes(folder, request)?, size)
}

/// Decides for every pass what stays in memory meanwhile, so that the run stays within the budget
/// of its request: the bytes that it will take.
///
/// # Errors
/// As [`foresee`].
pub(super) fn arrange(passes: &mut [Pass], size: Extent) -> Result<u64, EngineError> {
    let needs: Result<Vec<Needs>, EngineError> =
        passes.iter().map(|pass| needs(pass, size)).collect();
    let needs = needs?;
    // All models beside each other, where that fits.
    for (index, needs_here) in needs.iter().enumerate() {
        let others = others(passes, &needs, index);
        let lavish = Arrangement::within(needs_here, None)?;
        passes[index].arrangement = Arrangement { predicted: lavish.predicted + others, ..lavish };
    }
    let budget = passes.first().and_then(|pass| pass.request.memory_budget).map(bytes);
    if budget.is_some_and(|budget| predicted(passes) > budget) {
        let alone = passes.iter().any(|pass| pass.folder.path != passes[0].folder.path);
        for (pass, needs) in passes.iter_mut().zip(&needs) {
            pass.arrangement = Arrangement { alone, ..Arrangement::within(needs, budget)? };
        }
    }
    Ok(predicted(passes))
}

fn needs(pass: &Pass, size: Extent) -> Result<Needs, EngineError> {
    let device = device::open(pass.request.device)?;
    Needs::of(pass, size, device::dtype(pass.request.dtype, &device))
}

fn predicted(passes: &[Pass]) -> u64 {
    passes.iter().map(|pass| pass.arrangement.predicted).max().unwrap_or(0)
}

/// Weights of the other models of the run than the one of a pass.
fn others(passes: &[Pass], needs: &[Needs], index: usize) -> u64 {
    let mut counted = vec![&passes[index].folder.path];
    let mut bytes = 0;
    for (pass, needs) in passes.iter().zip(needs) {
        if !counted.contains(&&pass.folder.path) {
            counted.push(&pass.folder.path);
            bytes += needs.weights();
        }
    }
    bytes
}

/// The bytes that a run may fill together with what stays loaded from others, of which `held` bytes
/// are in memory already: the budget of the request, otherwise most of what the machine has free.
/// Nothing is known of the memory of graphics cards.
pub(super) fn room(request: &Request, held: u64) -> Option<u64> {
    if let Some(budget) = request.memory_budget {
        return Some(bytes(budget));
    }
    let is_processor = device::open(request.device).is_ok_and(|device| device.is_cpu());
    let (_, free) = machine_bytes().filter(|_| is_processor)?;
    Some((free + held) / 10 * 9)
}

/// A budget in GiB as bytes.
fn bytes(gib: f64) -> u64 {
    (gib * GIB) as u64
}

/// As a person reads it: "4.3 GiB".
pub fn in_words(bytes: u64) -> String {
    let gib = bytes as f64 / GIB;
    if gib < 0.995 { format!("{:.0} MiB", gib * 1024.0) } else { format!("{gib:.1} GiB") }
}
