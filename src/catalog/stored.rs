//! The number format that weights are stored in: from the headers of their files, without reading
//! the weights.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use serde_json::{Map, Value};

/// No header of a real file is longer.
const MAX_HEADER: u64 = 100_000_000;

/// The format of most numbers in a component's safetensors files, such as `f16`; `None` where
/// there are none that can be read.
pub fn dtype(component: &Path) -> Option<String> {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for entry in fs::read_dir(component).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            for (dtype, length) in tensors(&path).unwrap_or_default() {
                *bytes.entry(dtype).or_default() += length;
            }
        }
    }
    bytes.into_iter().max_by_key(|(_, length)| *length).map(|(dtype, _)| dtype.to_lowercase())
}

/// The format and length in bytes of each tensor.
fn tensors(path: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Ok(Vec::new());
    }
    let mut text = String::new();
    file.take(length).read_to_string(&mut text)?;
    let header: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let tensor = |(name, value): (&String, &Value)| {
        let ends = value.get("data_offsets")?.as_array()?;
        let length = ends.get(1)?.as_u64()?.checked_sub(ends.first()?.as_u64()?)?;
        (name != "__metadata__").then_some((value.get("dtype")?.as_str()?.to_owned(), length))
    };
    Ok(header.iter().filter_map(tensor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_most_bytes_counts() {
        let folder = tempfile::tempdir().unwrap();
        let header = r#"{"__metadata__": {"format": "pt"},
            "a": {"dtype": "F16", "shape": [9], "data_offsets": [0, 18]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [18, 26]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        fs::write(folder.path().join("model.safetensors"), &file).unwrap();
        assert_eq!(dtype(folder.path()), Some("f16".into()));
        fs::write(folder.path().join("model.safetensors"), [255; 20]).unwrap();
        assert_eq!(dtype(folder.path()), None);
        assert_eq!(dtype(Path::new("/nowhere")), None);
    }
}
