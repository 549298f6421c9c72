//! Chains: passes that run on what the one before left, with small models that share an autoencoder
//! and with some that do not.

use std::{path::PathBuf, sync::Arc};

use overpaint::{
    engine::{
        Event, EventKind, Handover, ImageSource, PassNumber, Request, Stage, Task, handovers,
    },
    geometry::Extent,
    pixels::Mask,
};

use super::resident::{EXTENT, engine, mask, model, outcome, request, run};

/// One of Stable Diffusion XL's family.
fn xl(name: &str) -> String {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/models");
    models.join(name).display().to_string()
}

/// A new picture, a part of it repainted, and all of it changed; ten evaluations in all.
fn three_passes() -> Request {
    let fill = Stage {
        task: Task::Fill,
        mask: Some(ImageSource::Memory(Arc::new(mask()))),
        prompt: Some("a red door".into()),
        num_inference_steps: Some(4),
        ..Stage::default()
    };
    let transform = Stage { strength: Some(0.5), ..fill.clone() };
    let transform = Stage { task: Task::Transform, mask: None, ..transform };
    let (image, mask) = (None, None);
    let first = Request { task: Task::Generate, image, mask, ..request("base-sharded") };
    Request {
        canvas: Some(EXTENT),
        num_inference_steps: 4,
        scheduler: Some("DDIM".into()),
        chain: vec![fill, transform],
        ..first
    }
}

fn failure(events: &[Event]) -> &str {
    match &events.last().unwrap().kind {
        EventKind::Failed(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn steps_and_previews_count_over_all_passes() {
    let mut engine = engine();
    let events = run(&mut engine, three_passes());
    let steps: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Step(progress) => Some((progress.pass, progress.step, progress.total)),
            _ => None,
        })
        .collect();
    let pass = |step| match step {
        1..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let expected: Vec<_> =
        (1..=10).map(|step| (PassNumber { number: pass(step), of: 3 }, step, 10)).collect();
    assert_eq!(steps, expected);
    assert_eq!(engine.take_preview().expect("a preview").step, 10);
    let made = outcome(&events);
    assert_eq!(made.notes, [""; 0], "latents were handed on");
    assert_eq!(made.images[0].picture.extent(), EXTENT);
}

#[test]
fn every_pass_leaves_its_mark() {
    let mut engine = engine();
    let mut last = Vec::new();
    for passes in 0..=2 {
        let mut request = three_passes();
        request.chain.truncate(passes);
        let made = outcome(&run(&mut engine, request)).images[0].layer.clone();
        assert!(!last.contains(&made), "pass {passes} did nothing");
        last.push(made);
    }
}

#[test]
fn what_is_told_before_a_run_is_what_happens_in_it() {
    let base = |chain: Vec<Stage>| Request {
        task: Task::Generate,
        model: xl("xl-base"),
        prompt: "a fox".into(),
        seed: Some(1),
        num_inference_steps: 4,
        chain,
        ..Request::default()
    };
    let refiner = |name: &str| Stage::refiner(xl(name), 8);
    let mut engine = engine();
    for (chain, reasons) in [
        (vec![refiner("xl-refiner")], vec![None]),
        (vec![refiner("xl-refiner-other")], vec![Some("different autoencoders")]),
        (
            vec![
                Stage { num_inference_steps: Some(8), ..Stage::default() },
                refiner("xl-refiner-other"),
            ],
            vec![None, Some("different autoencoders")],
        ),
    ] {
        let request = base(chain);
        let told = handovers(&request).unwrap();
        assert_eq!(told.len(), reasons.len());
        for (told, reason) in told.iter().zip(&reasons) {
            match (told, reason) {
                (Handover::Latents, None) => {}
                (Handover::Picture(why), Some(reason)) => assert!(why.contains(reason), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        let events = run(&mut engine, request);
        let notes = &outcome(&events).notes;
        let decoded: Vec<&String> = told
            .iter()
            .filter_map(|told| match told {
                Handover::Picture(why) => Some(why),
                Handover::Latents => None,
            })
            .collect();
        assert_eq!(notes.len(), decoded.len());
        assert!(notes.iter().zip(decoded).all(|(note, why)| note.contains(why)), "{notes:?}");
    }
}

#[test]
fn a_model_made_for_inpainting_is_given_the_picture() {
    let fill = Stage { task: Task::Fill, model: model("inpaint-pndm"), ..Stage::default() };
    let chain = vec![fill];
    let told = handovers(&Request { chain, ..request("base-sharded") }).unwrap();
    let [Handover::Picture(why)] = &told[..] else { panic!("{told:?}") };
    assert!(why.contains("around the mask"), "{why}");
}

#[test]
fn a_run_that_is_taken_over_with_its_noise_is_warned_about() {
    let mut request = Request { task: Task::Generate, model: xl("xl-base"), ..Request::default() };
    request.refine(Stage::ensemble(xl("xl-refiner-other"), 0.5));
    let told = handovers(&request).unwrap();
    let [Handover::Picture(why)] = &told[..] else { panic!("{told:?}") };
    assert!(why.contains("noise that is left"), "{why}");
    request.vae = Some(format!("{}/vae", xl("xl-base")));
    assert_eq!(handovers(&request).unwrap(), [Handover::Latents], "one for both");
}

#[test]
fn errors_name_the_pass_before_anything_is_loaded() {
    let mut engine = engine();
    let with = |stage: Stage| Request { chain: vec![stage], ..three_passes() };
    let fill = three_passes().chain[0].clone();
    let small = Some(ImageSource::Memory(Arc::new(Mask::new(Extent::new(8, 8)))));
    let gone = Some(ImageSource::File("gone.png".into()));
    for (bad, reason) in [
        (with(Stage { mask: small, ..fill.clone() }), "the mask is 8x8 pixels"),
        (with(Stage { mask: gone, ..fill.clone() }), "gone.png"),
        (with(Stage { mask: None, ..fill.clone() }), "needs a mask"),
        (with(Stage { model: "nowhere".into(), ..fill.clone() }), "no model `nowhere`"),
        (with(Stage { model: "content-aware".into(), ..fill.clone() }), "content-aware"),
        (
            with(Stage { task: Task::Transform, model: model("inpaint-pndm"), ..fill.clone() }),
            "needs a mask",
        ),
        (with(Stage { strength: Some(0.01), ..fill }), "a strength of 0.01 leaves none"),
    ] {
        let events = run(&mut engine, bad);
        let told = failure(&events);
        assert!(told.starts_with("pass 2 of the chain: ") && told.contains(reason), "{told}");
        let loaded = events.iter().any(|event| matches!(event.kind, EventKind::Loading(_)));
        assert!(!loaded, "{told}");
    }
}
