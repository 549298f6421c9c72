//! The number format that weights are stored in: from the headers of their files, without reading
//! the weights.

use std::{collections::BTreeMap, fs, path::Path};

use super::header::Header;

/// The format of most numbers in a component's safetensors files, such as `f16`; `None` where
/// there are none that can be read.
pub fn dtype(component: &Path) -> Option<String> {
    let mut tensors = BTreeMap::new();
    for entry in fs::read_dir(component).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            tensors.extend(Header::read(&path).unwrap_or_default().tensors);
        }
    }
    Header::of_tensors(tensors).dtype(|_| true)
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
        file.extend([0; 26]);
        fs::write(folder.path().join("model.safetensors"), &file).unwrap();
        assert_eq!(dtype(folder.path()), Some("f16".into()));
        fs::write(folder.path().join("model.safetensors"), [255; 20]).unwrap();
        assert_eq!(dtype(folder.path()), None);
        assert_eq!(dtype(Path::new("/nowhere")), None);
    }
}
