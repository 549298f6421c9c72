//! A small hub on this machine, which can be told to misbehave. It speaks the endpoints that a
//! download needs, as the public hub does: small files come from itself by way of a relative
//! redirect, large ones from a store on another host, by an absolute one.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    Status(u16, &'static [(&'static str, &'static str)]),
    /// The connection ends before the first byte of the answer.
    NoAnswer,
    /// It ends in the middle of the headers.
    CutInHeaders,
    /// It ends after this many bytes of the body.
    CutAfter(usize),
    /// The right number of other bytes.
    WrongBytes,
    /// Says that there is less, and sends less.
    Short,
    /// Says that there is more, and sends more.
    Long,
    /// Sends the whole file although a part was asked for.
    IgnoreRange,
    /// Sends another part than was asked for.
    WrongRange,
    /// A few bytes at a time.
    Trickle {
        bytes: usize,
        pause: Duration,
    },
    /// Nothing at all, while the connection stays.
    Silence,
    /// Tags the file as another one.
    OtherTag,
    /// Lists files of a size that no disk has.
    HugeListing,
}

#[derive(Clone)]
pub struct Repository {
    pub files: Vec<(String, Vec<u8>)>,
    /// A token without which its files are not given.
    pub gate: Option<String>,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at_store: bool,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Shared {
    repositories: Mutex<HashMap<String, Repository>>,
    faults: Mutex<HashMap<String, VecDeque<Fault>>>,
    seen: Mutex<Vec<Seen>>,
    store: Mutex<String>,
    url: Mutex<String>,
}

/// The handle of the two listening threads, which end with the program.
pub struct Hub {
    pub url: String,
    shared: Arc<Shared>,
}

impl Hub {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let url = listen(false, &shared);
        *shared.url.lock().unwrap() = url.clone();
        let store = listen(true, &shared);
        *shared.store.lock().unwrap() = store;
        Self { url, shared }
    }

    pub fn add(&self, name: &str, files: &[(&str, Vec<u8>)]) {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        self.shared
            .repositories
            .lock()
            .unwrap()
            .insert(name.to_owned(), Repository { files, gate: None });
    }

    pub fn close_gate(&self, name: &str, token: &str) {
        let mut all = self.shared.repositories.lock().unwrap();
        all.get_mut(name).unwrap().gate = Some(token.to_owned());
    }

    /// The next answers that carry bytes of a file (or for an address, those to it) go wrong so.
    pub fn fail(&self, what: &str, faults: &[Fault]) {
        let mut all = self.shared.faults.lock().unwrap();
        all.entry(what.to_owned()).or_default().extend(faults.iter().cloned());
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The ranges with which a file's bytes were asked for, `None` for all of it.
    pub fn ranges(&self, bytes: &[u8]) -> Vec<Option<String>> {
        let tag = sha256(bytes);
        let store = self.seen().into_iter().filter(|seen| seen.at_store);
        store.filter(|seen| seen.path.contains(&tag)).map(|seen| seen.range).collect()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn git_name(bytes: &[u8]) -> String {
    let mut state = Sha1::new();
    state.update(format!("blob {}\0", bytes.len()));
    state.update(bytes);
    state.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Large files are kept elsewhere, as by git's extension for them.
fn is_large(path: &str) -> bool {
    [".safetensors", ".bin", ".ckpt", ".pt"].iter().any(|end| path.ends_with(end))
}

fn tag_of(path: &str, bytes: &[u8]) -> String {
    if is_large(path) { sha256(bytes) } else { git_name(bytes) }
}

fn listen(at_store: bool, shared: &Arc<Shared>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shared = Arc::clone(shared);
    let name = if at_store { "store" } else { "hub" };
    thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                let serve = move || serve(stream, at_store, &shared);
                thread::Builder::new().name("connection".into()).spawn(serve).unwrap();
            }
        })
        .unwrap();
    url
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((key, value)) => headers.insert(key.to_lowercase(), value.trim().to_owned()),
            None => return Some(Request { method, path, headers }),
        };
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The name under which faults of this answer are kept.
    fault_key: Option<String>,
}

impl Answer {
    fn json(value: &serde_json::Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { status: 200, headers: Vec::new(), body, fault_key: None }
    }

    fn status(status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { status, headers, body: Vec::new(), fault_key: None }
    }
}

