//! The real window without a screen: driven by label and by pointer, with a scripted model in place
//! of a real one, and a few pictures of it.

#[path = "window/canvas.rs"]
mod canvas;
#[path = "window/families.rs"]
mod families;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "window/panel.rs"]
mod panel;
#[path = "window/pictures.rs"]
mod pictures;
#[path = "window/stage.rs"]
mod stage;

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let tests = [panel::tests(), canvas::tests(), families::tests(), pictures::tests()];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit();
}
