//! `overpaint doctor`: what this machine offers and where things are.

use super::{Failure, models};
use crate::{
    catalog::{self, places},
    engine::{Device, device_name, memory},
    render,
};

/// Prints the report.
pub fn report() -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    line("version", env!("CARGO_PKG_VERSION"));
    line("processor", &format!("{threads} threads; {}", processor_features()));
    line("memory", &memory_in_words());
    line("runs on", &device_name(Device::Auto));
    line("CUDA", &accelerator(Device::Cuda(0), cfg!(feature = "cuda")));
    line("Metal", &accelerator(Device::Metal, cfg!(feature = "metal")));
    let adapters = render::adapter_names();
    line("graphics", &if adapters.is_empty() { "none found".into() } else { adapters.join("; ") });
    line("cache", &places::cache_folder().display().to_string());
    line("hub cache", &places::hub_cache_folder().display().to_string());
    line("models", &models::places());
    for entry in catalog::list() {
        line("", &format!("{}: {}", entry.id, entry.about));
    }
    Ok(())
}

fn line(what: &str, text: &str) {
    println!("{what:10} {text}");
}

fn memory_in_words() -> String {
    match memory::machine_bytes() {
        Some((all, free)) => {
            format!("{}, of which {} are free", memory::in_words(all), memory::in_words(free))
        }
        None => "unknown".into(),
    }
}

fn accelerator(device: Device, built: bool) -> String {
    if built { device_name(device) } else { "not in this build".into() }
}

/// The instruction sets that matter for speed.
fn processor_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("FMA", std::arch::is_x86_feature_detected!("fma")),
            ("F16C", std::arch::is_x86_feature_detected!("f16c")),
            ("AVX-512F", std::arch::is_x86_feature_detected!("avx512f")),
        ];
        let found: Vec<&str> =
            features.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        if found.is_empty() { "x86-64 without AVX2: slow".into() } else { found.join(", ") }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.into()
    }
}
