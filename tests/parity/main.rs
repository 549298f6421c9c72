//! Parity with Hugging Face diffusers: the same latents after every step and the same picture, for
//! the cases in `tests/fixtures/parity`, which `tests/reference` made.
//!
//! `cargo test --test parity` runs all; `cargo test --test parity fill9` those whose name says so.

#[path = "../support/cache.rs"]
mod cache;
mod compare;
mod controlnet;
mod described;
mod fixtures;
mod kandinsky;
mod kandinsky_runs;
mod lora;
mod networks;
mod noise;
mod pipelines;
mod prompts;
mod schedulers;
mod sensitivity;
mod single_files;
mod tokens;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    let _cache = unsafe { cache::own_cache_folder() };
    let trials = [
        tokens::trials(),
        prompts::trials(),
        pipelines::trials(),
        lora::trials(),
        sensitivity::trials(),
        single_files::trials(),
        networks::trials(),
        kandinsky::trials(),
        controlnet::trials(),
        kandinsky_runs::trials(),
        noise::trials(),
        schedulers::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    compare::print_table();
    conclusion.exit_code()
}
