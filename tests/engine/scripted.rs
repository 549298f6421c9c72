//! The inference thread with a scripted backend: what it says, in which order, and how it ends.
//! Nothing here waits for the clock: the script goes on when the test lets it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use overpaint::{
    document::PictureTiles,
    engine::{
        Backend, Device, Engine, EngineError, Event, EventKind, JobId, Monitor, Outcome, Recording,
        Request, SelectRequest, Selected,
    },
    geometry::{Bounds, Extent},
    pixels::Picture,
};

/// Far longer than any wait here lasts; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what a request's prompt says: "panic", "fail", "load" (reports loading until stopped), or
/// takes `num_inference_steps` steps. Each step waits for one go from the test.
struct Scripted {
    go: Arc<Mutex<Receiver<()>>>,
    /// For selections.
    look: Arc<Mutex<Receiver<()>>>,
}

impl Backend for Scripted {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        match request.prompt.as_str() {
            "panic" => panic!("the script says so"),
            "fail" => return Err(EngineError::failed("no such model: nowhere")),
            "load" => loop {
                wait(&self.go);
                monitor.loading("Loading the U-Net", Some(0.5))?;
            },
            _ => {}
        }
        monitor.step(0, request.num_inference_steps)?;
        for step in 1..=request.num_inference_steps {
            wait(&self.go);
            monitor.preview(step, Bounds::new(0, 0, 1, 1), shade(step as u8));
            monitor.step(step, request.num_inference_steps)?;
        }
        Ok(Outcome {
            notes: Vec::new(),
            seed: 1,
            images: Vec::new(),
            elapsed: Duration::ZERO,
            request: request.clone(),
            recording: Recording::default(),
            foreseen_bytes: None,
            loaded: Vec::new(),
        })
    }

    /// Waits for a go before and after it has told that it looks.
    fn select(
        &mut self,
        _: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        wait(&self.look);
        monitor.loading("Looking at the picture", None)?;
        wait(&self.look);
        if monitor.is_cancelled() {
            Err(EngineError::Cancelled)
        } else {
            Ok(Selected { mask: None })
        }
    }
}

fn wait(gate: &Mutex<Receiver<()>>) {
    // A closed channel means that the test is over.
    let _ = gate.lock().unwrap().recv();
}

fn shade(value: u8) -> Arc<Picture> {
    Arc::new(Picture::from_raw(Extent::new(1, 1), vec![value; 4]).unwrap())
}

/// An engine with a script, and what lets it go on.
struct Stage {
    // Dropped before the engine: the script then waits for nothing while the engine joins.
    go: SyncSender<()>,
    look: SyncSender<()>,
    engine: Engine,
    backends: Arc<AtomicUsize>,
    wakes: Arc<AtomicUsize>,
}

impl Stage {
    fn new() -> Self {
        let (go, gate) = sync_channel(1000);
        let (look, second_gate) = sync_channel(1000);
        let (gate, second_gate) = (Arc::new(Mutex::new(gate)), Arc::new(Mutex::new(second_gate)));
        let (backends, wakes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (built, woken) = (Arc::clone(&backends), Arc::clone(&wakes));
        let engine = Engine::start(
            move || {
                built.fetch_add(1, Ordering::SeqCst);
                let (go, look) = (Arc::clone(&gate), Arc::clone(&second_gate));
                Box::new(Scripted { go, look }) as Box<dyn Backend>
            },
            Arc::new(move || {
                woken.fetch_add(1, Ordering::SeqCst);
            }),
        )
        .unwrap();
        Self { engine, go, look, backends, wakes }
    }

    fn submit(&mut self, prompt: &str, steps: usize) -> JobId {
        let request =
            Request { prompt: prompt.into(), num_inference_steps: steps, ..Request::default() };
        self.engine.submit(request).unwrap()
    }

    fn select(&mut self) -> JobId {
        let request = SelectRequest {
            weights: "nowhere".into(),
            picture: PictureTiles::new(Extent::new(1, 1)),
            clicks: Vec::new(),
            device: Device::Cpu,
        };
        self.engine.select(request).unwrap()
    }

    fn go(&self, times: usize) {
        (0..times).for_each(|_| self.go.send(()).unwrap());
    }

    /// Lets selections go on.
    fn look(&self, times: usize) {
        (0..times).for_each(|_| self.look.send(()).unwrap());
    }

    fn next(&mut self) -> Event {
        self.engine.wait_event(PATIENCE).expect("an event")
    }

    /// Reads events up to and with the ending of `job`.
    fn until_ending(&mut self, job: JobId) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.next();
            let last = event.job == job && event.kind.is_ending();
            seen.push(event);
            if last {
                return seen;
            }
        }
    }
}

