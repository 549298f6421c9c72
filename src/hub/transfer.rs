//! One file, from wherever it stood to its place in the cache, and only with the right bytes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    time::Duration,
};

use super::{
    CachedRepository, HubError, Listing, RemoteFile, Result, StopToken,
    client::{Client, Place, Reply, Retry, Trouble, header, trouble_of},
    digest::Hasher,
    listing::file_url,
    meter::Meter,
};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// How often bytes may come whole and wrong.
const CHANCES: usize = 2;

/// What all files of one download share.
pub struct Transfer<'a> {
    pub client: &'a Client,
    pub listing: &'a Listing,
    pub cache: &'a CachedRepository,
    pub meter: &'a Meter,
    pub stop: &'a StopToken,
}

/// A file as far as it has come.
struct Partial {
    file: File,
    length: u64,
    hasher: Hasher,
}

impl Transfer<'_> {
    /// Brings one file. When it returns `Ok`, the bytes in the cache are the ones that the hub
    /// names. Whatever else happens, bytes that have come stay, and count the next time.
    /// `counted` of its bytes stand in the meter already.
    pub fn fetch(&self, file: &RemoteFile, mut counted: u64) -> Result<()> {
        let lock = self.lock(file)?;
        if self.cache.has(file) {
            self.meter.correct(counted, file.size);
            return Ok(());
        }
        for _ in 0..CHANCES {
            let partial = self.open_partial(file)?;
            self.meter.correct(counted, partial.length);
            counted = 0;
            let partial = self.fill(file, partial)?;
            if self.accept(file, partial)? {
                drop(lock);
                return Ok(());
            }
        }
        Err(HubError::Damaged {
            repository: self.listing.repository.clone(),
            file: file.path.clone(),
            why: format!("its digest is not {}", file.digest.hex()),
        })
    }

    /// Waits while another program fetches the same file, as the hub's own tools do.
    fn lock(&self, file: &RemoteFile) -> Result<File> {
        let path = self.cache.lock_file(file.digest.hex());
        let blobs = self.cache.blob("");
        fs::create_dir_all(&blobs).map_err(HubError::disk(&blobs))?;
        fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(HubError::disk(&path))?;
        let lock = File::create(&path).map_err(HubError::disk(&path))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    self.meter.note("Another program is fetching it");
                    self.stop.sleep(Duration::from_millis(200))?;
                }
                // Some network drives know no locks; the digest still guards the result.
                Err(TryLockError::Error(_)) => return Ok(lock),
            }
        }
    }

    /// The bytes that came before, read again: the digest needs them.
    fn open_partial(&self, file: &RemoteFile) -> Result<Partial> {
        let path = self.cache.incomplete(file.digest.hex());
        let disk = || HubError::disk(&path);
        let handle = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut handle = handle.map_err(disk())?;
        if handle.metadata().map_err(disk())?.len() > file.size {
            handle.set_len(0).map_err(disk())?;
        }
        let mut hasher = file.digest.hasher(file.size);
        let go_on = |_| self.stop.get().is_none();
        let length = hasher.read(&mut handle, go_on).map_err(disk())?;
        self.stop.check()?;
        Ok(Partial { file: handle, length, hasher })
    }

    /// Asks until all bytes are here, each time from where it stands.
    fn fill(&self, file: &RemoteFile, mut partial: Partial) -> Result<Partial> {
        let mut retry = Retry::new(&self.client.settings, u32::MAX);
        while partial.length < file.size {
            self.stop.check()?;
            let before = partial.length;
            let result = self.fill_once(file, &mut partial);
            if partial.length > before {
                retry.progressed();
                self.meter.note("");
            }
            if let Err(trouble) = result {
                self.stop.check()?;
                if let Trouble::Passing { error, .. } = &trouble {
                    log::info!("{}: {error}", file.path);
                    self.meter.note("Trying again");
                }
                let pause = retry.pause_after(trouble)?;
                self.stop.sleep(pause)?;
            }
        }
        Ok(partial)
    }

    fn fill_once(&self, file: &RemoteFile, partial: &mut Partial) -> Result<(), Trouble> {
        let url = file_url(self.client, self.listing, &file.path);
        let place = Place {
            repository: &self.listing.repository,
            revision: &self.listing.revision,
            file: Some(&file.path),
        };
        let reply = self.client.open(&url, partial.length, place)?;
        self.check_tag(file, &reply)?;
        let from = start_of(&reply);
        if from != Some(partial.length) {
            // It cannot, or does not want to, go on in the middle: from the beginning then.
            self.restart(file, partial).map_err(Trouble::Final)?;
            if from != Some(0) {
                let host = reply.host;
                let error = HubError::Busy { host, status: reply.status.as_u16() };
                return Err(Trouble::Passing { error, wait: None });
            }
        }
        self.copy(file, reply, partial)
    }

    /// A file of a commit never changes: another tag is another file.
    fn check_tag(&self, file: &RemoteFile, reply: &Reply) -> Result<(), Trouble> {
        match &reply.etag {
            Some(tag) if looks_like_a_digest(tag) && tag != file.digest.hex() => {
                let why = format!("it offers another version of {}", file.path);
                let host = reply.host.clone();
                Err(Trouble::Final(HubError::Answer { host, why }))
            }
            _ => Ok(()),
        }
    }

    fn copy(&self, file: &RemoteFile, reply: Reply, partial: &mut Partial) -> Result<(), Trouble> {
        let path = self.cache.incomplete(file.digest.hex());
        let host = reply.host;
        let mut reader = reply.body.into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; BLOCK];
        while partial.length < file.size {
            self.stop.check().map_err(Trouble::Final)?;
            let room = (file.size - partial.length).min(BLOCK as u64) as usize;
            let read = match reader.read(&mut buffer[..room]) {
                Ok(0) => {
                    let why = "the connection ended early".into();
                    let error = HubError::Unreachable { host, why };
                    return Err(Trouble::Passing { error, wait: None });
                }
                Ok(read) => read,
                Err(error) => return Err(trouble_of(ureq::Error::from(error), &host)),
            };
            let written = partial.file.write_all(&buffer[..read]);
            written.map_err(HubError::disk(&path)).map_err(Trouble::Final)?;
            partial.hasher.update(&buffer[..read]);
            partial.length += read as u64;
            self.meter.add(read as u64);
        }
        Ok(())
    }

    fn restart(&self, file: &RemoteFile, partial: &mut Partial) -> Result<()> {
        let path = self.cache.incomplete(file.digest.hex());
        partial.file.set_len(0).map_err(HubError::disk(&path))?;
        self.meter.correct(partial.length, 0);
        partial.length = 0;
        partial.hasher = file.digest.hasher(file.size);
        Ok(())
    }

    /// Puts whole bytes in their place if they are the right ones, and throws them away otherwise.
    fn accept(&self, file: &RemoteFile, partial: Partial) -> Result<bool> {
        let path = self.cache.incomplete(file.digest.hex());
        if partial.hasher.hex() != file.digest.hex() {
            self.meter.correct(partial.length, 0);
            fs::remove_file(&path).map_err(HubError::disk(&path))?;
            return Ok(false);
        }
        // A rename can reach the disk before the bytes do.
        partial.file.sync_all().map_err(HubError::disk(&path))?;
        drop(partial.file);
        let blob = self.cache.blob(file.digest.hex());
        fs::rename(&path, &blob).map_err(HubError::disk(&blob))?;
        Ok(true)
    }
}

/// The offset at which an answer's body starts; `None` where it has none of the file.
fn start_of(reply: &Reply) -> Option<u64> {
    match reply.status.as_u16() {
        200 => Some(0),
        206 => {
            let range = header(&reply.headers, "content-range")?.trim().strip_prefix("bytes ")?;
            range.split('-').next()?.trim().parse().ok()
        }
        _ => None,
    }
}

fn looks_like_a_digest(tag: &str) -> bool {
    super::Digest::of_blob_name(tag).is_some()
}
