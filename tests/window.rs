//! The real window without a screen: driven by label and by pointer, with a scripted model in place
//! of a real one, and a few pictures of it.

#[path = "window/blend.rs"]
mod blend;
#[path = "support/cache.rs"]
mod cache;
#[path = "window/canvas.rs"]
mod canvas;
#[path = "window/chains.rs"]
mod chains;
#[path = "window/control.rs"]
mod control;
#[path = "window/families.rs"]
mod families;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "window/journal.rs"]
mod journal;
#[path = "window/panel.rs"]
mod panel;
#[path = "window/pictures.rs"]
mod pictures;
#[path = "window/prompts.rs"]
mod prompts;
#[path = "window/select.rs"]
mod select;
#[path = "window/stage.rs"]
mod stage;

fn main() -> std::process::ExitCode {
    // SAFETY: no other thread runs yet, here and below.
    let _cache = unsafe { cache::own_cache_folder() };
    let arguments = libtest_mimic::Arguments::from_args();
    // Where the window finds weights for smart select, and ControlNets; the script runs in their place.
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let places = [tests.join("window/weights"), tests.join("fixtures/parity/controlnets")];
    let places = std::env::join_paths(places).unwrap();
    // SAFETY: as above.
    unsafe { std::env::set_var("OVERPAINT_MODELS", places) };
    let tests = [
        panel::tests(),
        canvas::tests(),
        select::tests(),
        control::tests(),
        families::tests(),
        chains::tests(),
        prompts::tests(),
        blend::tests(),
        journal::tests(),
        pictures::tests(),
    ];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit_code()
}
