//! Where the hub is, where its cache is, and who asks: as the environment says, by the same rules
//! as the hub's own Python tools.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use etcetera::BaseStrategy;

/// The hub where nobody names another.
pub const PUBLIC_HUB: &str = "https://huggingface.co";

/// How the hub is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The address without a slash at its end: `HF_ENDPOINT`, or the public hub.
    pub endpoint: String,
    /// The folder that holds `models--owner--name`: `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// `HF_TOKEN`, or the contents of the token file that `hf auth login` writes.
    pub token: Option<Token>,
    /// `HF_HUB_OFFLINE`: nothing is asked for over the network.
    pub offline: bool,
    pub patience: Patience,
}

/// How long is waited, and how often tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Patience {
    /// A connection that says nothing for so long counts as cut.
    pub silence: Duration,
    /// The first pause before another try; it doubles with each.
    pub pause: Duration,
    /// How many tries in a row may bring nothing.
    pub tries: u32,
    /// The longest pause that the hub can ask for.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            tries: 6,
            longest_pause: Duration::from_secs(300),
        }
    }
}

/// A person's key to the hub. It is not shown by `{:?}`, so that no log holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `None` for a text that cannot be one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (!text.is_empty() && plain).then(|| Self(text.to_owned()))
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Settings {
    /// As the environment says.
    pub fn from_env() -> Self {
        Self::from_lookup(&|name| env::var_os(name))
    }

    fn from_lookup(look_up: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let get = |name: &str| look_up(name).filter(|value| !value.is_empty());
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let home = match get("HF_HOME") {
            Some(home) => expanded(home),
            None => default_home(get("XDG_CACHE_HOME")),
        };
        let cache = get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_HUB.to_owned());
        let switched_on = |name: &str| text(name).is_some_and(|value| is_on(&value));
        Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            cache: cache.map_or_else(|| home.join("hub"), expanded),
            token: text("HF_TOKEN")
                .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
                .and_then(|text| Token::new(&text))
                .or_else(|| {
                    let file = get("HF_TOKEN_PATH").map_or_else(|| home.join("token"), expanded);
                    Token::new(&fs::read_to_string(file).ok()?)
                }),
            offline: switched_on("HF_HUB_OFFLINE") || switched_on("TRANSFORMERS_OFFLINE"),
            patience: Patience::default(),
        }
    }
}

fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.trim().to_lowercase().as_str())
}

/// The hub's tools keep to `~/.cache` on every system.
fn default_home(xdg_cache: Option<OsString>) -> PathBuf {
    let caches = xdg_cache.map(expanded).or_else(|| Some(user_folder()?.join(".cache")));
    caches.unwrap_or_else(env::temp_dir).join("huggingface")
}

fn user_folder() -> Option<PathBuf> {
    etcetera::choose_base_strategy().ok().map(|strategy| strategy.home_dir().to_owned())
}

/// A path in which `~` stands for the user's folder.
fn expanded(path: OsString) -> PathBuf {
    let path = PathBuf::from(path);
    match (path.strip_prefix("~"), user_folder()) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

/// The folder and file that keep the token, to name them to a person.
pub fn token_file(cache: &Path) -> PathBuf {
    hf_hub::Cache::new(cache.to_owned()).token_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::from_lookup(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_environment_says_where_everything_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "hf_filed\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let of_home = settings(&[("HF_HOME", home)]);
        assert_eq!(of_home.cache, folder.path().join("hub"));
        assert_eq!(of_home.token, Token::new("hf_filed"));
        assert_eq!(of_home.endpoint, PUBLIC_HUB);
        assert_eq!(token_file(&of_home.cache), folder.path().join("token"));
        let named = settings(&[
            ("HF_HOME", home),
            ("HF_HUB_CACHE", "/elsewhere"),
            ("HF_TOKEN", " hf_named "),
            ("HF_ENDPOINT", "http://mirror/"),
        ]);
        assert_eq!(named.cache, Path::new("/elsewhere"));
        assert_eq!(named.token, Token::new("hf_named"));
        assert_eq!(named.endpoint, "http://mirror");
        let cached = settings(&[("XDG_CACHE_HOME", "/caches"), ("HF_HOME", "")]);
        assert_eq!(cached.cache, Path::new("/caches/huggingface/hub"));
    }

    #[test]
    fn offline_is_a_switch() {
        for (value, offline) in [("1", true), ("TRUE", true), ("0", false), ("", false)] {
            assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, offline, "{value}");
        }
    }

    #[test]
    fn a_token_is_neither_shown_nor_able_to_break_a_header() {
        let token = Token::new("hf_secret").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
        assert_eq!(Token::new("two\r\nlines"), None);
        assert_eq!(Token::new("  "), None);
    }
}
