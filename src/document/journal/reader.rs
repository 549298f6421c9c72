//! Finds the last whole state in a journal's file, whatever its bytes are.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    manifest::StateManifest,
    record::{self, HEADER_BYTES, Header, Key, Kind, MAGIC},
};

/// Why nothing could be restored.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal could not be read: {0}")]
    Read(#[from] io::Error),
    #[error("the journal holds nothing whole: {0}")]
    NothingWhole(Damage),
}

/// What was not whole, in numbers; all zero for a journal without damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Bytes at the end that are no whole record: what was being written when the program ended.
    pub tail_bytes: u64,
    /// Records that are not what was written.
    pub records: usize,
    /// Tiles of the picture that are missing, and transparent now.
    pub picture_tiles: usize,
    /// Tiles of the mask that are missing, and empty now.
    pub mask_tiles: usize,
    /// Steps that cannot be undone any more.
    pub steps: usize,
    /// Results that are gone.
    pub results: usize,
}

impl Damage {
    /// Whether anything but an unfinished last record is missing.
    pub fn lost_something(self) -> bool {
        Self { tail_bytes: 0, ..self } != Self::default()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.picture_tiles, "parts of the picture"),
            (self.mask_tiles, "parts of the mask"),
            (self.results, "results"),
            (self.steps, "steps back"),
            (self.records, "damaged records"),
        ];
        let mut parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.tail_bytes > 0 {
            parts.push(format!("{} unfinished bytes at the end", self.tail_bytes));
        }
        f.write_str(&if parts.is_empty() { "no damage".to_owned() } else { parts.join(", ") })
    }
}

/// A journal's file with its last whole state.
pub struct Reader {
    file: BufReader<File>,
    records: HashMap<Key, (u64, Header)>,
    pub state: StateManifest,
    pub damage: Damage,
}

impl Reader {
    /// Reads the file once, record by record.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path)?;
        let total = file.metadata()?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut damage = Damage::default();
        let mut records = HashMap::new();
        let mut state = None;
        let mut magic = [0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Err(JournalError::NothingWhole(Damage { tail_bytes: total, ..damage }));
        }
        let mut at = MAGIC.len() as u64;
        let mut payload = Vec::new();
        while let Some(header) = record::read_header(&mut file) {
            let start = at + HEADER_BYTES as u64;
            if header.len > total.saturating_sub(start) {
                break;
            }
            payload.resize(header.len as usize, 0);
            file.read_exact(&mut payload)?;
            at = start + header.len;
            if !header.fits(&payload) {
                damage.records += 1;
                continue;
            }
            match header.key.0 {
                Kind::State => state = serde_json::from_slice(&payload).ok().or(state),
                _ => drop(records.insert(header.key, (start, header))),
            }
        }
        damage.tail_bytes = total.saturating_sub(at);
        match state {
            Some(state) => Ok(Self { file, records, state, damage }),
            None => Err(JournalError::NothingWhole(damage)),
        }
    }

    /// A record's payload, if it is there and as it was written.
    pub fn payload(&mut self, key: Key) -> Option<Vec<u8>> {
        let (at, header) = *self.records.get(&key)?;
        let mut payload = vec![0; header.len as usize];
        self.file.seek(SeekFrom::Start(at)).ok()?;
        self.file.read_exact(&mut payload).ok()?;
        header.fits(&payload).then_some(payload)
    }
}
