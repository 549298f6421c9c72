//! The same requests as the window's, without one.
//!
//! Exit codes: 0 done, 1 failed, 2 bad arguments or input (nothing was run), 130 cancelled.

mod arguments;
mod bench;
mod build;
mod controls;
mod doctor;
mod files;
mod models;
mod progress;
mod prompts;
mod run;
pub mod threads;
mod values;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};

pub use arguments::Window;
use arguments::{Cli, Command};

/// What the arguments ask for.
pub enum Invocation {
    /// The window, with these.
    Window(Window),
    /// Already done; the program ends with this.
    Done(ExitCode),
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong while it ran.
    Failed(String),
    /// Bad arguments or input; nothing was run.
    Bad(String),
    Cancelled,
}

impl Failure {
    fn bad(text: impl std::fmt::Display) -> Self {
        Self::Bad(text.to_string())
    }

    fn failed(text: impl std::fmt::Display) -> Self {
        Self::Failed(text.to_string())
    }

    /// Tells a person, and gives the exit code.
    fn report(self) -> ExitCode {
        match self {
            Self::Failed(text) => {
                eprintln!("overpaint: {text}");
                ExitCode::FAILURE
            }
            Self::Bad(text) => {
                eprintln!("overpaint: {text}");
                ExitCode::from(2)
            }
            Self::Cancelled => {
                eprintln!("overpaint: cancelled");
                ExitCode::from(130)
            }
        }
    }
}

/// A command that runs without a window and shows what the program does.
pub fn sample_command() -> String {
    "overpaint fill assets/sample/reef.jpg --mask assets/sample/reef-mask.png --output filled.png"
        .into()
}

/// Reads the program's arguments and runs the command that they name, if they name one.
pub fn parse() -> Invocation {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return Invocation::Done(usage(&error)),
    };
    let Some(command) = cli.command else {
        return Invocation::Window(cli.window);
    };
    Invocation::Done(execute(command).map_or_else(Failure::report, |()| ExitCode::SUCCESS))
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Fill(arguments) => run::run(build::fill(arguments)?),
        Command::Generate(arguments) => run::run(build::generate(arguments)?),
        Command::Transform(arguments) => run::run(build::transform(arguments)?),
        Command::Models(arguments) => models::run(&arguments),
        Command::Doctor => doctor::report(),
        Command::Sweep(_) => Err(not_yet("sweep", "run `overpaint fill` once for each setting")),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

fn not_yet(command: &str, instead: &str) -> Failure {
    Failure::Bad(format!("{command} is not supported yet; {instead}"))
}

/// Help and version are no errors; everything else is a bad argument.
fn usage(error: &clap::Error) -> ExitCode {
    // If even that cannot be written, there is nobody to tell.
    let _closed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
