//! The noise of torch's CPU generator, call by call.

use libtest_mimic::Trial;
use overpaint::diffusion::noise::{NoiseSource, TorchNoise};
use serde::Deserialize;

use super::{
    compare::{Deviation, exact, measured},
    fixtures::{Tensors, unit},
};

#[derive(Deserialize)]
struct Noise {
    sequences: Vec<Sequence>,
    big: Big,
}

/// Draws one after the other from one generator.
#[derive(Deserialize)]
struct Sequence {
    seed: String,
    counts: Vec<usize>,
}

/// One draw of which only both ends are kept.
#[derive(Deserialize)]
struct Big {
    seed: u64,
    count: usize,
}

pub fn trials() -> Vec<Trial> {
    let noise: Noise = unit("noise");
    let big = noise.big;
    let sequences = noise.sequences.into_iter().enumerate().map(|(index, sequence)| {
        let name = format!("noise::{index:02}-seed-{}-draws-{:?}", sequence.seed, sequence.counts);
        measured(name, move || check(index, &sequence))
    });
    sequences
        .chain([
            measured("noise::big", move || check_big(&big)),
            exact("noise::another-seed-differs", another_seed_differs),
        ])
        .collect()
}

fn check(index: usize, sequence: &Sequence) -> Result<Deviation, String> {
    let expected = Tensors::load("units/noise.safetensors");
    let seed = sequence.seed.parse().map_err(|error| format!("seed: {error}"))?;
    let mut noise = TorchNoise::new(seed);
    let mut worst = Deviation::default();
    for (call, &count) in sequence.counts.iter().enumerate() {
        let drawn = noise.fill(count);
        let deviation = Deviation::of(&drawn, &expected.numbers(&format!("{index:02}_{call}"))?)?;
        worst = worst.worst(deviation);
    }
    Ok(worst)
}

fn check_big(big: &Big) -> Result<Deviation, String> {
    let expected = Tensors::load("units/noise.safetensors");
    let drawn = TorchNoise::new(big.seed).fill(big.count);
    let head = Deviation::of(&drawn[..32], &expected.numbers("big_head")?)?;
    let tail = Deviation::of(&drawn[big.count - 32..], &expected.numbers("big_tail")?)?;
    Ok(head.worst(tail))
}

/// The comparison can fail.
fn another_seed_differs() -> Result<(), String> {
    let expected = Tensors::load("units/noise.safetensors");
    let deviation = Deviation::of(&TorchNoise::new(12).fill(32), &expected.numbers("big_head")?)?;
    if deviation.is_within() { Err(format!("another seed passes: {deviation}")) } else { Ok(()) }
}
