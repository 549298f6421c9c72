//! The one measure and the one tolerance of all parity tests.

use std::{fmt::Display, sync::Mutex};

use candle_core::{DType, Tensor};
use libtest_mimic::{Failed, Trial};

/// Bound of ||a - b|| / ||b||, and of max |a - b| / max |b|. Two correct f32 implementations stay
/// well below it: `tests/reference/README.md` has the numbers.
pub const RELATIVE: f64 = 1e-3;

/// Bound of the difference of 8-bit pictures, in levels.
pub const LEVELS: u8 = 2;

/// How far something is from the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// The larger one of the two relative measures.
    pub relative: f64,
    pub levels: u8,
}

impl Deviation {
    /// Of tensors, which must have the same number of elements in the same order.
    pub fn of(actual: &[f32], expected: &[f32]) -> Result<Self, String> {
        if actual.len() != expected.len() {
            return Err(format!("{} numbers, the reference has {}", actual.len(), expected.len()));
        }
        if let Some(bad) = actual.iter().find(|value| !value.is_finite()) {
            return Err(format!("{bad} among the numbers"));
        }
        let (mut difference, mut size) = (0.0, 0.0);
        let (mut largest_difference, mut largest) = (0.0f64, 0.0f64);
        for (a, b) in actual.iter().zip(expected) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            difference += (a - b).powi(2);
            size += b.powi(2);
            largest_difference = largest_difference.max((a - b).abs());
            largest = largest.max(b.abs());
        }
        let by_norm = difference.sqrt() / size.sqrt().max(f64::MIN_POSITIVE);
        let by_largest = largest_difference / largest.max(f64::MIN_POSITIVE);
        Ok(Self { relative: by_norm.max(by_largest), levels: 0 })
    }

    /// Of pictures, byte by byte.
    pub fn of_bytes(actual: &[u8], expected: &[u8]) -> Result<Self, String> {
        if actual.len() != expected.len() {
            return Err(format!("{} bytes, the reference has {}", actual.len(), expected.len()));
        }
        let levels = actual.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
        Ok(Self { relative: 0.0, levels: levels.unwrap_or(0) })
    }

    /// The worse of both, measure by measure.
    pub fn worst(self, other: Self) -> Self {
        Self { relative: self.relative.max(other.relative), levels: self.levels.max(other.levels) }
    }

    pub fn is_within(self) -> bool {
        self.relative <= RELATIVE && self.levels <= LEVELS
    }
}

impl Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "relative {:.1e}, {} levels", self.relative, self.levels)
    }
}

static TABLE: Mutex<Vec<(String, Deviation)>> = Mutex::new(Vec::new());

/// A test that measures: it passes within the bounds, and its numbers go into the table.
pub fn measured(
    name: impl Into<String>,
    check: impl FnOnce() -> Result<Deviation, String> + Send + 'static,
) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || record(&name, check()?))
}

/// Puts a measurement into the table; an error when it is out of bounds.
pub fn record(name: &str, deviation: Deviation) -> Result<(), Failed> {
    if let Ok(mut table) = TABLE.lock() {
        table.push((name.to_owned(), deviation));
    }
    if deviation.is_within() { Ok(()) } else { Err(deviation.to_string().into()) }
}

/// A test of bytes or words that allows no difference at all.
pub fn exact(
    name: impl Into<String>,
    check: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Trial {
    Trial::test(name, move || check().map_err(Failed::from))
}

/// The numbers of a tensor as f32, in order.
pub fn numbers(tensor: &Tensor) -> Result<Vec<f32>, String> {
    let flat = tensor.flatten_all().and_then(|t| t.to_dtype(DType::F32));
    flat.and_then(|t| t.to_vec1()).map_err(|error| error.to_string())
}

/// What was measured, the worst first.
pub fn print_table() {
    let Ok(mut table) = TABLE.lock() else { return };
    table.sort_by(|a, b| b.1.relative.total_cmp(&a.1.relative));
    let levels = table.iter().map(|row| row.1.levels).max().unwrap_or(0);
    println!("{} measured; pictures differ by at most {levels} levels; worst:", table.len());
    for (name, deviation) in table.iter().take(12) {
        println!("  {name:44} {deviation}");
    }
}
