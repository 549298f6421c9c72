//! One model, from the question what it is made of to its files in the cache.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    CachedRepository, Choice, HubError, Listing, RemoteFile, Result, StopToken,
    client::{Client, Place},
    error::human_size,
    listing::{file_url, list},
    meter::{Meter, Speed},
    select::{MODEL_INDEX, needed},
    stop::Stop,
    stored::throw_away_file,
    transfer::Transfer,
};

/// How many files come at once.
const AT_ONCE: usize = 4;
/// How often progress is reported.
const TICK: Duration = Duration::from_millis(200);
/// What must stay free on the disk.
const SPARE_ROOM: u64 = 200_000_000;

/// A model that is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// `owner/name`; the later ones are asked if the earlier have gone.
    pub repositories: Vec<String>,
    /// A branch, tag or commit; `None` is the main branch.
    pub revision: Option<String>,
    pub choice: Choice,
}

impl Wanted {
    /// Everything that is needed of one repository.
    pub fn repository(name: impl Into<String>) -> Self {
        Self { repositories: vec![name.into()], ..Self::default() }
    }
}

/// What has been fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// Which of the repositories it came from.
    pub repository: String,
    pub commit: String,
    /// The folder of the commit in the cache.
    pub folder: PathBuf,
    /// The files that were asked for, by their paths in the folder.
    pub files: Vec<String>,
    /// Bytes that came over the network.
    pub bytes: u64,
}

/// What a download is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Asks the hub what `repository` holds.
    Listing {
        repository: String,
    },
    Progress(Progress),
}

/// How far a download has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Bytes that are here.
    pub done: u64,
    pub total: u64,
    pub files_done: usize,
    pub files: usize,
    /// Once it can be told.
    pub bytes_per_second: Option<u64>,
    /// Estimate, from the speed of the last seconds.
    pub remaining: Option<Duration>,
    /// What holds it up, for a person; empty for nothing.
    pub note: &'static str,
}

impl Progress {
    /// For a person: "1.2 GB of 2.1 GB, 12 MB/s, 1 min left".
    pub fn words(&self) -> String {
        let mut words = format!("{} of {}", human_size(self.done), human_size(self.total));
        if !self.note.is_empty() {
            return format!("{words} · {}", self.note);
        }
        if let Some(speed) = self.bytes_per_second {
            words = format!("{words} · {}/s", human_size(speed));
        }
        match self.remaining {
            Some(left) if self.done < self.total => format!("{words} · {} left", rough_time(left)),
            _ => words,
        }
    }
}