fn serve(stream: TcpStream, at_store: bool, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        shared.seen.lock().unwrap().push(Seen {
            at_store,
            path: request.path.clone(),
            range: request.headers.get("range").cloned(),
            authorization: request.headers.get("authorization").cloned(),
        });
        let answer =
            if at_store { from_store(&request, shared) } else { from_hub(&request, shared) };
        if send(&stream, &request, answer, shared).is_none() {
            // Also ends the reader's half: a cut is a cut.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn from_hub(request: &Request, shared: &Shared) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let all = shared.repositories.lock().unwrap();
    if path == "/api/models" {
        return search(&all, query);
    }
    let resolved = path.strip_prefix("/api/resolve-cache/models").unwrap_or(path);
    let from_cache = resolved != path;
    if let Some((name, rest)) = resolved.trim_start_matches('/').split_once("/resolve/") {
        let (_, file) = rest.split_once('/').unwrap_or_default();
        let token = request.headers.get("authorization").map(String::as_str);
        return resolve(all.get(name), (name, &decoded(file)), from_cache, token, shared);
    }
    let listed = path
        .strip_prefix("/api/models/")
        .and_then(|rest| rest.split_once("/revision/").or_else(|| rest.split_once("/tree/")));
    let Some((name, _)) = listed else { return Answer::status(404, &[]) };
    let mut answer = match all.get(name) {
        None => Answer::status(401, &[("X-Error-Code", "RepoNotFound")]),
        Some(repository) if path.contains("/tree/") => tree(repository),
        Some(repository) => info(name, repository),
    };
    answer.fault_key = Some(name.to_owned());
    answer
}

fn info(name: &str, repository: &Repository) -> Answer {
    let siblings: Vec<_> = repository
        .files
        .iter()
        .map(|(path, bytes)| {
            let size = bytes.len();
            let mut file = serde_json::json!({
                "rfilename": path, "size": size, "blobId": git_name(bytes)
            });
            if is_large(path) {
                file["lfs"] =
                    serde_json::json!({"sha256": sha256(bytes), "size": size, "pointerSize": 135});
            }
            file
        })
        .collect();
    Answer::json(&serde_json::json!({
        "id": name, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "openrail"},
        "gated": repository.gate.is_some(), "private": false, "tags": [], "downloads": 1
    }))
}

/// The listing that the hub's own tools ask for.
fn tree(repository: &Repository) -> Answer {
    let entries: Vec<_> = repository
        .files
        .iter()
        .map(|(path, bytes)| {
            let size = bytes.len();
            let mut entry = serde_json::json!({
                "type": "file", "path": path, "size": size, "oid": git_name(bytes)
            });
            if is_large(path) {
                entry["lfs"] =
                    serde_json::json!({"oid": sha256(bytes), "size": size, "pointerSize": 135});
            }
            entry
        })
        .collect();
    Answer::json(&serde_json::Value::from(entries))
}

fn search(all: &HashMap<String, Repository>, query: &str) -> Answer {
    let text = query.split('&').find_map(|pair| pair.strip_prefix("search=")).unwrap_or_default();
    let text = decoded(text);
    let mut names: Vec<&String> = all.keys().filter(|name| name.contains(&text)).collect();
    names.sort();
    let hits: Vec<_> = names
        .into_iter()
        .map(|name| {
            let tags = ["license:openrail", "diffusers:StableDiffusionPipeline"];
            serde_json::json!({"id": name, "downloads": 7, "tags": tags, "gated": false})
        })
        .collect();
    Answer::json(&serde_json::Value::from(hits))
}

fn resolve(
    repository: Option<&Repository>,
    (name, file): (&str, &str),
    from_cache: bool,
    authorization: Option<&str>,
    shared: &Shared,
) -> Answer {
    let Some(repository) = repository else {
        return Answer::status(401, &[("X-Error-Code", "RepoNotFound")]);
    };
    if let Some(gate) = &repository.gate {
        let allowed = authorization == Some(&format!("Bearer {gate}"));
        if !allowed {
            let status = if authorization.is_some() { 403 } else { 401 };
            return Answer::status(status, &[("X-Error-Code", "GatedRepo")]);
        }
    }
    let Some((_, bytes)) = repository.files.iter().find(|(path, _)| path == file) else {
        return Answer::status(404, &[("X-Error-Code", "EntryNotFound")]);
    };
    let tag = tag_of(file, bytes);
    let quoted = format!("\"{tag}\"");
    let size = bytes.len().to_string();
    if is_large(file) {
        let location = format!("{}/{tag}?signature=x", shared.store.lock().unwrap());
        let headers = [
            ("Location", location.as_str()),
            ("X-Linked-Etag", &quoted),
            ("X-Linked-Size", &size),
            ("X-Repo-Commit", COMMIT),
        ];
        return Answer { fault_key: Some(format!("/{file}")), ..Answer::status(302, &headers) };
    }
    let headers = [("ETag", quoted.as_str()), ("X-Repo-Commit", COMMIT)];
    if !from_cache {
        let location = format!("/api/resolve-cache/models/{name}/resolve/{COMMIT}/{file}");
        let mut answer = Answer::status(307, &headers);
        answer.headers.push(("Location".into(), location));
        return answer;
    }
    let body = bytes.clone();
    Answer { body, fault_key: Some(file.to_owned()), ..Answer::status(200, &headers) }
}

