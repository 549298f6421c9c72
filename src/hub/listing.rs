//! What a repository holds, and what the hub finds by name.

use std::path::{Component, Path};

use serde::Deserialize;

use super::{
    HubError, Result, StopToken,
    client::{Client, Place, host_of},
    digest::Digest,
};

/// The branch where nobody names a revision.
pub const MAIN: &str = "main";

/// The most files that a repository of models has; a listing of more is an error, not a model.
const MOST_FILES: usize = 20_000;

/// A repository as it stands at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// `owner/name`
    pub repository: String,
    /// The branch or tag that was asked for.
    pub revision: String,
    pub commit: String,
    pub files: Vec<RemoteFile>,
    /// The licence that its page names, such as `openrail++`.
    pub licence: Option<String>,
}

/// A file of a repository. Its path is relative and stays inside.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteFile {
    pub path: String,
    pub size: u64,
    /// Also names the file's bytes in the cache.
    pub digest: Digest,
}

/// A line of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `owner/name`
    pub repository: String,
    pub downloads: u64,
    pub licence: Option<String>,
    /// Whether its owner wants conditions accepted first.
    pub gated: bool,
    /// What kind of model it says it is: the pipeline's class, or "LoRA".
    pub kind: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData")]
    card: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<LargeFile>,
}

/// A file that git keeps only a pointer of.
#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

#[derive(Deserialize)]
struct Hit {
    id: String,
    #[serde(default)]
    downloads: u64,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    gated: serde_json::Value,
}

/// Lists a repository with sizes and digests.
pub fn list(
    client: &Client,
    repository: &str,
    revision: &str,
    stop: &StopToken,
) -> Result<Listing> {
    check_name(repository)?;
    let repo = repo(repository, revision);
    let url = format!("{}/api/{}?blobs=true", client.settings.endpoint, repo.api_url());
    let answer: Answer = client.json(&url, Place { repository, revision, file: None }, stop)?;
    listing_of(answer, repository, revision)
        .map_err(|why| HubError::Answer { host: host_of(&url), why })
}

fn listing_of(answer: Answer, repository: &str, revision: &str) -> Result<Listing, String> {
    if !is_hex(&answer.sha, 40) {
        return Err(format!("`{}` is not a commit", answer.sha.escape_debug()));
    }
    if answer.siblings.len() > MOST_FILES {
        return Err(format!("it lists {} files", answer.siblings.len()));
    }
    let files: Result<Vec<_>, _> = answer.siblings.into_iter().map(remote_file).collect();
    let licence = answer.card.as_ref().and_then(|card| card.get("license")?.as_str());
    Ok(Listing {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        commit: answer.sha,
        files: files?,
        licence: licence.map(str::to_owned),
    })
}

fn remote_file(sibling: Sibling) -> Result<RemoteFile, String> {
    let path = sibling.rfilename;
    if !stays_inside(&path) {
        return Err(format!("`{}` is not a path inside a repository", path.escape_debug()));
    }
    let (size, digest) = match (sibling.lfs, sibling.size, sibling.blob_id) {
        (Some(large), _, _) => (large.size, Digest::sha256(&large.sha256)),
        (None, Some(size), Some(id)) => (size, Digest::git(&id)),
        _ => return Err(format!("it names neither size nor digest of {path}")),
    };
    let digest = digest.ok_or_else(|| format!("the digest of {path} is none"))?;
    Ok(RemoteFile { path, size, digest })
}

/// Models whose names or descriptions fit, most downloaded first.
pub fn search(client: &Client, text: &str, limit: usize) -> Result<Vec<Found>> {
    if client.settings.offline {
        return Err(HubError::Offline { what: "the answer to a search".into() });
    }
    let url = format!(
        "{}/api/models?search={}&filter=diffusers&sort=downloads&direction=-1&limit={limit}",
        client.settings.endpoint,
        percent_encoded(text.trim(), "")
    );
    let place = Place { repository: "the search", revision: "", file: None };
    let hits: Vec<Hit> = client.json(&url, place, &StopToken::default())?;
    Ok(hits.into_iter().filter(|hit| check_name(&hit.id).is_ok()).map(found).collect())
}

