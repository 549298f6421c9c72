//! The real backend with a small model: what stays loaded and encoded, what previews show, how a
//! run is cancelled.

use std::{path::PathBuf, sync::Arc, time::Duration};

use overpaint::{
    engine::{
        Engine, Event, EventKind, FillMode, ImageSource, Outcome, PreviewMethod, Request, Task,
        diffusion_backend,
    },
    geometry::{Bounds, Extent},
    pixels::{Mask, Picture},
};

/// Far longer than any wait here lasts; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(300);
pub const EXTENT: Extent = Extent::new(160, 120);
const HOLE: Bounds = Bounds::new(90, 40, 30, 24);

pub fn model(name: &str) -> String {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/models");
    models.join(name).display().to_string()
}

/// Slopes and stripes, with something hidden under full transparency in the last row.
pub fn picture() -> Picture {
    let mut picture = Picture::new(EXTENT);
    for y in 0..EXTENT.height {
        for (x, pixel) in picture.row_mut(y).chunks_exact_mut(4).enumerate() {
            let alpha = if y + 1 == EXTENT.height { 0 } else { 255 };
            pixel.copy_from_slice(&[x as u8, y as u8 * 2, (x as u8 / 8 % 2) * 200, alpha]);
        }
    }
    picture
}

/// A soft rim of one pixel around a full rectangle.
pub fn mask() -> Mask {
    let mut mask = Mask::new(EXTENT);
    for (bounds, value) in [(HOLE.grow(1), 100), (HOLE, 255)] {
        for y in bounds.y..bounds.bottom() {
            mask.row_mut(y as u32)[bounds.x as usize..bounds.right() as usize].fill(value);
        }
    }
    mask
}

pub fn request(model_name: &str) -> Request {
    Request {
        task: Task::Fill,
        model: model(model_name),
        image: Some(ImageSource::deferred(picture)),
        mask: Some(ImageSource::Memory(Arc::new(mask()))),
        prompt: "a fox".into(),
        seed: Some(1),
        num_inference_steps: 2,
        ..Request::default()
    }
}

pub fn engine() -> Engine {
    Engine::start(diffusion_backend, Arc::new(|| {})).unwrap()
}

/// Runs one job to its end; gives all its events.
pub fn run(engine: &mut Engine, request: Request) -> Vec<Event> {
    let job = engine.submit(request).unwrap();
    let mut events = Vec::new();
    loop {
        let event = engine.wait_event(PATIENCE).expect("an event");
        assert_eq!(event.job, job);
        let ended = event.kind.is_ending();
        events.push(event);
        if ended {
            return events;
        }
    }
}

