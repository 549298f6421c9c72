//! `overpaint models get`: fetches models, with a bar, and pauses at an interrupt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{super::Failure, arguments::Get};
use crate::{
    catalog,
    cli::progress::TransferBar,
    engine::this_machine,
    hub::{
        Choice, Downloads, Event, EventKind, Fetched, HubError, Settings, Stop, Wanted, check_name,
        human_size,
    },
};

/// How long to wait for an event before looking for an interrupt, and whether the thread lives.
const PATIENCE: Duration = Duration::from_millis(100);

pub fn get(arguments: &Get, json: bool) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for model in &arguments.models {
        wanted.extend(wanted_of(model, arguments)?);
    }
    let mut downloads =
        Downloads::start(Settings::from_env(), Arc::new(|| {})).map_err(Failure::failed)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&interrupted);
    if let Err(error) = ctrlc::set_handler(move || switch.store(true, Ordering::Relaxed)) {
        log::warn!("an interrupt ends the program at once: {error}");
    }
    let mut fetched = Vec::new();
    for wanted in wanted {
        let bar = TransferBar::new(arguments.quiet || json);
        let one = follow(&mut downloads, wanted, &bar, &interrupted)?;
        if !json && !arguments.quiet {
            eprintln!("{}: {} fetched", one.repository, human_size(one.bytes));
        }
        if !json {
            println!("{}", one.folder.display());
        }
        fetched.push(json!({
            "repository": one.repository,
            "commit": one.commit,
            "folder": one.folder,
            "files": one.files,
            "bytes_fetched": one.bytes,
        }));
    }
    if json {
        println!("{}", serde_json::Value::from(fetched));
    }
    Ok(())
}

/// A preset with what it needs, or a repository.
fn wanted_of(model: &str, arguments: &Get) -> Result<Vec<Wanted>, Failure> {
    let precision = arguments.precision.unwrap_or_else(|| this_machine().precision());
    if let (Some(preset), []) = (catalog::preset(model), &arguments.file[..]) {
        return Ok(preset.with_needs().map(|preset| preset.wanted(precision)).collect());
    }
    let (name, revision) = match model.split_once('@') {
        Some((name, revision)) => (name, Some(revision.to_owned())),
        None => (model, None),
    };
    if check_name(name).is_err() || !name.contains('/') {
        return Err(Failure::Bad(format!(
            "no model `{model}` in the catalogue, nor is it owner/name; `overpaint models list` \
             shows the catalogue, `overpaint models search WORDS` asks the hub"
        )));
    }
    let choice = Choice { files: arguments.file.clone(), precision };
    Ok(vec![Wanted { revision, choice, ..Wanted::repository(name) }])
}

/// Fetches one and shows how it goes.
fn follow(
    downloads: &mut Downloads,
    wanted: Wanted,
    bar: &TransferBar,
    interrupted: &AtomicBool,
) -> Result<Fetched, Failure> {
    let id = downloads.get(wanted).map_err(Failure::failed)?;
    loop {
        if interrupted.load(Ordering::Relaxed) {
            downloads.stop(id, Stop::Pause);
        }
        let Some(Event { kind, .. }) = downloads.wait_event(PATIENCE) else {
            if downloads.is_alive() {
                continue;
            }
            return Err(Failure::Failed("the download ended by a defect".into()));
        };
        if kind.is_ending() {
            bar.clear();
        }
        match kind {
            EventKind::Listing { repository } => bar.listing(&repository),
            EventKind::Progress(progress) => bar.progress(&progress),
            EventKind::Finished(fetched) => return Ok(fetched),
            EventKind::Stopped(_) => {
                eprintln!("overpaint: paused; the same command goes on from here");
                return Err(Failure::Cancelled);
            }
            EventKind::Failed(error) => return Err(failure_of(error)),
        }
    }
}

/// What nobody can have is a bad argument; what may work another time is a failure.
pub fn failure_of(error: HubError) -> Failure {
    match error {
        HubError::Name { .. } | HubError::NotFound { .. } | HubError::NoFile { .. } => {
            Failure::bad(error)
        }
        error => Failure::failed(error),
    }
}
