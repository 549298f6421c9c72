//! The binary: parse arguments, then the window or the command line.

use std::process::ExitCode;

use overpaint::{
    app, catalog,
    cli::{self, Invocation},
};

fn main() -> ExitCode {
    // The graphics drivers' own complaints stay out, unless RUST_LOG asks for them.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("overpaint=warn"))
        .init();
    let window = match cli::parse() {
        Invocation::Done(code) => return code,
        Invocation::Window(window) => window,
    };
    cli::threads::leave_one_for_the_window();
    let opened = app::run(app::Options {
        picture: window.picture,
        mask: window.mask,
        model: window.model,
        state: catalog::places::state_folder(),
        empty: false,
        hub: None,
        headless_command: cli::sample_command(),
    });
    match opened {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("overpaint: {why}");
            ExitCode::FAILURE
        }
    }
}
