//! Folders of journals: one for each document that is open in a window, locked by that window.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

const LOCK: &str = "lock";
const ENDING: &str = "journal";
const UNFINISHED: &str = "part";
/// The ending of folders in which nothing is whole.
const ASIDE: &str = "damaged";

/// A journal's folder, which no other window writes to while this value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new one below `root`, which is made if it is not there.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for attempt in 0..100 {
            let name = format!("{}-{}-{attempt}", now.as_millis(), std::process::id());
            let path = root.join(name);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(why) => return Err(why),
            }
            // Another window may take a folder that it believes to be left behind.
            if let Some(folder) = Self::lock(path) {
                return Ok(folder);
            }
        }
        Err(io::Error::other("no new folder could be made for the journal"))
    }

    /// One that is there already; `None` if it is in use, or gone.
    pub fn lock(path: PathBuf) -> Option<Self> {
        let options = File::options().create(true).truncate(false).write(true).clone();
        let lock = options.open(path.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        Some(Self { path, _lock: lock })
    }

    /// The numbers of the journal's files that are whole, the newest first.
    pub(super) fn generations(&self) -> Vec<u64> {
        let mut found: Vec<u64> = entries(&self.path)
            .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
            .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Where the file with this number lies.
    pub(super) fn file(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{generation}.{ENDING}"))
    }

    /// Where it lies until it is whole.
    pub(super) fn unfinished(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{generation}.{ENDING}.{UNFINISHED}"))
    }

    /// Removes the files of all generations but one.
    pub(super) fn keep_only(&self, generation: u64) {
        let keep = [self.file(generation), self.path.join(LOCK)];
        for path in entries(&self.path).filter(|path| !keep.contains(path)) {
            // What stays is removed by the next generation.
            let _ = fs::remove_file(path);
        }
    }

    /// Renames it so that [`left_behind`] passes it over; its new path.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn put_aside(self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension(ASIDE);
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// Removes the folder with all that is in it.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

/// Folders below `root` that no window holds, the one that was written to last first. Those without
/// a journal are removed.
pub fn left_behind(root: &Path) -> Vec<Folder> {
    let is_aside = |path: &Path| path.extension().is_some_and(|ending| ending == ASIDE);
    let folders = entries(root).filter(|path| path.is_dir() && !is_aside(path));
    let folders = folders.filter_map(Folder::lock);
    let mut found: Vec<(SystemTime, Folder)> = Vec::new();
    for folder in folders {
        match folder.generations().first() {
            Some(&newest) => {
                let written = fs::metadata(folder.file(newest)).and_then(|file| file.modified());
                found.push((written.unwrap_or(SystemTime::UNIX_EPOCH), folder));
            }
            // The program ended before anything was written.
            None => drop(folder.remove()),
        }
    }
    found.sort_by_key(|(written, _)| std::cmp::Reverse(*written));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}
