//! The header of a safetensors file, read and checked before anything else is: it says which
//! tensors there are, and everything it says must fit the file.
//!
//! Layout: 8 bytes with the header's length (little-endian), the header as JSON, the tensors'
//! bytes. Offsets count from the end of the header; tensors lie one after the other without gaps.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use safetensors::Dtype;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// The longest header that is read, as the format's own library has it.
const LONGEST: u64 = 100_000_000;
/// The most tensors of one file. The largest checkpoints have some 3,000.
const MOST_TENSORS: usize = 200_000;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// By name.
    pub tensors: BTreeMap<String, Entry>,
    /// Free text, such as what a LoRA was trained with.
    pub metadata: BTreeMap<String, String>,
    /// Where the tensors begin, in bytes from the file's start.
    start: u64,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Where it lies, in bytes from where the tensors begin.
    pub begin: u64,
    pub end: u64,
}

impl Header {
    /// Reads the header of a file, and no more of it.
    ///
    /// # Errors
    /// When it cannot be read, or what it says does not fit it; the text does not name the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |error: io::Error| error.to_string();
        let mut file = File::open(path).map_err(told)?;
        let length = file.metadata().map_err(told)?.len();
        Self::read_from(&mut file, length)
    }

    /// Reads the header from the beginning of something `length` bytes long.
    ///
    /// # Errors
    /// When the reader fails, or what the header says does not fit.
    pub fn read_from(reader: &mut impl Read, length: u64) -> Result<Self, String> {
        Self::checked(reader, length)
            .map_err(|error| error.to_string())?
            .map_err(|why| format!("damaged, or not a safetensors file ({why}); get it again"))
    }

    /// The inner error says what does not fit.
    fn checked(reader: &mut impl Read, length: u64) -> io::Result<Result<Self, String>> {
        let Some(room) = length.checked_sub(8) else {
            return Ok(Err(format!("it has only {length} bytes")));
        };
        let mut size = [0; 8];
        reader.read_exact(&mut size)?;
        let size = u64::from_le_bytes(size);
        if size > room.min(LONGEST) {
            return Ok(Err(format!(
                "its header would be {size} bytes long, in a file of {length}"
            )));
        }
        // No more than the file has.
        let mut text = vec![0; size as usize];
        reader.read_exact(&mut text)?;
        Ok(Self::parse(&text, room - size))
    }

    /// Checks a header before `data_length` bytes of tensors.
    ///
    /// # Errors
    /// A text that says what does not fit.
    pub fn parse(text: &[u8], data_length: u64) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if raw.entries.len() > MOST_TENSORS {
            return Err(format!("it names {} tensors", raw.entries.len()));
        }
        let mut names = HashSet::new();
        for (name, entry) in &raw.entries {
            if !names.insert(name) {
                return Err(format!("the tensor {} stands twice", name.escape_debug()));
            }
            entry.check().map_err(|why| format!("the tensor {}: {why}", name.escape_debug()))?;
        }
        check_order(&raw.entries, data_length)?;
        let tensors = raw.entries.into_iter().map(|(name, entry)| (name, entry.into()));
        let start = text.len() as u64 + 8;
        Ok(Self { tensors: tensors.collect(), metadata: raw.metadata, start })
    }

    /// Of these tensors, wherever they lie.
    pub fn of_tensors(tensors: BTreeMap<String, Entry>) -> Self {
        Self { tensors, ..Self::default() }
    }

    /// The format of most bytes of the tensors that `counts` says yes to, such as `f16`.
    pub fn dtype(&self, counts: impl Fn(&str) -> bool) -> Option<String> {
        let mut bytes: BTreeMap<Dtype, u64> = BTreeMap::new();
        for (_, entry) in self.tensors.iter().filter(|(name, _)| counts(name)) {
            *bytes.entry(entry.dtype).or_default() += entry.end - entry.begin;
        }
        let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes);
        most.map(|(dtype, _)| dtype.to_string().to_lowercase())
    }

    /// The numbers of a small tensor; `None` if there is none of the name, or not of floats.
    pub fn numbers(&self, path: &Path, name: &str) -> Option<Vec<f32>> {
        let entry = self.tensors.get(name)?;
        let mut bytes = vec![0; usize::try_from(entry.end - entry.begin).ok()?];
        let mut file = File::open(path).ok()?;
        file.seek(SeekFrom::Start(self.start + entry.begin)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        let halves = || bytes.as_chunks().0.iter().map(|&two| u16::from_le_bytes(two));
        match entry.dtype {
            Dtype::F32 => {
                Some(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
            }
            Dtype::F16 => Some(halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
            Dtype::BF16 => {
                Some(halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect())
            }
            _ => None,
        }
    }
}

/// The tensors fill the file: none lies over another, and nothing lies between or behind them.
fn check_order(entries: &[(String, Said)], data_length: u64) -> Result<(), String> {
    let mut order: Vec<_> =
        entries.iter().map(|(name, entry)| (entry.data_offsets, name)).collect();
    order.sort();
    let mut end = 0;
    for ((from, to), name) in order {
        if from != end {
            let how = if from < end { "lies over another" } else { "lies behind a gap" };
            return Err(format!("the tensor {} {how}", name.escape_debug()));
        }
        end = to;
    }
    if end == data_length {
        return Ok(());
    }
    let how = if end > data_length { "ends early" } else { "goes on behind its tensors" };
    Err(format!("it {how}: {data_length} bytes of tensors instead of {end}"))
}

/// A tensor as the header has it.
#[derive(Deserialize)]
struct Said {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Said {
    fn check(&self) -> Result<(), String> {
        if self.shape.len() > MOST_DIMENSIONS {
            return Err(format!("{} dimensions", self.shape.len()));
        }
        let (from, to) = self.data_offsets;
        let bits = self.shape.iter().try_fold(self.dtype.bitsize() as u64, |bits, side| {
            usize::try_from(*side).ok()?;
            bits.checked_mul(*side)
        });
        let expected = bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
        match to.checked_sub(from) {
            None => Err("it ends before it begins".into()),
            Some(bytes) if Some(bytes) == expected => Ok(()),
            Some(bytes) => {
                Err(format!("{:?} of {} does not take {bytes} bytes", self.shape, self.dtype))
            }
        }
    }
}

impl From<Said> for Entry {
    fn from(said: Said) -> Self {
        // Checked above to fit.
        let shape = said.shape.into_iter().map(|side| side as usize).collect();
        let (begin, end) = said.data_offsets;
        Self { dtype: said.dtype, shape, begin, end }
    }
}

/// The JSON as it stands, in its order and with what stands twice.
struct Raw {
    entries: Vec<(String, Said)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw { entries: Vec::new(), metadata: BTreeMap::new() };
                while let Some(key) = map.next_key::<String>()? {
                    if key == "__metadata__" {
                        raw.metadata = map.next_value()?;
                    } else {
                        raw.entries.push((key, map.next_value()?));
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(RawVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, data_length: u64) -> Result<Header, String> {
        Header::parse(text.as_bytes(), data_length)
    }

    fn file(text: &str, data: usize) -> Vec<u8> {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    const TWO: &str = r#"{"__metadata__": {"a": "b"},
        "y": {"dtype": "F16", "shape": [2, 3], "data_offsets": [4, 16]},
        "x": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}   "#;

    #[test]
    fn a_sound_header_is_read() {
        let bytes = file(TWO, 16);
        let header = Header::read_from(&mut &bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(header.tensors["y"].shape, [2, 3]);
        assert_eq!(header.metadata["a"], "b");
        assert_eq!(header.dtype(|_| true).as_deref(), Some("f16"));
        assert_eq!(header.dtype(|name| name == "x").as_deref(), Some("f32"));
        assert!(parsed("{}", 0).unwrap().tensors.is_empty());
    }

    #[test]
    fn numbers_are_read_where_the_header_says() {
        let mut bytes = file(TWO, 0);
        bytes.extend(2.5f32.to_le_bytes());
        bytes.extend([0, 0x3c, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0xbc]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let header = Header::read(file.path()).unwrap();
        assert_eq!(header.numbers(file.path(), "x"), Some(vec![2.5]));
        assert_eq!(header.numbers(file.path(), "y"), Some(vec![1.0, 2.0, 0.0, 0.0, 0.0, -1.0]));
        assert_eq!(header.numbers(file.path(), "z"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let tensor = |offsets: &str, shape: &str, dtype: &str| {
            format!(
                r#"{{"x": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}"#
            )
        };
        let huge = "[18446744073709551615, 18446744073709551615]";
        let cases = [
            (tensor("[0, 4]", "[1]", "F32"), 8, "goes on behind"),
            (tensor("[0, 4]", "[1]", "F32"), 3, "ends early"),
            (tensor("[4, 8]", "[1]", "F32"), 8, "behind a gap"),
            (tensor("[4, 0]", "[1]", "F32"), 4, "before it begins"),
            (tensor("[0, 4]", "[2]", "F32"), 4, "does not take 4 bytes"),
            (tensor("[0, 4]", huge, "F32"), 4, "does not take 4 bytes"),
            (tensor("[0, 4]", "[1]", "F33"), 4, "F33"),
            (tensor("[0, 4]", "[-1]", "F32"), 4, "-1"),
            (tensor("[0]", "[1]", "F32"), 4, "line 1"),
            (TWO.replace("[4, 16]", "[2, 14]"), 14, "lies over another"),
            (TWO.replace("\"x\"", "\"y\""), 16, "stands twice"),
            ("[]".into(), 0, "object"),
            ("{\"x\"".into(), 0, "EOF"),
        ];
        for (text, length, expected) in cases {
            let why = parsed(&text, length).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn a_length_is_believed_only_as_far_as_the_file_goes() {
        for length in [u64::MAX, 1 << 40, LONGEST + 1, 100] {
            let mut bytes = file(TWO, 16);
            bytes[..8].copy_from_slice(&length.to_le_bytes());
            let total = bytes.len().min(100) as u64;
            let why = Header::read_from(&mut &bytes[..], total).unwrap_err();
            assert!(why.contains("bytes long"), "{why}");
        }
        assert!(Header::read_from(&mut &b"1234"[..], 4).is_err());
        let nothing = tempfile::NamedTempFile::new().unwrap();
        let text = Header::read(nothing.path()).unwrap_err();
        assert!(text.contains("only 0 bytes") && text.contains("get it again"), "{text}");
    }

    proptest! {
        /// Whatever bytes come, reading ends and never panics; and what is accepted, the format's
        /// own library accepts too.
        #[test]
        fn no_bytes_break_it(at in 0usize..300, byte: u8, cut in 0usize..300) {
            let mut bytes = file(TWO, 16);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            if Header::read_from(&mut &bytes[..], bytes.len() as u64).is_ok() {
                prop_assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
            }
        }
    }
}
