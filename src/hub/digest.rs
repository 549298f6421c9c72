//! Which bytes a file must have: SHA-256 for large files, git's own name for small ones.

use std::{
    fmt,
    io::{self, Read},
};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::listing::is_hex;

/// The digest that the hub names for a file, in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// Of the bytes.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the bytes: how git names a file.
    Git(String),
}

impl Digest {
    /// `None` unless it has 64 hexadecimal digits.
    pub fn sha256(hex: &str) -> Option<Self> {
        is_hex(hex, 64).then(|| Self::Sha256(hex.to_owned()))
    }

    /// `None` unless it has 40 hexadecimal digits.
    pub fn git(hex: &str) -> Option<Self> {
        is_hex(hex, 40).then(|| Self::Git(hex.to_owned()))
    }

    /// By the name that the cache gives a file's bytes, which is its digest.
    pub fn of_blob_name(name: &str) -> Option<Self> {
        Self::sha256(name).or_else(|| Self::git(name))
    }

    /// The digits: the file's tag on the hub, and its name in the cache.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }

    /// Starts over for a file of `size` bytes.
    pub fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => {
                let mut state = Sha1::new();
                state.update(format!("blob {size}\0"));
                Hasher::Git(state)
            }
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex())
    }
}

/// A digest in the making.
#[derive(Clone)]
pub enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Git(state) => state.update(bytes),
        }
    }

    pub fn hex(self) -> String {
        match self {
            Self::Sha256(state) => hex(&state.finalize()),
            Self::Git(state) => hex(&state.finalize()),
        }
    }

    /// Reads to the end; gives the number of bytes. `go_on` is asked between blocks.
    pub fn read(
        &mut self,
        mut reader: impl Read,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        while go_on(total) {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            self.update(&buffer[..read]);
            total += read as u64;
        }
        Ok(total)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names() {
        // `sha256sum` and `git hash-object` of a file that holds "hello\n".
        let sha = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        for digest in [Digest::sha256(sha).unwrap(), Digest::git(git).unwrap()] {
            let mut hasher = digest.hasher(6);
            hasher.update(b"hel");
            hasher.read(&b"lo\n"[..], |_| true).unwrap();
            assert_eq!(hasher.hex(), digest.hex());
        }
        assert_eq!(Digest::of_blob_name(git), Digest::git(git));
        assert_eq!(Digest::sha256(&sha.to_uppercase()), None);
        assert_eq!(Digest::of_blob_name("../x"), None);
    }
}
