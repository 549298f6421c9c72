//! What the cache holds: how much, whether it is still what it was, and away with it.

use std::{
    collections::BTreeMap,
    fs,
    io::BufReader,
    path::{Path, PathBuf},
};

use super::{CachedRepository, Digest, HubError, MAIN, Result, check_name};

/// A repository in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `owner/name`
    pub repository: String,
    pub folder: PathBuf,
    /// Bytes on the disk, unfinished files among them.
    pub bytes: u64,
}

/// What became of a file since it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its bytes are gone.
    Missing,
    /// It has other bytes than it should. They were moved here, so that nothing reads them.
    Changed { kept_as: PathBuf },
}

/// The outcome of looking through a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub files: usize,
    pub bytes: u64,
    /// Files by their paths in the repository.
    pub damaged: Vec<(String, Damage)>,
}

/// The models in a cache, by name.
pub fn stored(cache: &Path) -> Vec<Stored> {
    let Ok(entries) = fs::read_dir(cache) else { return Vec::new() };
    let mut found: Vec<Stored> = entries
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let name = folder.file_name()?.to_str()?.strip_prefix("models--")?;
            let repository = name.replacen("--", "/", 1);
            check_name(&repository).ok()?;
            let bytes = bytes_in(&folder);
            Some(Stored { repository, folder, bytes })
        })
        .collect();
    found.sort_by(|a, b| a.repository.cmp(&b.repository));
    found
}

/// Deletes everything of a repository; gives the bytes that became free.
///
/// # Errors
/// When nothing of it is here, or it cannot be deleted.
pub fn remove(cache: &Path, repository: &str) -> Result<u64> {
    let cached = CachedRepository::new(cache, repository, MAIN)?;
    let folder = cached.folder();
    if !folder.is_dir() {
        let why = format!("nothing of it is in {}", cache.display());
        return Err(HubError::NotUsable { repository: repository.to_owned(), why });
    }
    let bytes = bytes_in(folder);
    fs::remove_dir_all(folder).map_err(HubError::disk(folder))?;
    let locks = cached.lock_file("x");
    let locks = locks.parent().unwrap_or(&locks);
    if locks.is_dir() {
        fs::remove_dir_all(locks).map_err(HubError::disk(locks))?;
    }
    Ok(bytes)
}

/// Deletes the unfinished files of a repository, except those that are being fetched.
///
/// # Errors
/// When one cannot be deleted.
pub fn throw_away(cache: &Path, repository: &str) -> Result<()> {
    let cached = CachedRepository::new(cache, repository, MAIN)?;
    let Ok(entries) = fs::read_dir(cached.blob("")) else { return Ok(()) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(digest) = name.strip_suffix(".incomplete").and_then(Digest::of_blob_name) {
            throw_away_file(&cached, &digest)?;
        }
    }
    Ok(())
}

/// Deletes what has come of a file, unless another program is fetching it.
pub(super) fn throw_away_file(cached: &CachedRepository, digest: &Digest) -> Result<()> {
    let path = cached.incomplete(digest.hex());
    let lock = fs::File::create(cached.lock_file(digest.hex()));
    if lock.is_ok_and(|lock| lock.try_lock().is_ok()) && path.exists() {
        fs::remove_file(&path).map_err(HubError::disk(&path))?;
    }
    Ok(())
}

/// Reads all files of a repository again and compares them with the digests that they are named
/// by. Those with other bytes are put aside. `go_on` is told the bytes read so far, and may end it.
///
/// # Errors
/// [`HubError::Cancelled`] when `go_on` says so; when a file cannot be read or moved.
pub fn verify(
    cache: &Path,
    repository: &str,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Verified> {
    let cached = CachedRepository::new(cache, repository, MAIN)?;
    let mut verified = Verified::default();
    for (digest, names) in names_by_digest(&cached) {
        verified.files += 1;
        let blob = cached.blob(digest.hex());
        let damage = if blob.is_file() {
            let before = verified.bytes;
            let matches = matches(&blob, &digest, &mut |read| go_on(before + read))?;
            verified.bytes += fs::metadata(&blob).map_or(0, |file| file.len());
            if matches {
                continue;
            }
            let kept_as = blob.with_extension("damaged");
            fs::rename(&blob, &kept_as).map_err(HubError::disk(&blob))?;
            Damage::Changed { kept_as }
        } else {
            Damage::Missing
        };
        verified.damaged.extend(names.into_iter().map(|name| (name, damage.clone())));
    }
    Ok(verified)
}

fn matches(blob: &Path, digest: &Digest, go_on: &mut dyn FnMut(u64) -> bool) -> Result<bool> {
    let file = fs::File::open(blob).map_err(HubError::disk(blob))?;
    let size = file.metadata().map_err(HubError::disk(blob))?.len();
    let mut hasher = digest.hasher(size);
    let mut stopped = false;
    let mut asked = |read| {
        stopped = stopped || !go_on(read);
        !stopped
    };
    hasher.read(BufReader::new(file), &mut asked).map_err(HubError::disk(blob))?;
    if stopped { Err(HubError::Cancelled) } else { Ok(hasher.hex() == digest.hex()) }
}

/// Every blob that a snapshot's link names, with its names there.
fn names_by_digest(cached: &CachedRepository) -> BTreeMap<Digest, Vec<String>> {
    let snapshots = cached.folder().join("snapshots");
    let mut found: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let mut folders = vec![snapshots.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Ok(target) = fs::read_link(&path) else {
                if path.is_dir() {
                    folders.push(path);
                }
                continue;
            };
            let digest = target.file_name().and_then(|name| name.to_str());
            let Some(digest) = digest.and_then(Digest::of_blob_name) else { continue };
            let name = path.strip_prefix(&snapshots).unwrap_or(&path);
            // Without the commit.
            let name: PathBuf = name.components().skip(1).collect();
            let names = found.entry(digest).or_default();
            let name = name.display().to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    found
}

/// Bytes of the files under a folder; links count for nothing.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let about = fs::symlink_metadata(&path).ok()?;
            Some(match about {
                _ if about.is_dir() => bytes_in(&path),
                _ if about.is_file() => about.len(),
                _ => 0,
            })
        })
        .sum()
}