fn kinds(events: &[Event], job: JobId) -> Vec<String> {
    let name = |kind: &EventKind| match kind {
        EventKind::Queued => "queued".to_owned(),
        EventKind::Loading(_) => "loading".into(),
        EventKind::Step(progress) => format!("{}/{}", progress.step, progress.total),
        EventKind::Finished(_) => "finished".into(),
        EventKind::Selected(_) => "selected".into(),
        EventKind::Cancelled => "cancelled".into(),
        EventKind::Failed(_) => "failed".into(),
    };
    events.iter().filter(|event| event.job == job).map(|event| name(&event.kind)).collect()
}

#[test]
fn a_job_is_queued_steps_in_order_and_ends_once() {
    let mut stage = Stage::new();
    let job = stage.submit("", 3);
    stage.go(3);
    let events = stage.until_ending(job);
    assert_eq!(kinds(&events, job), ["queued", "1/3", "2/3", "3/3", "finished"]);
    let second = stage.submit("", 1);
    stage.go(1);
    let events = stage.until_ending(second);
    assert_eq!(kinds(&events, second), ["queued", "1/1", "finished"]);
    assert!(kinds(&events, job).is_empty(), "an ended job says nothing more");
    assert!(second > job);
}

#[test]
fn a_running_job_is_cancelled_within_a_step() {
    let mut stage = Stage::new();
    let job = stage.submit("", 100);
    stage.go(1);
    while !matches!(stage.next().kind, EventKind::Step(_)) {}
    stage.engine.cancel(job);
    stage.go(1);
    let rest = stage.until_ending(job);
    assert!(matches!(rest.last().unwrap().kind, EventKind::Cancelled));
    assert!(rest.len() <= 2, "at most the step that was running: {rest:?}");
}

#[test]
fn loading_is_cancelled_too() {
    let mut stage = Stage::new();
    let job = stage.submit("load", 1);
    stage.go(1);
    while !matches!(stage.next().kind, EventKind::Loading(_)) {}
    stage.engine.cancel(job);
    stage.go(1);
    assert_eq!(kinds(&stage.until_ending(job), job), ["cancelled"]);
}

#[test]
fn a_waiting_job_is_cancelled_while_another_runs() {
    let mut stage = Stage::new();
    let running = stage.submit("", 3);
    let waiting = stage.submit("", 3);
    stage.go(1);
    while !matches!(stage.next().kind, EventKind::Step(_)) {}
    stage.engine.cancel(waiting);
    stage.go(1);
    let events = stage.until_ending(waiting);
    assert!(!kinds(&events, running).contains(&"finished".into()), "it did not wait for the first");
    stage.go(1);
    assert_eq!(kinds(&stage.until_ending(running), running).last().unwrap(), "finished");
}

