//! Models that are described instead of stored, made into ordinary folders. The Python of the same
//! name under `tests/reference` says how; this is the same in Rust.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{DType, Device, Tensor, safetensors};
use serde::Deserialize;

/// Of bytes, drawn evenly: centre and deviation.
const CENTRE: f32 = 127.5;
const DEVIATION: f32 = 74.0;

#[derive(Deserialize)]
struct Description {
    seed: String,
    /// Name, shape, mean and deviation.
    tensors: Vec<(String, Vec<usize>, f32, f32)>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Writes the described model folder `from` as an ordinary one to `to`.
pub fn materialise(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            materialise(&path, &target)?;
        } else if path.file_name().is_some_and(|name| name == "weights.json") {
            component(from, to)?;
        } else if path.extension().is_none_or(|extension| extension != "safetensors") {
            fs::copy(&path, target)?;
        }
    }
    Ok(())
}

fn component(from: &Path, to: &Path) -> Result<()> {
    let text = fs::read_to_string(from.join("weights.json"))?;
    let description: Description = serde_json::from_str(&text)?;
    let mut tensors = HashMap::new();
    for (name, shape, mean, deviation) in description.tensors {
        let numbers = hashed(&format!("{}/{name}", description.seed), shape.iter().product());
        let numbers = numbers.map(|number| number * deviation + mean).collect();
        let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(DType::F16)?;
        tensors.insert(name, tensor);
    }
    let fitted = from.join("fitted.safetensors");
    if fitted.exists() {
        tensors.extend(safetensors::load(fitted, &Device::Cpu)?);
    }
    let is_encoder = to.file_name().is_some_and(|name| name.to_string_lossy().ends_with("encoder"));
    let stem = if is_encoder { "model" } else { "diffusion_pytorch_model" };
    Ok(safetensors::save(&tensors, to.join(format!("{stem}.safetensors")))?)
}

/// Numbers of mean 0 and deviation 1: FNV-1a of the name, then SplitMix64 by place.
pub fn hashed(name: &str, count: usize) -> impl Iterator<Item = f32> + use<> {
    let start = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (1..=count as u64).map(move |place| {
        let z = start.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let byte = ((z ^ (z >> 31)) >> 56) as f32;
        (byte - CENTRE) / DEVIATION
    })
}
