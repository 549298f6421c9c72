//! The canvas is drawn and read back, and compared with what the CPU computes.

#[path = "render/blur.rs"]
mod blur;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "render/layers.rs"]
mod layers;
#[path = "render/marks.rs"]
mod marks;
#[path = "render/picture.rs"]
mod picture;
#[path = "render/stage.rs"]
mod stage;
#[path = "render/uploads.rs"]
mod uploads;

fn main() {
    let mut arguments = libtest_mimic::Arguments::from_args();
    // One at a time: OpenGL devices of one process share a context, and a frame came back empty when
    // tests drew side by side. Software adapters use all cores for one frame anyway.
    arguments.test_threads = Some(1);
    let tests =
        [picture::tests(), layers::tests(), blur::tests(), marks::tests(), uploads::tests()];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit();
}
