//! Passes that follow the first: built in the panel, told about before the run, and the same request
//! as a file's.

use egui::accesskit::Role;
use egui_kittest::{
    Node,
    kittest::{NodeT, Queryable},
};
use libtest_mimic::{Failed, Trial};
use overpaint::{
    app::Command,
    engine::{Request, Stage as Pass, Task},
    pixels::blend::{Blend, Edge},
};
use serde_json::json;

use super::{panel::mark_something, stage::Stage};

const BASE: &str = "tests/fixtures/parity/models/base-sharded";
const INPAINT: &str = "tests/fixtures/parity/models/inpaint-pndm";
const XL: &str = "tests/fixtures/families/models/xl-base";
const REFINER: &str = "tests/fixtures/families/models/xl-refiner";

pub fn tests() -> Vec<Trial> {
    let rows: [(&str, fn()); 4] = [
        ("a_chain_is_the_request_of_a_file", a_chain_is_the_request_of_a_file),
        ("a_refiner_is_one_click", a_refiner_is_one_click),
        ("passes_move_and_go", passes_move_and_go),
        ("a_pass_says_what_it_gets_before_the_run", a_pass_says_what_it_gets),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    rows.into_iter().map(trial).collect()
}

fn path(model: &str) -> String {
    format!("{}/{model}", env!("CARGO_MANIFEST_DIR"))
}

/// The `number`th, from 0, of what has this role and label.
fn nth<'a>(stage: &'a Stage, role: Role, label: &str, number: usize) -> Node<'a> {
    let named = |node: &Node<'a>| node.accesskit_node().label().as_deref() == Some(label);
    let mut found = stage.window.query_all_by_role(role).filter(named);
    found.nth(number).unwrap_or_else(|| panic!("no {label} with the number {number}"))
}

fn click(stage: &mut Stage, role: Role, label: &str, number: usize) {
    nth(stage, role, label, number).scroll_to_me();
    stage.settle();
    nth(stage, role, label, number).click();
    stage.settle();
}

fn button(stage: &mut Stage, label: &str) {
    click(stage, Role::Button, label, 0);
}

/// Opens the section of further passes.
fn open_then(stage: &mut Stage) {
    stage.window.get_by_label("Then").click();
    stage.settle();
}

fn choose(stage: &mut Stage, list: &str, number: usize, row: &str) {
    click(stage, Role::ComboBox, list, number);
    button(stage, row);
}

fn generate(stage: &mut Stage) -> Request {
    stage.window.get_by_label("Generate").click();
    stage.window.step();
    stage.window.step();
    stage.request()
}

fn a_chain_is_the_request_of_a_file() {
    let mut stage = Stage::with_model(false, BASE);
    mark_something(&mut stage);
    choose(&mut stage, "Task", 0, "Make a new picture");
    open_then(&mut stage);
    for _ in 0..2 {
        button(&mut stage, "Add a pass");
    }
    choose(&mut stage, "Task", 1, "Repaint the marked part");
    nth(&stage, Role::TextInput, "Prompt", 0).scroll_to_me();
    stage.settle();
    nth(&stage, Role::TextInput, "Prompt", 0).focus();
    stage.settle();
    nth(&stage, Role::TextInput, "Prompt", 0).type_text("a red door");
    stage.settle();
    let mut sent = generate(&mut stage);
    assert_eq!(sent.chain.len(), 2, "{sent:?}");
    let mask = sent.chain[0].mask.take();
    let masks = sent.chain.iter().filter(|pass| pass.mask.is_some()).count();
    assert_eq!((mask.is_some(), masks), (true, 0), "only what repaints has a mask");
    let canvas = sent.canvas;
    let written = json!({
        "task": "generate",
        "model": path(BASE),
        "prompt_syntax": "a1111",
        "strength": 1.0,
        "canvas": canvas,
        "chain": [
            {
                "task": "fill",
                "prompt": "a red door",
                "num_inference_steps": 20,
                "guidance_scale": 7.0,
                "strength": 0.5,
            },
            {
                "task": "transform",
                "num_inference_steps": 20,
                "guidance_scale": 7.0,
                "strength": 0.5,
            },
        ],
    });
    let mut written: Request = serde_json::from_value(written).unwrap();
    // The window's results have automatic edges.
    written.blend = Blend { edge: Edge::AUTO, ..Blend::default() };
    assert_eq!(sent, written);
}

fn a_refiner_is_one_click() {
    let mut stage = Stage::with_model(false, XL);
    for model in [REFINER, XL] {
        stage.window.state_mut().push(Command::UseModel(path(model)));
        stage.settle();
    }
    mark_something(&mut stage);
    open_then(&mut stage);
    button(&mut stage, "Refine with xl-refiner");
    assert!(stage.window.query_by_label("Then: 1 more pass").is_some());
    let request = generate(&mut stage);
    let refiner = Pass { task: Task::Fill, ..Pass::ensemble(path(REFINER), 0.8) };
    assert_eq!((request.denoising_end, request.chain), (Some(0.8), vec![refiner]));
}

fn passes_move_and_go() {
    let mut stage = Stage::with_model(false, BASE);
    mark_something(&mut stage);
    open_then(&mut stage);
    for _ in 0..3 {
        button(&mut stage, "Add a pass");
    }
    choose(&mut stage, "Task", 3, "Finish the run");
    button(&mut stage, "Move pass 4 up");
    button(&mut stage, "Remove pass 2");
    let request = generate(&mut stage);
    let starts: Vec<_> = request.chain.iter().map(|pass| pass.denoising_start).collect();
    assert_eq!(starts, [Some(0.8), None]);
    assert_eq!(request.denoising_end, Some(0.8));
}

fn a_pass_says_what_it_gets() {
    let mut stage = Stage::with_model(false, BASE);
    for model in [INPAINT, BASE] {
        stage.window.state_mut().push(Command::UseModel(path(model)));
        stage.settle();
    }
    open_then(&mut stage);
    button(&mut stage, "Add a pass");
    stage.until("the answer", |w| w.query_by_label("Takes the latents as they are.").is_some());
    choose(&mut stage, "Model", 1, "inpaint-pndm");
    let why = "The picture is decoded and encoded first: inpaint-pndm looks at the picture around \
               the mask.";
    stage.until("the other answer", |w| w.query_by_label(why).is_some());
    choose(&mut stage, "Model", 1, "The same");
    stage
        .until("the first again", |w| w.query_by_label("Takes the latents as they are.").is_some());
}
