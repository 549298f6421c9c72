//! ControlNets in the panel: what is offered, what must be chosen, what reaches the model.

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use libtest_mimic::{Failed, Trial};

use crate::stage::Stage;

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 2] = [
        ("a_controlnet_for_inpainting_needs_no_picture", one_for_inpainting_needs_no_picture),
        ("other_controlnets_ask_for_a_picture", others_ask_for_a_picture),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    rows.into_iter().map(trial).collect()
}

/// A window with everything marked and the group open.
fn ready() -> Stage {
    let mut stage = Stage::new(false);
    stage.window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    stage.settle();
    stage.window.get_by_label("ControlNet").scroll_to_me();
    stage.settle();
    stage.window.get_by_label("ControlNet").click();
    stage.settle();
    stage
}

/// Opens the list that is named so, or says so.
fn open(stage: &mut Stage, name: &str) {
    fn find<'a>(stage: &'a Stage, name: &'a str) -> egui_kittest::Node<'a> {
        let named = |node: &egui_kittest::Node<'_>| {
            let node = node.accesskit_node();
            [node.label(), node.value()].iter().flatten().any(|text| text == name)
        };
        let mut lists = stage.window.query_all_by_role(Role::ComboBox);
        lists.find(named).unwrap_or_else(|| panic!("no list {name}"))
    }
    find(stage, name).scroll_to_me();
    stage.settle();
    find(stage, name).click();
    stage.settle();
}

/// Opens a list and takes a row of it.
fn pick(stage: &mut Stage, list: &str, row: &str) {
    open(stage, list);
    stage.window.get_by_role_and_label(Role::Button, row).click();
    stage.settle();
}

fn generate(stage: &mut Stage) {
    stage.window.get_by_label("Generate").click();
    stage.window.step();
    stage.window.step();
}

fn one_for_inpainting_needs_no_picture() {
    let mut stage = ready();
    pick(&mut stage, "Add a ControlNet", "inpaint");
    generate(&mut stage);
    let control = &stage.request().controlnets[0];
    assert_eq!((control.model.as_str(), control.image.is_none()), ("inpaint", true));
    assert_eq!((control.conditioning_scale, control.guidance_end), (Some(1.0), 1.0));
}

fn others_ask_for_a_picture() {
    let mut stage = ready();
    pick(&mut stage, "Add a ControlNet", "plain");
    generate(&mut stage);
    let messages = stage.window.state().messages();
    assert!(messages[0].contains("plain has no picture"), "{messages:?}");
    pick(&mut stage, "Sees", "The picture here");
    generate(&mut stage);
    assert!(stage.request().controlnets[0].image.is_some());
    // One of Stable Diffusion XL's is shown, but cannot be taken.
    open(&mut stage, "Add a ControlNet");
    let xl = stage.window.get_by_role_and_label(Role::Button, "xl");
    assert!(xl.accesskit_node().is_disabled());
}