fn from_store(request: &Request, shared: &Shared) -> Answer {
    let all = shared.repositories.lock().unwrap();
    let files = all.values().flat_map(|repository| &repository.files);
    for (path, bytes) in files {
        let tag = sha256(bytes);
        if request.path.trim_start_matches('/').starts_with(&tag) {
            // The store's own tags are not the file's digest.
            let headers = [("ETag", "\"d41d8cd98f00b204e9800998ecf8427e-2\"")];
            let (body, fault_key) = (bytes.clone(), Some(path.clone()));
            return Answer { body, fault_key, ..Answer::status(200, &headers) };
        }
    }
    Answer::status(404, &[])
}

/// `None` when the connection is to be closed.
fn send(stream: &TcpStream, request: &Request, mut answer: Answer, shared: &Shared) -> Option<()> {
    let key = answer.fault_key.clone().unwrap_or_default();
    let fault = shared.faults.lock().unwrap().get_mut(&key).and_then(VecDeque::pop_front);
    match &fault {
        Some(Fault::Status(status, headers)) => answer = Answer::status(*status, headers),
        Some(Fault::NoAnswer) => return None,
        Some(Fault::Silence) => {
            thread::sleep(Duration::from_secs(600));
            return None;
        }
        Some(Fault::WrongBytes) => answer.body.iter_mut().for_each(|byte| *byte ^= 0x55),
        Some(Fault::Short) => answer.body.truncate(answer.body.len() / 2),
        Some(Fault::Long) => answer.body.extend([0x55; 999]),
        Some(Fault::HugeListing) => {
            let listing = String::from_utf8_lossy(&answer.body).into_owned();
            answer.body = listing.replace("\"size\":", "\"size\":9000000000000000").into();
        }
        Some(Fault::OtherTag) => {
            answer.headers.retain(|(name, _)| name != "X-Linked-Etag");
            answer.headers.push(("X-Linked-Etag".into(), format!("\"{}\"", "9".repeat(64))));
        }
        _ => {}
    }
    let from = request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    if let (Some(from), 200) = (from, answer.status) {
        apply_range(&mut answer, from, fault.as_ref());
    }
    write_answer(stream, request, &answer, fault.as_ref())
}

fn apply_range(answer: &mut Answer, from: usize, fault: Option<&Fault>) {
    let total = answer.body.len();
    match fault {
        Some(Fault::IgnoreRange) => return,
        _ if from >= total => {
            *answer = Answer::status(416, &[]);
            answer.headers.push(("Content-Range".into(), format!("bytes */{total}")));
            return;
        }
        _ => {}
    }
    let from = if matches!(fault, Some(Fault::WrongRange)) { from + 7 } else { from };
    answer.status = 206;
    let range = format!("bytes {from}-{}/{total}", total - 1);
    answer.headers.push(("Content-Range".into(), range));
    answer.body.drain(..from.min(total));
}

fn write_answer(
    mut stream: &TcpStream,
    request: &Request,
    answer: &Answer,
    fault: Option<&Fault>,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
    if matches!(fault, Some(Fault::CutInHeaders)) {
        let _ = stream.write_all(&head.as_bytes()[..head.len() / 2]);
        return None;
    }
    stream.write_all(head.as_bytes()).ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    match fault {
        Some(Fault::CutAfter(bytes)) => {
            let _ = stream.write_all(&answer.body[..*bytes.min(&answer.body.len())]);
            None
        }
        Some(Fault::Trickle { bytes, pause }) => {
            for part in answer.body.chunks(*bytes) {
                stream.write_all(part).ok()?;
                thread::sleep(*pause);
            }
            Some(())
        }
        _ => stream.write_all(&answer.body).ok(),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%' && after.len() >= 2)
            .then(|| u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap_or("zz"), 16).ok());
        match escaped.flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