fn found(hit: Hit) -> Found {
    let tagged =
        |prefix: &str| hit.tags.iter().find_map(|tag| Some(tag.strip_prefix(prefix)?.to_owned()));
    let is_lora = hit.tags.iter().any(|tag| tag == "lora");
    Found {
        downloads: hit.downloads,
        licence: tagged("license:"),
        gated: !matches!(hit.gated, serde_json::Value::Bool(false) | serde_json::Value::Null),
        kind: tagged("diffusers:").or_else(|| is_lora.then(|| "LoRA".to_owned())),
        repository: hit.id,
    }
}

/// The address of a file at a commit.
pub fn file_url(client: &Client, listing: &Listing, path: &str) -> String {
    let repo = repo(&listing.repository, &listing.commit);
    let (endpoint, path) = (&client.settings.endpoint, percent_encoded(path, "/"));
    format!("{endpoint}/{}/resolve/{}/{path}", repo.url(), repo.url_revision())
}

/// The hub's own type for a model at a revision.
pub fn repo(repository: &str, revision: &str) -> hf_hub::Repo {
    let (repository, revision) = (repository.to_owned(), revision.to_owned());
    hf_hub::Repo::with_revision(repository, hf_hub::RepoType::Model, revision)
}

/// Whether a text is `owner/name` (or one of the hub's oldest, `name`), which also is a safe name
/// of a folder.
pub fn check_name(name: &str) -> Result<()> {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let parts = name.split('/').count();
    if (1..=2).contains(&parts) && name.split('/').all(part) {
        Ok(())
    } else {
        Err(HubError::Name { name: name.escape_debug().to_string() })
    }
}

/// Whether a path from outside is relative, plain, and cannot leave its folder on any system.
pub fn stays_inside(path: &str) -> bool {
    let plain = |c: char| !c.is_control() && !"\\:*?\"<>|".contains(c);
    let parts_fine = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.ends_with(['.', ' ']));
    let components_fine =
        Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    !path.is_empty()
        && path.len() <= 1024
        && path.chars().all(plain)
        && parts_fine
        && components_fine
}

pub fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Escapes all but letters, digits, `-._~` and what is in `also`.
fn percent_encoded(text: &str, also: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || also.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        for name in ["a/b", "stabilityai/sdxl-vae", "gpt2", "a.b/c_d-1.5"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "/", "a/", "a/b/c", "../b", "a/..", "a b/c", "a--b/c", "-a/b", "a/b?c"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn paths_cannot_leave_their_folder() {
        for path in ["a", "unet/config.json", "a b/c-d.txt", "é/ü.json", "..a/b"] {
            assert!(stays_inside(path), "{path}");
        }
        let out = [
            "",
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a//b",
            "./a",
            "a\\..\\b",
            "C:/a",
            "a/.",
            "a\n",
        ];
        for path in out {
            assert!(!stays_inside(path), "{path}");
        }
    }

    fn parsed(sibling: &str) -> Result<Listing, String> {
        let sha = "a".repeat(40);
        let text = format!(r#"{{"sha": "{sha}", "siblings": [{sibling}]}}"#);
        listing_of(serde_json::from_str(&text).unwrap(), "a/b", MAIN)
    }

    #[test]
    fn a_listing_names_sizes_and_digests() {
        let oid = "b".repeat(64);
        let large = format!(
            r#"{{"rfilename": "m.safetensors", "size": 3, "blobId": "x", "lfs": {{"sha256": "{oid}", "size": 3}}}}"#
        );
        let file = parsed(&large).unwrap().files.remove(0);
        assert_eq!((file.size, file.digest), (3, Digest::sha256(&oid).unwrap()));
        assert!(parsed(r#"{"rfilename": "m"}"#).unwrap_err().contains("neither"));
        let out = r#"{"rfilename": "../m", "size": 1, "blobId": "x"}"#;
        assert!(parsed(out).unwrap_err().contains("inside"));
        let odd = large.replace(&oid, "../../x");
        assert!(parsed(&odd).unwrap_err().contains("digest"));
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(percent_encoded("a b/ü?", "/"), "a%20b/%C3%BC%3F");
    }
}
