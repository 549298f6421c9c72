//! The binary: parse arguments, then the window or the command line.

use std::process::ExitCode;

use overpaint::cli::{self, Invocation};

fn main() -> ExitCode {
    env_logger::init();
    match cli::parse() {
        Invocation::Done(code) => code,
        Invocation::Window(_) => {
            eprintln!("overpaint: there is no window yet; run {}", cli::sample_command());
            ExitCode::FAILURE
        }
    }
}
