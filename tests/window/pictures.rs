//! A few pictures of the window. They need a graphics adapter, real or in software.
//! `UPDATE_SNAPSHOTS=true` writes them anew.

use egui::vec2;
use egui_kittest::{SnapshotOptions, kittest::Queryable as _};
use libtest_mimic::Trial;

use crate::{
    gpu,
    panel::{finish_run, mark_something, start_run},
    stage::Stage,
};

pub fn tests() -> Vec<Trial> {
    vec![
        gpu::trial("picture_of_the_empty_window", || {
            picture(&mut Stage::drawn(true, LAPTOP, 1.0), "empty");
        }),
        gpu::trial("picture_of_a_marked_picture", || {
            let mut stage = Stage::drawn(false, LAPTOP, 1.0);
            mark_something(&mut stage);
            picture(&mut stage, "marked");
        }),
        gpu::trial("picture_of_a_result", || {
            let mut stage = Stage::drawn(false, LAPTOP, 1.0);
            start_run(&mut stage);
            finish_run(&mut stage);
            picture(&mut stage, "result");
        }),
        gpu::trial("picture_of_the_help_sheet_at_twice_the_size", || {
            let mut stage = Stage::drawn(false, LAPTOP / 1.25, 2.0);
            stage.window.get_by_label("Help").click();
            stage.settle();
            picture(&mut stage, "help");
        }),
    ]
}

/// A small laptop's screen.
const LAPTOP: egui::Vec2 = vec2(1366.0, 768.0);

fn picture(stage: &mut Stage, name: &str) {
    // Two software drivers differ in a handful of edge pixels; a moved control differs in hundreds.
    let options = SnapshotOptions::new().threshold(1.0).max_failed_pixels(20_usize);
    let drawn = stage.window.render().unwrap();
    egui_kittest::try_image_snapshot_options(&drawn, name, &options).unwrap();
}
