//! One run, from a request to files.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{
    Failure,
    build::Run,
    files::{numbered, save_npy, save_trace},
    progress::Bar,
    prompts::{self, Prompts},
    threads,
};
use crate::{
    engine::{
        Backend, CancelToken, Engine, EngineError, Event, EventKind, ImageSource, JobId, Monitor,
        Outcome, PreviewSlot, Request, compositing::placed, diffusion_backend, memory, metadata,
        preflight,
    },
    pixels::{
        Picture,
        codec::{load_mask, load_picture, save_picture},
    },
};

/// How long to wait for an event before looking whether the engine still lives.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a request and writes what it asks for.
pub fn run(run: Run) -> Result<(), Failure> {
    threads::use_threads(run.threads);
    let result = prepared(&run).and_then(|Prepared { request, original, prompts }| {
        prompts.warn(run.outputs.quiet);
        let outcome = execute(&run, request)?;
        write(&run, &outcome, original.as_deref(), &prompts)
    });
    match result {
        Ok(report) => {
            if run.outputs.json {
                println!("{report}");
            }
            Ok(())
        }
        Err(failure) => {
            if run.outputs.json {
                println!("{}", json_of_failure(&failure));
            }
            Err(failure)
        }
    }
}

/// What is there before the run.
struct Prepared {
    request: Request,
    original: Option<Arc<Picture>>,
    prompts: Prompts,
}

/// Everything that can be refused is refused here; pictures are read once.
fn prepared(run: &Run) -> Result<Prepared, Failure> {
    let model = preflight(&run.request).map_err(Failure::bad)?;
    let mut request = run.request.clone().with_seed().map_err(Failure::failed)?;
    let prompts = prompts::read(&model, &request)?;
    let mut original = None;
    if let Some(ImageSource::File(path)) = &request.image {
        let picture = Arc::new(load_picture(path).map_err(Failure::bad)?);
        request.image = Some(ImageSource::Memory(Arc::clone(&picture)));
        original = Some(picture);
    }
    if let Some(ImageSource::File(path)) = &request.mask {
        let mask = load_mask(path).map_err(Failure::bad)?;
        request.mask = Some(ImageSource::Memory(Arc::new(mask)));
    }
    for control in &mut request.controlnets {
        if let Some(ImageSource::File(path)) = &control.image {
            let picture = load_picture(path).map_err(Failure::bad)?;
            control.image = Some(ImageSource::Memory(Arc::new(picture)));
        }
    }
    if let Some(folder) = &run.outputs.preview_dir {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Bad(format!("{}: {error}", folder.display())))?;
    }
    Ok(Prepared { request, original, prompts })
}

fn execute(run: &Run, request: Request) -> Result<Arc<Outcome>, Failure> {
    let bad_input = Arc::new(AtomicBool::new(false));
    let previews = Arc::new(OnceLock::new());
    let noting = Arc::clone(&bad_input);
    let mut engine = Engine::start(
        move || Box::new(Noting { inner: diffusion_backend(), bad_input: Arc::clone(&noting) }),
        save_previews(run.outputs.preview_dir.clone(), Arc::clone(&previews)),
    )
    .map_err(Failure::failed)?;
    // Set before anything is submitted, and once.
    let _unset_before = previews.set(engine.preview_slot());
    let job = engine.submit(request).map_err(Failure::failed)?;
    if let Some(token) = engine.cancel_token(job) {
        cancel_on_interrupt(token);
    }
    match follow(&mut engine, job, &Bar::new(run.outputs.quiet)) {
        Err(Failure::Failed(text)) if bad_input.load(Ordering::Relaxed) => Err(Failure::Bad(text)),
        result => result,
    }
}

/// Shows events until the job ends.
fn follow(engine: &mut Engine, job: JobId, bar: &Bar) -> Result<Arc<Outcome>, Failure> {
    loop {
        let Some(Event { kind, .. }) = engine.wait_event(PATIENCE) else {
            if engine.is_alive() {
                continue;
            }
            return Err(Failure::Failed(format!(
                "the inference thread ended without job {}",
                job.0
            )));
        };
        match kind {
            EventKind::Queued => {}
            EventKind::Loading(loading) => bar.loading(&loading),
            EventKind::Step(progress) => bar.step(&progress),
            ending => {
                bar.clear();
                return result_of(ending);
            }
        }
    }
}

