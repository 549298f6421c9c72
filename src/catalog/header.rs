//! Headers of safetensors files: which tensors there are, without reading any.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use serde_json::{Map, Value};

/// No header of a real file is longer.
const MAX_HEADER: u64 = 100_000_000;

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    pub tensors: BTreeMap<String, Entry>,
    /// Notes of the program that wrote it.
    pub metadata: BTreeMap<String, String>,
    /// Where the numbers begin, in bytes from the file's start.
    start: u64,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As the format names it: `F16`.
    pub dtype: String,
    pub shape: Vec<usize>,
    /// Where it lies, in bytes from where the numbers begin.
    pub begin: u64,
    pub end: u64,
}

impl Header {
    /// # Errors
    /// Why this is no whole safetensors file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut file = File::open(path).map_err(told)?;
        let size = file.metadata().map_err(told)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| "not a safetensors file".to_owned())?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > size {
            return Err("not a safetensors file, or the beginning of one only".into());
        }
        let mut text = String::new();
        file.take(length).read_to_string(&mut text).map_err(told)?;
        let json: Map<String, Value> =
            serde_json::from_str(&text).map_err(|_| "not a safetensors file".to_owned())?;
        let header = Self::parse(&json, length + 8).ok_or("its header is damaged")?;
        let end = header.tensors.values().map(|entry| entry.end).max().unwrap_or(0);
        if header.start.checked_add(end).is_none_or(|end| end > size) {
            return Err("incomplete: it ends before its last tensor; get it again".into());
        }
        Ok(header)
    }

    fn parse(json: &Map<String, Value>, start: u64) -> Option<Self> {
        let mut header = Self { start, ..Self::default() };
        for (name, value) in json {
            if name == "__metadata__" {
                let text =
                    |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.into()));
                header.metadata = value.as_object()?.iter().filter_map(text).collect();
            } else {
                header.tensors.insert(name.clone(), entry(value)?);
            }
        }
        Some(header)
    }

    /// Of these tensors, wherever they lie.
    pub fn of_tensors(tensors: BTreeMap<String, Entry>) -> Self {
        Self { tensors, ..Self::default() }
    }

    /// The format of most bytes of the tensors that `counts` says yes to, such as `f16`.
    pub fn dtype(&self, counts: impl Fn(&str) -> bool) -> Option<String> {
        let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, entry) in self.tensors.iter().filter(|(name, _)| counts(name)) {
            *bytes.entry(&entry.dtype).or_default() += entry.end - entry.begin;
        }
        bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(dtype, _)| dtype.to_lowercase())
    }

    /// The numbers of a small tensor; `None` if there is none of the name, or not of floats.
    pub fn numbers(&self, path: &Path, name: &str) -> Option<Vec<f32>> {
        let entry = self.tensors.get(name)?;
        let mut bytes = vec![0; usize::try_from(entry.end - entry.begin).ok()?];
        let mut file = File::open(path).ok()?;
        file.seek(SeekFrom::Start(self.start + entry.begin)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        let halves = || bytes.as_chunks().0.iter().map(|&two| u16::from_le_bytes(two));
        match entry.dtype.as_str() {
            "F32" => {
                Some(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
            }
            "F16" => Some(halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
            "BF16" => Some(halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect()),
            _ => None,
        }
    }
}

fn entry(value: &Value) -> Option<Entry> {
    let numbers = |key: &str| {
        let numbers = value.get(key)?.as_array()?.iter().map(Value::as_u64);
        numbers.collect::<Option<Vec<u64>>>()
    };
    let [begin, end] = numbers("data_offsets")?.try_into().ok()?;
    let shape = numbers("shape")?.into_iter().map(|side| side as usize).collect();
    let dtype = value.get("dtype")?.as_str()?.to_owned();
    (begin <= end).then_some(Entry { dtype, shape, begin, end })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(header: &str, numbers: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        fs::write(file.path(), bytes).unwrap();
        file
    }

    const HEADER: &str = r#"{"__metadata__": {"format": "pt"},
        "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}"#;

    #[test]
    fn a_header_is_read_without_the_tensors() {
        let numbers = [0, 0x3c, 0, 0x40, 0, 0, 0, 0, 0, 0, 0x80, 0x3f];
        let file = file(HEADER, &numbers);
        let header = Header::read(file.path()).unwrap();
        assert_eq!(header.metadata["format"], "pt");
        assert_eq!(header.tensors["a"].shape, [4]);
        assert_eq!(header.dtype(|_| true).as_deref(), Some("f16"));
        assert_eq!(header.dtype(|name| name == "b").as_deref(), Some("f32"));
        assert_eq!(header.numbers(file.path(), "a"), Some(vec![1.0, 2.0, 0.0, 0.0]));
        assert_eq!(header.numbers(file.path(), "b"), Some(vec![1.0]));
    }

    #[test]
    fn damage_is_told() {
        let damaged = [
            file(HEADER, &[0; 11]),
            file("{\"a\": 3}", &[]),
            file("<html>", &[]),
            file(r#"{"a": {"dtype": "F16", "shape": [4], "data_offsets": [8, 0]}}"#, &[0; 8]),
        ];
        for file in &damaged {
            assert!(Header::read(file.path()).is_err());
        }
        fs::write(damaged[0].path(), [255; 20]).unwrap();
        assert!(Header::read(damaged[0].path()).is_err());
        fs::write(damaged[0].path(), [1]).unwrap();
        assert!(Header::read(damaged[0].path()).is_err());
    }
}
