//! The cache that all tools of the hub share.
//!
//! ```text
//! models--owner--name/blobs/DIGEST                    the bytes
//!                     blobs/DIGEST.incomplete         as far as they have come
//!                     snapshots/COMMIT/unet/...       links to the bytes, by name
//!                     refs/main                       which commit a branch stands for
//! .locks/models--owner--name/DIGEST.lock              held while the bytes come
//! ```

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::{HubError, Listing, RemoteFile, Result, listing, select::MODEL_INDEX};

/// One repository's part of the cache.
#[derive(Clone, Debug)]
pub struct CachedRepository {
    cache: PathBuf,
    folder: PathBuf,
    revision: String,
}

impl CachedRepository {
    /// The part of `repository`, which must be a proper name; it need not exist.
    pub fn new(cache: &Path, repository: &str, revision: &str) -> Result<Self> {
        listing::check_name(repository)?;
        let named = revision.is_empty() || !listing::stays_inside(revision);
        if named {
            return Err(HubError::Name { name: format!("{repository}@{revision}") });
        }
        let folder = cache.join(listing::repo(repository, revision).folder_name());
        Ok(Self { cache: cache.to_owned(), folder, revision: revision.to_owned() })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file's bytes lie.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest)
    }

    /// Where they lie while they come. The name is the one that the hub's own tools used.
    pub fn incomplete(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{digest}.incomplete"))
    }

    pub fn lock_file(&self, digest: &str) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default();
        self.cache.join(".locks").join(name).join(format!("{digest}.lock"))
    }

    /// The folder of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The commit that the revision stands for here.
    pub fn commit(&self) -> Option<String> {
        if listing::is_hex(&self.revision, 40) {
            return Some(self.revision.clone());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(&self.revision)).ok()?;
        listing::is_hex(text.trim(), 40).then(|| text.trim().to_owned())
    }

    /// The folder of the commit that the revision stands for, if it is here.
    pub fn current(&self) -> Option<PathBuf> {
        Some(self.snapshot(&self.commit()?)).filter(|folder| folder.is_dir())
    }

    /// Whether a file's bytes are here in full length.
    pub fn has(&self, file: &RemoteFile) -> bool {
        let blob = fs::metadata(self.blob(file.digest.hex()));
        blob.is_ok_and(|blob| blob.is_file() && blob.len() == file.size)
    }

    /// How many bytes of a file have come, of those that are still to be finished.
    pub fn has_of(&self, file: &RemoteFile) -> u64 {
        let partial = fs::metadata(self.incomplete(file.digest.hex()));
        partial.map_or(0, |partial| partial.len().min(file.size))
    }

    /// Makes the files appear under their names, then the revision point to them. Only called when
    /// all bytes are here, so that half a model never looks like one.
    pub fn publish(&self, listing: &Listing, files: &[RemoteFile]) -> Result<PathBuf> {
        let snapshot = self.snapshot(&listing.commit);
        // Last what a model is known by: where that is, all is.
        let mut files: Vec<&RemoteFile> = files.iter().collect();
        files.sort_by_key(|file| ["config.json", MODEL_INDEX].contains(&file.path.as_str()));
        for file in files {
            let name = snapshot.join(&file.path);
            let blob = self.blob(file.digest.hex());
            link(&blob, &name).map_err(HubError::disk(&name))?;
        }
        // A commit is nobody's branch.
        if listing.revision != listing.commit {
            let file = self.folder.join("refs").join(&listing.revision);
            write_whole(&file, &listing.commit).map_err(HubError::disk(&file))?;
        }
        Ok(snapshot)
    }
}

/// Writes beside the target and renames: other programs read it meanwhile.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    let partial = file.with_extension(format!("part-{}", std::process::id()));
    fs::write(&partial, text)?;
    fs::rename(&partial, file)
}

/// Makes `name` stand for `blob`: a relative link, so that the cache can be moved.
fn link(blob: &Path, name: &Path) -> io::Result<()> {
    fs::create_dir_all(name.parent().unwrap_or(name))?;
    let target = relative(name.parent().unwrap_or(name), blob);
    if fs::read_link(name).is_ok_and(|old| old == target) {
        return Ok(());
    }
    let new = name.with_extension(format!("part-{}", std::process::id()));
    // Left by a program that ended right here, if at all.
    let _none_before = fs::remove_file(&new);
    match make_link(&target, &new) {
        Ok(()) => fs::rename(&new, name),
        // Windows grants links to few; its own tools then put the bytes there themselves.
        Err(_) => fs::copy(blob, &new).and_then(|_| fs::rename(&new, name)),
    }
}

#[cfg(unix)]
fn make_link(target: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, name)
}

#[cfg(windows)]
fn make_link(target: &Path, name: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, name)
}

/// The way from a folder to a file, both in the same cache.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let (mut from, mut to) = (folder.components().peekable(), file.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    from.map(|_| Component::ParentDir).chain(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Digest, listing::MAIN};

    #[test]
    fn the_layout_is_the_one_of_the_hubs_own_tools() {
        let cache = tempfile::tempdir().unwrap();
        let repository = CachedRepository::new(cache.path(), "some/one", MAIN).unwrap();
        let digest = Digest::git(&"d".repeat(40)).unwrap();
        let file = RemoteFile { path: "unet/deep/a.json".into(), size: 2, digest };
        let commit = "c".repeat(40);
        let listing = Listing {
            repository: "some/one".into(),
            revision: MAIN.into(),
            commit: commit.clone(),
            files: Vec::new(),
            licence: None,
        };
        let blob = repository.blob(file.digest.hex());
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, "{}").unwrap();
        assert!(repository.has(&file) && repository.current().is_none());
        // Twice: the second time everything is there already.
        for _ in 0..2 {
            repository.publish(&listing, std::slice::from_ref(&file)).unwrap();
        }
        let root = cache.path().join("models--some--one");
        assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), commit);
        let name = root.join("snapshots").join(&commit).join("unet/deep/a.json");
        assert_eq!(fs::read_to_string(&name).unwrap(), "{}");
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(&name).unwrap(),
            Path::new("../../../../blobs").join(file.digest.hex())
        );
        assert_eq!(repository.current(), Some(root.join("snapshots").join(&commit)));
    }

    #[test]
    fn no_name_leads_out_of_the_cache() {
        for (name, revision) in [("../x", MAIN), ("a/b", "../x"), ("a/b", ""), ("a/b", "/x")] {
            assert!(CachedRepository::new(Path::new("cache"), name, revision).is_err());
        }
    }
}