/// A time as roughly as it can be foretold.
fn rough_time(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{} s", time.as_secs().max(1)),
        seconds @ 60..5400 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// Fetches what is wanted, unless it is here.
///
/// # Errors
/// [`HubError::Cancelled`] once `stop` is set; otherwise what went wrong. Bytes that have come stay
/// for the next time, except after [`Stop::Cancel`].
pub fn download(
    client: &Client,
    wanted: &Wanted,
    stop: &StopToken,
    report: &mut dyn FnMut(Report),
) -> Result<Fetched> {
    let revision = wanted.revision.as_deref().unwrap_or(super::listing::MAIN);
    if client.settings.offline {
        return already_here(client, wanted, revision);
    }
    let mut denied = None;
    for repository in &wanted.repositories {
        match from_one(client, wanted, (repository, revision), stop, report) {
            Err(error) if error.asks_for_another_repository() => {
                // The first one is what the person asked for.
                denied = denied.or(Some(error));
            }
            result => return result,
        }
    }
    Err(denied.unwrap_or_else(|| HubError::Name { name: String::new() }))
}

fn from_one(
    client: &Client,
    wanted: &Wanted,
    (repository, revision): (&str, &str),
    stop: &StopToken,
    report: &mut dyn FnMut(Report),
) -> Result<Fetched> {
    report(Report::Listing { repository: repository.to_owned() });
    let cache = CachedRepository::new(&client.settings.cache, repository, revision)?;
    let question = || {
        let listing = list(client, repository, revision, stop)?;
        let files = plan(client, &listing, &wanted.choice, stop)?;
        Ok((listing, files))
    };
    let (listing, files) = interruptible(client, stop, question)?;
    let missing: Vec<(&RemoteFile, u64)> = files
        .iter()
        .filter(|file| !cache.has(file))
        .map(|file| (file, cache.has_of(file)))
        .collect();
    let to_come = missing.iter().map(|(file, here)| file.size - here).sum();
    check_room(&client.settings.cache, to_come)?;
    let total: u64 = files.iter().map(|file| file.size).sum();
    let meter = Meter::default();
    meter.add(total - to_come);
    let transfer = Transfer { client, listing: &listing, cache: &cache, meter: &meter, stop };
    let counts = (total, files.len());
    if let Err(error) = fetch_all(&transfer, &missing, counts, report) {
        if stop.get() == Some(Stop::Cancel) {
            for (file, _) in &missing {
                throw_away_file(&cache, &file.digest)?;
            }
        }
        return Err(error);
    }
    let folder = cache.publish(&listing, &files)?;
    let files = files.into_iter().map(|file| file.path).collect();
    let (repository, commit) = (repository.to_owned(), listing.commit);
    Ok(Fetched { repository, commit, folder, files, bytes: to_come })
}

/// The files to fetch.
fn plan(
    client: &Client,
    listing: &Listing,
    choice: &Choice,
    stop: &StopToken,
) -> Result<Vec<RemoteFile>> {
    let has_index = listing.files.iter().any(|file| file.path == MODEL_INDEX);
    let index = if has_index && choice.files.is_empty() {
        let place = Place {
            repository: &listing.repository,
            revision: &listing.revision,
            file: Some(MODEL_INDEX),
        };
        Some(client.text(&file_url(client, listing, MODEL_INDEX), place, stop)?)
    } else {
        None
    };
    needed(listing, choice, index.as_deref())
}

/// What is in the cache, without asking anybody.
fn already_here(client: &Client, wanted: &Wanted, revision: &str) -> Result<Fetched> {
    for repository in &wanted.repositories {
        let cache = CachedRepository::new(&client.settings.cache, repository, revision)?;
        let (Some(folder), Some(commit)) = (cache.current(), cache.commit()) else { continue };
        let named = &wanted.choice.files;
        if named.iter().all(|file| folder.join(file).is_file()) {
            let (repository, files) = (repository.clone(), named.clone());
            return Ok(Fetched { repository, commit, folder, files, bytes: 0 });
        }
    }
    let what = wanted.repositories.first().cloned().unwrap_or_default();
    Err(HubError::Offline { what })
}

fn check_room(cache: &std::path::Path, to_come: u64) -> Result<()> {
    std::fs::create_dir_all(cache).map_err(HubError::disk(cache))?;
    // Where the system does not tell, a full disk is told when it is full.
    let Ok(free) = fs4::available_space(cache) else { return Ok(()) };
    if to_come > 0 && free < to_come.saturating_add(SPARE_ROOM) {
        return Err(HubError::Space { folder: cache.to_owned(), needed: to_come, free });
    }
    Ok(())
}

/// Asks on a thread of its own, so that a stop ends it at once even while the hub says nothing.
fn interruptible<T: Send>(
    client: &Client,
    stop: &StopToken,
    question: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    thread::scope(|scope| {
        let asking = named_thread("hub question")
            .spawn_scoped(scope, question)
            .map_err(HubError::disk("a new thread"))?;
        while !asking.is_finished() {
            if stop.get().is_some() {
                client.interrupt();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let answer = asking.join().unwrap_or(Err(HubError::Cancelled));
        stop.check()?;
        answer
    })
}

fn named_thread(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Several files at once, until all are here or one cannot be had.
fn fetch_all(
    transfer: &Transfer<'_>,
    missing: &[(&RemoteFile, u64)],
    (total, files): (u64, usize),
    report: &mut dyn FnMut(Report),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let fetched = AtomicUsize::new(files - missing.len());
    let failure: Mutex<Option<HubError>> = Mutex::new(None);
    let work = || {
        while let Some((file, counted)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            if transfer.stop.get().is_some() {
                return;
            }
            match transfer.fetch(file, *counted) {
                Ok(()) => {
                    fetched.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    // No further file is begun, and those under way end at once.
                    next.store(missing.len(), Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(error);
                    return;
                }
            }
        }
    };
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..AT_ONCE.min(missing.len()) {
            let worker = named_thread("download").spawn_scoped(scope, work);
            workers.push(worker.map_err(HubError::disk("a new thread"))?);
        }
        let mut speed = Speed::default();
        loop {
            let running = workers.iter().any(|worker| !worker.is_finished());
            let bytes = transfer.meter.bytes();
            let files_done = fetched.load(Ordering::Relaxed);
            report(Report::Progress(Progress {
                files_done,
                files,
                note: transfer.meter.current_note(),
                ..progress(&mut speed, bytes, total)
            }));
            if running && (transfer.stop.get().is_some() || failed().is_some()) {
                transfer.client.interrupt();
            }
            if !running {
                break;
            }
            wait_for(&workers, TICK);
        }
        Ok(())
    })?;
    transfer.stop.check()?;
    failed().map_or(Ok(()), Err)
}

/// Sleeps for a while, or until all workers are done.
fn wait_for<T>(workers: &[thread::ScopedJoinHandle<'_, T>], duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end && workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(Duration::from_millis(10));
    }
}

fn progress(speed: &mut Speed, done: u64, total: u64) -> Progress {
    let bytes_per_second = speed.note(Instant::now(), done);
    let remaining = bytes_per_second
        .filter(|speed| *speed > 0)
        .map(|speed| Duration::from_secs_f64(total.saturating_sub(done) as f64 / speed as f64));
    Progress { done, total, bytes_per_second, remaining, ..Progress::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_a_person_says_it() {
        let progress = Progress {
            done: 1_200_000_000,
            total: 2_100_000_000,
            bytes_per_second: Some(12_000_000),
            remaining: Some(Duration::from_secs(75)),
            ..Progress::default()
        };
        assert_eq!(progress.words(), "1.2 GB of 2.1 GB · 12 MB/s · 1 min left");
        let held_up = Progress { note: "Trying again", ..progress };
        assert_eq!(held_up.words(), "1.2 GB of 2.1 GB · Trying again");
        for (seconds, text) in [(0, "1 s"), (59, "59 s"), (100, "2 min"), (7000, "2 h")] {
            assert_eq!(rough_time(Duration::from_secs(seconds)), text);
        }
    }
}