fn result_of(ending: EventKind) -> Result<Arc<Outcome>, Failure> {
    match ending {
        EventKind::Finished(outcome) => Ok(outcome),
        EventKind::Failed(text) => Err(Failure::Failed(text)),
        _ => Err(Failure::Cancelled),
    }
}

fn cancel_on_interrupt(token: CancelToken) {
    if let Err(error) = ctrlc::set_handler(move || token.cancel()) {
        log::warn!("an interrupt will not cancel this run in good order: {error}");
    }
}

/// A wake callback that writes every preview: it is called right after each was put in.
fn save_previews(
    folder: Option<PathBuf>,
    slot: Arc<OnceLock<Arc<PreviewSlot>>>,
) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        let Some(folder) = &folder else { return };
        let Some(preview) = slot.get().and_then(|slot| slot.take()) else { return };
        let file = folder.join(format!("step-{:03}.png", preview.step));
        if let Err(error) = save_picture(&file, &preview.picture, &[]) {
            log::warn!("{error}");
        }
    })
}

/// Writes all outputs; gives the report for `--json`.
fn write(
    run: &Run,
    outcome: &Outcome,
    original: Option<&Picture>,
    prompts: &Prompts,
) -> Result<serde_json::Value, Failure> {
    let names = numbered(&run.output, outcome.images.len());
    let mut sizes = Vec::new();
    for (name, image) in names.iter().zip(&outcome.images) {
        let picture = placed(&outcome.request, original, image);
        let text = metadata::text_of_outcome(outcome, picture.extent());
        save_picture(name, &picture, &text).map_err(Failure::failed)?;
        sizes.push(picture.extent());
    }
    write_recording(run, outcome)?;
    if !run.outputs.quiet {
        outcome.notes.iter().for_each(|note| eprintln!("overpaint: {note}"));
    }
    let elapsed = outcome.elapsed.as_secs_f64();
    if !run.outputs.quiet && !run.outputs.json {
        for (name, size) in names.iter().zip(&sizes) {
            println!("{} ({size}, seed {}, {elapsed:.1} s)", name.display(), outcome.seed);
        }
    }
    let settings: serde_json::Value =
        serde_json::from_str(&metadata::settings_of(&outcome.request)).unwrap_or_default();
    Ok(json!({
        "status": "done",
        "outputs": names,
        "seed": outcome.seed,
        "elapsed_secs": elapsed,
        "sizes": sizes.iter().map(|size| [size.width, size.height]).collect::<Vec<_>>(),
        "bounds": outcome.images.iter().map(|image| image.bounds).collect::<Vec<_>>(),
        "notes": outcome.notes,
        "prompts": prompts.json(),
        "memory": {
            "predicted_bytes": outcome.foreseen_bytes,
            "measured_bytes": memory::peak_bytes(),
        },
        "request": settings,
    }))
}

fn write_recording(run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let failed = |path: &Path, error| Failure::Failed(format!("{}: {error}", path.display()));
    if let (Some(path), Some(decoded)) = (&run.outputs.output_float, &outcome.recording.decoded) {
        save_npy(path, decoded).map_err(|error| failed(path, error))?;
    }
    if let Some(path) = &run.outputs.trace {
        save_trace(path, &outcome.recording.latents).map_err(|error| failed(path, error))?;
    }
    Ok(())
}

fn json_of_failure(failure: &Failure) -> serde_json::Value {
    match failure {
        Failure::Failed(text) => json!({ "status": "failed", "error": text }),
        Failure::Bad(text) => json!({ "status": "bad-input", "error": text }),
        Failure::Cancelled => json!({ "status": "cancelled" }),
    }
}

/// Notes whether a run failed because of what it was given, which has an exit code of its own.
struct Noting {
    inner: Box<dyn Backend>,
    bad_input: Arc<AtomicBool>,
}

impl Backend for Noting {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        let result = self.inner.run(request, monitor);
        let bad = matches!(result, Err(EngineError::Invalid(_)));
        self.bad_input.store(bad, Ordering::Relaxed);
        result
    }
}
