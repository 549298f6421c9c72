//! One request at a time to the hub: redirects, the token, and what an answer means.

use std::time::Duration;

use ureq::{
    Agent, Body,
    http::{HeaderMap, StatusCode, Uri},
};

use super::{HubError, Result, Settings, StopToken};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);
/// More redirects than this are a circle.
const HOPS: usize = 8;
/// The largest listing that is read.
const JSON_LIMIT: u64 = 32 << 20;
/// A question that is not a download is not asked more often than this.
const QUESTION_TRIES: u32 = 3;

/// Connections to the hub. Clones share them.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    pub settings: Settings,
}

/// What is asked for, to be named in errors.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub repository: &'a str,
    pub revision: &'a str,
    pub file: Option<&'a str>,
}

/// An answer with a body.
pub struct Reply {
    pub status: StatusCode,
    /// The last answer's.
    pub headers: HeaderMap,
    /// What the hub itself said of the file before it sent us elsewhere, as `ETag` without quotes.
    pub etag: Option<String>,
    pub body: Body,
    pub host: String,
}

/// Why there is no answer.
pub enum Trouble {
    /// Asking again would not help.
    Final(HubError),
    /// It may: `error` is what it comes to in the end, `wait` what the host asks for.
    Passing { error: HubError, wait: Option<Duration> },
}