pub fn outcome(events: &[Event]) -> &Outcome {
    match &events.last().unwrap().kind {
        EventKind::Finished(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

fn loadings(events: &[Event]) -> Vec<&str> {
    let mut names: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Loading(loading) => Some(loading.what.as_str()),
            _ => None,
        })
        .collect();
    names.dedup();
    names
}

#[test]
fn a_second_run_with_another_seed_starts_to_sample_at_once() {
    let mut engine = engine();
    let first = run(&mut engine, request("inpaint-pndm"));
    let read = loadings(&first);
    for part in ["Loading the text encoder", "Loading the U-Net", "Loading the autoencoder"] {
        assert!(read.contains(&part), "{read:?}");
    }
    assert!(read.contains(&"Reading the prompt") && read.contains(&"Encoding the picture"));
    let second = run(&mut engine, Request { seed: Some(2), ..request("inpaint-pndm") });
    assert_eq!(loadings(&second), ["Decoding the picture"]);
    assert_ne!(outcome(&first).images[0].layer, outcome(&second).images[0].layer);
    let third = run(&mut engine, Request { prompt: "a dog".into(), ..request("inpaint-pndm") });
    assert_eq!(loadings(&third), ["Reading the prompt", "Decoding the picture"]);
    assert_ne!(outcome(&first).images[0].layer, outcome(&third).images[0].layer);
    let again = run(&mut engine, request("inpaint-pndm"));
    assert_eq!(outcome(&first).images[0].layer, outcome(&again).images[0].layer);
}

#[test]
fn models_stay_loaded_while_there_is_room_and_the_last_used_stays_longest() {
    let mut engine = engine();
    let names = |outcome: &Outcome| -> Vec<String> {
        outcome.loaded.iter().map(|loaded| loaded.name.clone()).collect()
    };
    for name in ["inpaint-pndm", "base-sharded", "base-v"] {
        run(&mut engine, request(name));
    }
    let back = run(&mut engine, request("base-sharded"));
    assert_eq!(loadings(&back), ["Decoding the picture"], "it was still loaded");
    let last = run(&mut engine, request("base-v"));
    let last = outcome(&last);
    assert_eq!(names(last), ["base-v", "base-sharded", "inpaint-pndm"]);
    let bytes: Vec<u64> = last.loaded.iter().map(|loaded| loaded.bytes).collect();
    // Room for the run and the model that was used before it, but not for the one before that.
    let room = last.foreseen_bytes.unwrap() + bytes[1] + bytes[2] / 2;
    let budget = Some(room as f64 / f64::from(1 << 30));
    let tight = Request { memory_budget: budget, ..request("base-v") };
    let events = run(&mut engine, tight);
    assert_eq!(names(outcome(&events)), ["base-v", "base-sharded"]);
    let gone = run(&mut engine, request("inpaint-pndm"));
    assert!(loadings(&gone).contains(&"Loading the U-Net"), "{:?}", loadings(&gone));
}

#[test]
fn bytes_outside_the_mask_are_the_pictures_own_in_previews_and_results() {
    for (model, method) in [
        ("inpaint-pndm", PreviewMethod::Linear),
        ("base-sharded", PreviewMethod::Full),
        ("content-aware", PreviewMethod::Linear),
    ] {
        let mut engine = engine();
        let mut wanted = Request { preview: method, ..request(model) };
        if model == "content-aware" {
            wanted.model = model.into();
        }
        let events = run(&mut engine, wanted);
        let made = &outcome(&events).images[0];
        let preview = engine.take_preview().expect("a preview");
        assert_eq!(preview.bounds, made.bounds);
        for shown in [&preview.picture, &made.picture] {
            let (original, mask) = (picture().crop(made.bounds), mask().crop(made.bounds));
            let mut changed = 0;
            for (i, &coverage) in mask.bytes().iter().enumerate() {
                let (new, old) = (&shown.bytes()[i * 4..][..4], &original.bytes()[i * 4..][..4]);
                assert!(coverage > 0 || new == old, "{model}: pixel {i}");
                changed += usize::from(coverage == 255 && new != old);
            }
            assert!(changed > HOLE.extent().area() / 2, "{model}: only {changed} pixels changed");
        }
    }
}

#[test]
fn only_the_masks_surroundings_are_sampled() {
    let mut engine = engine();
    let events = run(&mut engine, request("inpaint-pndm"));
    let made = &outcome(&events).images[0];
    assert!(made.bounds.extent() != EXTENT, "the model is smaller than the picture");
    assert_eq!(made.bounds.union(HOLE.grow(1)), made.bounds);
    assert_eq!(made.layer.extent(), made.bounds.extent());
}

#[test]
fn without_the_overlay_the_whole_sampled_part_is_replaced() {
    let mut engine = engine();
    let events = run(&mut engine, Request { overlay: false, ..request("inpaint-pndm") });
    let made = &outcome(&events).images[0];
    assert!(made.composite_mask.is_none());
    assert_eq!(made.picture, made.layer);
}

#[test]
fn nothing_is_previewed_when_nobody_wants_it() {
    let mut engine = engine();
    let off = Request { preview: PreviewMethod::Off, ..request("inpaint-pndm") };
    run(&mut engine, off);
    assert!(engine.take_preview().is_none());
    let rarely = Request { preview_interval: 50, ..request("inpaint-pndm") };
    run(&mut engine, rarely);
    assert!(engine.take_preview().is_none());
}

#[test]
fn a_hole_filled_from_the_surroundings_is_what_sampling_sets_out_from() {
    let mut engine = engine();
    let partly = Request { strength: Some(0.5), ..request("inpaint-pndm") };
    let plain = run(&mut engine, partly.clone());
    let filled = run(&mut engine, Request { fill_mode: FillMode::ContentAware, ..partly });
    assert!(loadings(&filled).contains(&"Filling from the surroundings"));
    assert_ne!(outcome(&plain).images[0].layer, outcome(&filled).images[0].layer);
}

#[test]
fn a_real_run_is_cancelled_within_a_step_and_the_model_stays() {
    let mut engine = engine();
    run(&mut engine, request("inpaint-pndm"));
    let long = Request { num_inference_steps: 900, ..request("inpaint-pndm") };
    let job = engine.submit(long).unwrap();
    let mut after_cancel = 0;
    let mut cancelled = false;
    loop {
        let event = engine.wait_event(PATIENCE).expect("an event");
        match event.kind {
            EventKind::Step(_) if !cancelled => {
                engine.cancel(job);
                cancelled = true;
            }
            EventKind::Step(progress) => after_cancel = progress.step,
            EventKind::Cancelled => break,
            EventKind::Finished(_) | EventKind::Failed(_) => panic!("{:?}", event.kind),
            _ => {}
        }
    }
    // The thread runs on while this one reads; what counts is that it stopped far from the end.
    assert!(after_cancel < 450, "{after_cancel} steps");
    let next = run(&mut engine, Request { seed: Some(9), ..request("inpaint-pndm") });
    assert_eq!(loadings(&next), ["Decoding the picture"]);
}

#[test]
fn a_bad_request_fails_with_a_reason_and_the_next_one_runs() {
    let mut engine = engine();
    let empty = ImageSource::Memory(Arc::new(Mask::new(EXTENT)));
    let small = ImageSource::Memory(Arc::new(Mask::new(Extent::new(8, 8))));
    for (bad, reason) in [
        (Request { mask: Some(empty), ..request("inpaint-pndm") }, "the mask is empty"),
        (Request { mask: Some(small), ..request("inpaint-pndm") }, "the mask is 8x8 pixels"),
        (Request { model: "nowhere".into(), ..request("x") }, "no model `nowhere`"),
        (Request { strength: Some(0.1), ..request("inpaint-pndm") }, "strength"),
    ] {
        let events = run(&mut engine, bad);
        let EventKind::Failed(text) = &events.last().unwrap().kind else { panic!("{events:?}") };
        assert!(text.contains(reason), "{text}");
    }
    outcome(&run(&mut engine, request("inpaint-pndm")));
}