#[test]
fn several_jobs_run_in_the_order_they_came() {
    let mut stage = Stage::new();
    let jobs = [stage.submit("", 1), stage.submit("fail", 1), stage.submit("", 1)];
    stage.go(2);
    let events = stage.until_ending(jobs[2]);
    let endings: Vec<JobId> =
        events.iter().filter(|event| event.kind.is_ending()).map(|event| event.job).collect();
    assert_eq!(endings, jobs);
    let failed = events.iter().find_map(|event| match &event.kind {
        EventKind::Failed(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(failed, Some("no such model: nowhere"));
}

#[test]
fn after_a_panic_the_next_job_gets_a_new_backend() {
    let mut stage = Stage::new();
    let first = stage.submit("", 1);
    stage.go(1);
    stage.until_ending(first);
    assert_eq!(stage.backends.load(Ordering::SeqCst), 1);
    let broken = stage.submit("panic", 1);
    let events = stage.until_ending(broken);
    let EventKind::Failed(text) = &events.last().unwrap().kind else { panic!("{events:?}") };
    assert!(text.contains("the script says so"), "{text}");
    let next = stage.submit("", 1);
    stage.go(1);
    assert_eq!(kinds(&stage.until_ending(next), next), ["queued", "1/1", "finished"]);
    assert_eq!(stage.backends.load(Ordering::SeqCst), 2);
}

#[test]
fn a_selection_is_a_job_like_any_other() {
    let mut stage = Stage::new();
    let job = stage.select();
    stage.look(2);
    let events = stage.until_ending(job);
    assert_eq!(kinds(&events, job), ["queued", "loading", "selected"]);
    let (first, second) = (stage.select(), stage.select());
    stage.look(1);
    while !matches!(stage.next().kind, EventKind::Loading(_)) {}
    stage.engine.cancel(second);
    stage.engine.cancel(first);
    stage.look(1);
    let mut events = stage.until_ending(first);
    if !events.iter().any(|event| event.job == second && event.kind.is_ending()) {
        events.extend(stage.until_ending(second));
    }
    assert_eq!(kinds(&events, first).last().unwrap(), "cancelled");
    assert_eq!(kinds(&events, second).last().unwrap(), "cancelled");
}

#[test]
fn a_selection_does_not_wait_behind_a_run() {
    let mut stage = Stage::new();
    let run = stage.submit("", 2);
    stage.go(1);
    while !matches!(stage.next().kind, EventKind::Step(_)) {}
    let selection = stage.select();
    stage.look(2);
    let events = stage.until_ending(selection);
    assert_eq!(kinds(&events, selection), ["queued", "loading", "selected"]);
    assert!(kinds(&events, run).is_empty(), "the run waits in its second step");
    let cancelled = stage.select();
    stage.engine.cancel(cancelled);
    stage.look(2);
    assert_eq!(kinds(&stage.until_ending(cancelled), cancelled).last().unwrap(), "cancelled");
    stage.go(1);
    assert_eq!(kinds(&stage.until_ending(run), run), ["2/2", "finished"]);
}

#[test]
fn only_the_newest_preview_is_kept() {
    let mut stage = Stage::new();
    let job = stage.submit("", 3);
    stage.go(3);
    stage.until_ending(job);
    let preview = stage.engine.take_preview().expect("a preview");
    assert_eq!((preview.job, preview.step), (job, 3));
    assert_eq!(preview.picture.bytes(), [3; 4]);
    assert!(stage.engine.take_preview().is_none(), "taken is gone");
}

#[test]
fn every_event_wakes_whoever_reads() {
    let mut stage = Stage::new();
    let job = stage.submit("", 2);
    stage.go(2);
    stage.until_ending(job);
    // Two previews, two steps; the ending is received before its wake, so the next job tells.
    let next = stage.submit("fail", 1);
    stage.until_ending(next);
    assert!(stage.wakes.load(Ordering::SeqCst) >= 5);
}

#[test]
fn dropping_the_handle_stops_a_run_and_joins() {
    let mut stage = Stage::new();
    let job = stage.submit("", 1_000_000);
    let waiting = stage.submit("", 1);
    stage.go(1);
    while !matches!(stage.next().kind, EventKind::Step(_)) {}
    let token = stage.engine.cancel_token(job).expect("still running");
    assert!(stage.engine.cancel_token(waiting).is_some());
    // Closes the gate, so that the script runs on freely; only the shutdown can stop it.
    drop((stage.go, stage.look));
    drop(stage.engine);
    assert!(!token.is_cancelled(), "stopped by the shutdown, not by the switch");
}