impl Client {
    pub fn new(settings: &Settings) -> Self {
        let agent = Agent::config_builder()
            // By hand, so that the token stays with the hub.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(settings.patience.silence))
            .timeout_per_read(Some(settings.patience.silence))
            .user_agent(concat!("overpaint/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent, settings: settings.clone() }
    }

    /// Ends every request that is under way; later ones fail at once.
    pub fn interrupt(&self) {
        self.agent.clone().shutdown();
    }

    /// A small answer as JSON, asked for patiently.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        url: &str,
        place: Place<'_>,
        stop: &StopToken,
    ) -> Result<T> {
        let text = self.text(url, place, stop)?;
        serde_json::from_str(&text)
            .map_err(|error| HubError::Answer { host: host_of(url), why: error.to_string() })
    }

    /// A small answer as text, asked for patiently.
    pub fn text(&self, url: &str, place: Place<'_>, stop: &StopToken) -> Result<String> {
        let mut retry = Retry::new(&self.settings, QUESTION_TRIES);
        loop {
            match self.text_once(url, place) {
                Ok(text) => return Ok(text),
                Err(trouble) => {
                    stop.check()?;
                    let pause = retry.pause_after(trouble)?;
                    stop.sleep(pause)?;
                }
            }
        }
    }

    fn text_once(&self, url: &str, place: Place<'_>) -> Result<String, Trouble> {
        let mut reply = self.open(url, 0, place)?;
        let read = reply.body.with_config().limit(JSON_LIMIT).read_to_string();
        read.map_err(|error| trouble_of(error, &reply.host))
    }

    /// Opens `url` from the byte `from` on. An answer is 200 (the whole), 206 (from there) or 416
    /// (there is nothing from there on).
    pub fn open(&self, url: &str, from: u64, place: Place<'_>) -> Result<Reply, Trouble> {
        let mut url = url.to_owned();
        let mut etag = None;
        for _ in 0..HOPS {
            let response = self.request(&url, from)?;
            let host = host_of(&url);
            let (parts, body) = response.into_parts();
            etag = etag.or_else(|| etag_of(&parts.headers));
            if parts.status.is_redirection() {
                url = redirected(&url, header(&parts.headers, "location"))?;
                continue;
            }
            if !matches!(parts.status.as_u16(), 200 | 206 | 416) {
                return Err(self.refusal(&url, parts.status, &parts.headers, place));
            }
            return Ok(Reply { status: parts.status, headers: parts.headers, etag, body, host });
        }
        let why = "it sends us round in a circle".into();
        Err(Trouble::Final(HubError::Answer { host: host_of(&url), why }))
    }

    fn request(&self, url: &str, from: u64) -> Result<ureq::http::Response<Body>, Trouble> {
        // Compressed bytes would have another length and other offsets.
        let mut request = self.agent.get(url).header("accept-encoding", "identity");
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(token) = &self.settings.token
            && origin_of(url) == origin_of(&self.settings.endpoint)
        {
            request = request.header("authorization", format!("Bearer {}", token.secret()));
        }
        request.call().map_err(|error| trouble_of(error, &host_of(url)))
    }

    /// What a status other than success means.
    fn refusal(
        &self,
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
        place: Place<'_>,
    ) -> Trouble {
        let at_the_hub = origin_of(url) == origin_of(&self.settings.endpoint);
        let host = host_of(url);
        let passing = |error| Trouble::Passing { error, wait: retry_after(headers) };
        match status.as_u16() {
            408 | 425 | 429 | 500..=599 => {
                passing(HubError::Busy { host, status: status.as_u16() })
            }
            // An address of the store is valid for a while only; the hub gives a fresh one.
            401 | 403 | 404 if !at_the_hub => {
                passing(HubError::Busy { host, status: status.as_u16() })
            }
            401 | 403 | 404 => Trouble::Final(self.denial(status, headers, place)),
            other => Trouble::Final(HubError::Answer { host, why: format!("status {other}") }),
        }
    }

    /// 401, 403 and 404 of the hub itself. It says in a header which of its reasons it is.
    fn denial(&self, status: StatusCode, headers: &HeaderMap, place: Place<'_>) -> HubError {
        let endpoint = self.settings.endpoint.clone();
        let repository = place.repository.to_owned();
        let signed_in = self.settings.token.is_some();
        let page = format!("{endpoint}/{repository}");
        let missing_file = || HubError::NoFile {
            repository: repository.clone(),
            file: place.file.unwrap_or("(any)").to_owned(),
            revision: place.revision.to_owned(),
        };
        match (header(headers, "x-error-code").unwrap_or_default(), status.as_u16()) {
            ("GatedRepo", _) => HubError::Gated { repository, page, signed_in },
            ("EntryNotFound" | "RevisionNotFound", _) => missing_file(),
            ("RepoNotFound", _) => HubError::NotFound { repository, endpoint, signed_in },
            (_, 404) if place.file.is_some() => missing_file(),
            (_, 401) if signed_in => HubError::BadToken { endpoint },
            (_, 403) => {
                let said = header(headers, "x-error-message").unwrap_or("no reason given");
                let why = format!("the hub refuses access to it ({}); see {page}", one_line(said));
                HubError::NotUsable { repository, why }
            }
            _ => HubError::NotFound { repository, endpoint, signed_in },
        }
    }
}

/// Counts tries that bring nothing, and says how long to pause before the next.
pub struct Retry {
    left: u32,
    tries: u32,
    pause: Duration,
    first_pause: Duration,
    longest: Duration,
}

impl Retry {
    pub fn new(settings: &Settings, most: u32) -> Self {
        let patience = &settings.patience;
        let tries = patience.tries.min(most);
        let (pause, longest) = (patience.pause, patience.longest_pause);
        Self { left: tries, tries, pause, first_pause: pause, longest }
    }

    /// Something came: the count starts anew.
    pub fn progressed(&mut self) {
        self.left = self.tries;
        self.pause = self.first_pause;
    }

    /// The pause before the next try.
    ///
    /// # Errors
    /// When there is no point in one.
    pub fn pause_after(&mut self, trouble: Trouble) -> Result<Duration> {
        let (error, wait) = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Passing { error, wait } => (error, wait),
        };
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || wait.is_some_and(|wait| wait > self.longest) {
            return Err(error);
        }
        let pause = wait.unwrap_or(self.pause);
        self.pause *= 2;
        Ok(pause)
    }
}

