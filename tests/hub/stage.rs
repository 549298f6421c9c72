//! A hub, a cache, and what a test does with them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use overpaint::hub::{
    Choice, Client, Fetched, HubError, Patience, Progress, Report, Settings, StopToken, Token,
    Wanted, download,
};

use crate::server::{COMMIT, Hub, sha256};

pub const NAME: &str = "some/model";
pub const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

pub struct Stage {
    pub hub: Hub,
    pub folder: tempfile::TempDir,
    pub settings: Settings,
}

impl Stage {
    /// With one pipeline on the hub, whose weights are these.
    pub fn new(weights: &[u8]) -> Self {
        let hub = Hub::start();
        hub.add(NAME, &pipeline(weights));
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            endpoint: hub.url.clone(),
            cache: folder.path().join("hub"),
            token: None,
            offline: false,
            patience: Patience {
                silence: Duration::from_millis(700),
                pause: Duration::from_millis(5),
                tries: 4,
                longest_pause: Duration::from_secs(3),
            },
        };
        Self { hub, folder, settings }
    }

    pub fn with_token(mut self, token: &str) -> Self {
        self.settings.token = Token::new(token);
        self
    }

    /// Fetches the pipeline.
    pub fn get(&self) -> Result<Fetched, HubError> {
        self.get_wanted(&Wanted::repository(NAME))
    }

    pub fn get_wanted(&self, wanted: &Wanted) -> Result<Fetched, HubError> {
        self.get_watched(wanted, &StopToken::default(), &mut |_| {})
    }

    pub fn get_watched(
        &self,
        wanted: &Wanted,
        stop: &StopToken,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, HubError> {
        download(&Client::new(&self.settings), wanted, stop, &mut |report| {
            if let Report::Progress(progress) = report {
                watch(progress);
            }
        })
    }

    pub fn repository(&self) -> PathBuf {
        self.settings.cache.join("models--some--model")
    }

    pub fn file(&self, path: &str) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT).join(path)
    }

    pub fn incomplete(&self, bytes: &[u8]) -> PathBuf {
        self.repository().join("blobs").join(format!("{}.incomplete", sha256(bytes)))
    }

    /// Every blob's name is its digest, whatever happened: no wrong file has a right name.
    pub fn assert_blobs_are_what_they_say(&self) {
        let Ok(entries) = fs::read_dir(self.repository().join("blobs")) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".incomplete") || name.ends_with(".damaged") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let digest =
                if name.len() == 64 { sha256(&bytes) } else { crate::server::git_name(&bytes) };
            assert_eq!(digest, name);
        }
    }

    /// The model is whole.
    pub fn assert_has(&self, weights: &[u8]) {
        self.assert_blobs_are_what_they_say();
        assert!(fs::read(self.file(WEIGHTS)).unwrap() == weights, "other weights");
        assert!(!self.incomplete(weights).exists());
        assert_eq!(fs::read_to_string(self.repository().join("refs/main")).unwrap(), COMMIT);
    }

    /// Nothing looks like a model.
    pub fn assert_has_no_model(&self) {
        self.assert_blobs_are_what_they_say();
        assert!(!self.repository().join("snapshots").exists(), "half a model");
        assert!(!self.repository().join("refs").exists());
    }
}

const MODEL_INDEX: &str = r#"{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "U"],
    "scheduler": ["diffusers", "S"], "safety_checker": ["x", "Y"]}"#;

pub fn pipeline(weights: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("model_index.json", MODEL_INDEX.into()),
        ("README.md", b"words".to_vec()),
        ("scheduler/scheduler_config.json", b"{\"a\": 1}".to_vec()),
        ("unet/config.json", b"{}".to_vec()),
        (WEIGHTS, weights.to_vec()),
        ("unet/diffusion_pytorch_model.bin", b"pickle".to_vec()),
        ("safety_checker/model.safetensors", b"not needed".to_vec()),
    ]
}

/// Bytes without a pattern, the same every time.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn only_file(path: &str) -> Wanted {
    Wanted {
        choice: Choice { files: vec![path.to_owned()], ..Choice::default() },
        ..Wanted::repository(NAME)
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
