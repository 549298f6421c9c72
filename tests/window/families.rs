//! What the panel shows and sends for models that can do more than fill.

use egui_kittest::kittest::{NodeT, Queryable};
use libtest_mimic::{Failed, Trial};
use overpaint::{
    engine::{PriorUse, Task},
    geometry::Extent,
};

use super::{panel::mark_something, stage::Stage};

/// A decoder, with its prior beside it.
const KANDINSKY: &str = "tests/fixtures/kandinsky/models/inpaint";
const XL: &str = "tests/fixtures/families/models/xl-base";

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 5] = [
        ("a_new_picture_is_made_where_none_is_open", a_new_picture_is_made),
        ("the_whole_picture_is_changed_without_a_mask", the_whole_picture_is_changed),
        ("what_a_model_cannot_do_is_not_offered", what_a_model_cannot_do),
        ("kandinsky_reads_the_prompt_through_a_prior", kandinsky_reads_through_a_prior),
        ("the_second_prompt_reaches_the_model", the_second_prompt_reaches_the_model),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    rows.into_iter().map(trial).collect()
}

fn choose_task(stage: &mut Stage, name: &str) {
    stage.window.get_by_role_and_label(egui::accesskit::Role::ComboBox, "Task").click();
    stage.settle();
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn generate(stage: &mut Stage) {
    stage.window.get_by_label("Generate").click();
    stage.window.step();
    stage.window.step();
}

fn a_new_picture_is_made() {
    let mut stage = Stage::with_model(true, XL);
    choose_task(&mut stage, "Make a new picture");
    generate(&mut stage);
    let request = stage.request();
    assert_eq!(request.task, Task::Generate);
    assert!(request.image.is_none() && request.mask.is_none());
    let side = request.canvas.unwrap();
    assert_eq!(stage.window.state().document().unwrap().extent(), side);
    assert_eq!(side, Extent::new(48, 48), "the model's own size");
}

fn the_whole_picture_is_changed() {
    let mut stage = Stage::with_model(false, XL);
    choose_task(&mut stage, "Change the whole picture");
    generate(&mut stage);
    let request = stage.request();
    assert_eq!((request.task, request.strength), (Task::Transform, Some(0.6)));
    assert!(request.image.is_some() && request.mask.is_none() && request.canvas.is_none());
}

fn what_a_model_cannot_do() {
    let mut stage = Stage::new(false);
    assert!(stage.window.query_by_label("Sizes and looks").is_none());
    stage.window.get_by_role_and_label(egui::accesskit::Role::ComboBox, "Task").click();
    stage.settle();
    let rows = [("Repaint the marked part", false), ("Make a new picture", true)];
    for (name, disabled) in rows {
        let mut found = stage.window.query_all_by_role(egui::accesskit::Role::Button);
        let row = found.find(|node| node.accesskit_node().label().as_deref() == Some(name));
        assert_eq!(row.map(|row| row.accesskit_node().is_disabled()), Some(disabled), "{name}");
    }
}

fn the_second_prompt_reaches_the_model() {
    let mut stage = Stage::with_model(false, XL);
    choose_task(&mut stage, "Change the whole picture");
    stage.window.get_by_label("Prompts").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("Prompts").click();
    stage.settle();
    let field = "For the second text encoder";
    stage.window.get_by_label(field).scroll_to_me();
    stage.settle();
    stage.window.get_by_label(field).focus();
    stage.settle();
    stage.window.get_by_label(field).type_text("thick paint");
    stage.settle();
    generate(&mut stage);
    let request = stage.request();
    assert_eq!(request.prompt_2.as_deref(), Some("thick paint"));
    assert!(request.chain.is_empty() && request.denoising_end.is_none());
}

fn kandinsky_reads_through_a_prior() {
    assert!(Stage::new(false).window.query_by_label("Prior").is_none());
    let mut stage = Stage::with_model(false, KANDINSKY);
    assert!(stage.window.query_by_label("LoRA").is_none(), "it takes none");
    stage.window.get_by_label("Prior").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("Prior").click();
    stage.settle();
    for slider in ["Prior steps", "Prior guidance"] {
        // A slider and the field of its number.
        assert_eq!(stage.window.query_all_by_label(slider).count(), 2, "{slider}");
    }
    mark_something(&mut stage);
    generate(&mut stage);
    let request = stage.request();
    assert_eq!((request.task, request.prior), (Task::Fill, PriorUse::default()));
    assert_eq!((request.num_inference_steps, request.guidance_scale), (50, 4.0));
}