/// What went wrong between here and `host`.
pub fn trouble_of(error: ureq::Error, host: &str) -> Trouble {
    use ureq::Error as E;
    let host = host.to_owned();
    match error {
        E::BadUri(_) | E::Http(_) | E::InvalidProxyUrl | E::BodyExceedsLimit(_) => {
            Trouble::Final(HubError::Answer { host, why: error.to_string() })
        }
        other => {
            let error = HubError::Unreachable { host, why: reason(&other) };
            Trouble::Passing { error, wait: None }
        }
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "there is no such host".into(),
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "no answer in time".into()
        }
        ureq::Error::Io(error) => one_line(&error.to_string()),
        other => one_line(&other.to_string()),
    }
}

/// Seconds that the host asks to wait. A date there is rare; the usual pause does for it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    header(headers, "retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The file's own tag: of what a pointer points to, if this is one.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    let tag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"))?;
    Some(tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// Where an answer sends us. The hub sends to its own store with an absolute address, and to
/// another name of a file with a relative one.
fn redirected(from: &str, to: Option<&str>) -> Result<String, Trouble> {
    let bad = |why: &str| {
        let (host, why) = (host_of(from), why.to_owned());
        Err(Trouble::Final(HubError::Answer { host, why }))
    };
    let Some(to) = to else { return bad("it sends us elsewhere without saying where") };
    let url = match to {
        _ if to.starts_with("http://") || to.starts_with("https://") => to.to_owned(),
        _ if to.starts_with("//") => {
            format!("{}:{to}", from.split(':').next().unwrap_or_default())
        }
        _ if to.starts_with('/') => format!("{}{to}", origin_of(from)),
        _ => return bad("it sends us to an address that is none"),
    };
    if from.starts_with("https://") && !url.starts_with("https://") {
        return bad("it sends us from a secure address to an insecure one");
    }
    Ok(url)
}

/// `scheme://host:port` of an address.
fn origin_of(url: &str) -> String {
    let end = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[end..];
    let authority = rest.find(['/', '?', '#']).map_or(rest, |at| &rest[..at]);
    format!("{}{authority}", &url[..end]).to_lowercase()
}

pub fn host_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_else(|| url.to_owned())
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(from: &str, to: &str) -> Option<String> {
        redirected(from, Some(to)).ok()
    }

    #[test]
    fn redirects_are_followed_by_their_forms() {
        let from = "https://hub.example/a/resolve/main/f";
        assert_eq!(target(from, "/x?y").as_deref(), Some("https://hub.example/x?y"));
        assert_eq!(target(from, "https://cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(target(from, "//cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(target(from, "http://cdn/x"), None, "from secure to insecure");
        assert_eq!(target(from, "x"), None);
        assert!(redirected(from, None).is_err());
    }

    #[test]
    fn origins_tell_hosts_and_ports_apart() {
        assert_eq!(origin_of("http://Hub:80/a/b"), "http://hub:80");
        assert_ne!(origin_of("http://hub:80/a"), origin_of("http://hub:81/a"));
        assert_ne!(origin_of("http://hub/"), origin_of("http://hub.evil/"));
        assert_eq!(host_of("https://hub:81/a"), "hub");
    }

    #[test]
    fn pauses_double_until_something_comes_and_end_at_last() {
        let mut settings = Settings::from_env();
        settings.patience.tries = 4;
        let mut retry = Retry::new(&settings, 100);
        let passing = |wait| Trouble::Passing {
            error: HubError::Busy { host: "hub".into(), status: 503 },
            wait,
        };
        let second = Duration::from_secs(1);
        assert_eq!(retry.pause_after(passing(None)), Ok(second));
        assert_eq!(retry.pause_after(passing(None)), Ok(2 * second));
        retry.progressed();
        assert_eq!(retry.pause_after(passing(None)), Ok(second));
        assert_eq!(retry.pause_after(passing(Some(7 * second))), Ok(7 * second));
        assert_eq!(retry.pause_after(passing(None)), Ok(4 * second));
        assert!(retry.pause_after(passing(None)).is_err());
        let mut fresh = Retry::new(&settings, 100);
        assert!(fresh.pause_after(passing(Some(Duration::from_secs(9999)))).is_err());
    }
}
