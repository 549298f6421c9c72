//! Why something could not be had from the hub. The texts are for a person: what, where, what to do.

use std::path::PathBuf;

pub type Result<T, E = HubError> = std::result::Result<T, E>;

/// A size as a person reads it, in powers of ten as shops and disks count.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let size = bytes as f64;
    match UNITS.iter().find(|(_, unit)| size >= *unit * 0.9995) {
        Some(("GB", unit)) => format!("{:.1} GB", size / unit),
        Some((name, unit)) => format!("{:.0} {name}", size / unit),
        None => format!("{bytes} bytes"),
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HubError {
    /// Somebody asked for it.
    #[error("cancelled")]
    Cancelled,

    #[error(
        "{what} would have to be fetched, but HF_HUB_OFFLINE is set; unset it, or use a model that is already here"
    )]
    Offline { what: String },

    /// Its owner wants something accepted first.
    #[error(
        "{repository} is gated: its owner asks you to accept conditions first. Open {page}, sign \
         in and accept them; then {}",
        if *signed_in {
            "get it again (the token that is set may not have read access to it)"
        } else {
            "put an access token (from your account's settings there) into HF_TOKEN, or run `hf auth login`"
        }
    )]
    Gated { repository: String, page: String, signed_in: bool },

    /// The hub says 401 for what does not exist and for what is private, and does not tell which.
    #[error(
        "{repository}: there is no such model at {endpoint}, or it is private; check the name, or {}",
        if *signed_in { "whether your token may read it" } else { "set HF_TOKEN if it is yours" }
    )]
    NotFound { repository: String, endpoint: String, signed_in: bool },

    #[error(
        "{endpoint} does not accept the access token; renew HF_TOKEN, or run `hf auth login` again"
    )]
    BadToken { endpoint: String },

    #[error("{repository} has no file {file} in version {revision}")]
    NoFile { repository: String, file: String, revision: String },

    #[error("`{name}` is not the name of a model: it is written owner/name")]
    Name { name: String },

    /// Nothing in the repository can be used.
    #[error("{repository}: {why}")]
    NotUsable { repository: String, why: String },

    #[error("{host} cannot be reached ({why}); check the connection. What has come so far is kept")]
    Unreachable { host: String, why: String },

    #[error("{host} answers {status} again and again; try later. What has come so far is kept")]
    Busy { host: String, status: u16 },

    #[error(
        "{host} gave an answer that cannot be used ({why}); is HF_ENDPOINT the address of a hub?"
    )]
    Answer { host: String, why: String },

    #[error(
        "not enough room in {}: {} more are needed and {} are free; make room, or set HF_HUB_CACHE \
         to a folder on another disk",
        folder.display(), human_size(*needed), human_size(*free)
    )]
    Space { folder: PathBuf, needed: u64, free: u64 },

    /// The bytes came, but they are not the ones that the hub names.
    #[error(
        "{file} of {repository} came damaged twice ({why}) and was thrown away; something between \
         here and the hub changes it: try again, or from another network"
    )]
    Damaged { repository: String, file: String, why: String },

    #[error("{}: {why}", path.display())]
    Disk { path: PathBuf, why: String },
}

impl HubError {
    pub(super) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Disk {
                path,
                why: "the disk is full; make room and go on: what has come so far is kept".into(),
            },
            _ => Self::Disk { path, why: error.to_string() },
        }
    }

    /// Whether another repository may have what this one lacks.
    pub(super) fn asks_for_another_repository(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotUsable { .. } | Self::Gated { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_on_a_box() {
        let cases =
            [(12, "12 bytes"), (1_500, "2 kB"), (999_900, "1 MB"), (4_270_000_000, "4.3 GB")];
        for (bytes, text) in cases {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn errors_fit_two_lines_and_say_what_to_do() {
        let gated = HubError::Gated {
            repository: "a/b".into(),
            page: "https://hub/a/b".into(),
            signed_in: false,
        };
        let text = gated.to_string();
        assert!(text.contains("https://hub/a/b") && text.contains("HF_TOKEN"), "{text}");
        assert!(!text.contains('\n'));
    }
}
