//! Which files of a component's folder hold its weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use candle_core::DType;
use serde_json::Value;

use crate::{
    key_map::{Source, Stored, TABLE},
    networks::{NetworkError, Result},
};

/// diffusers' name, then transformers'.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// Formats that are, or contain, Python pickles.
const PICKLES: [&str; 5] = ["bin", "ckpt", "pt", "pth", "pkl"];

/// A file with tensors of the component.
pub struct Found {
    pub path: PathBuf,
    /// What is what in it; `None` where everything is under its own name.
    pub tensors: Option<BTreeMap<String, Stored>>,
}

/// The safetensors files of the component in `folder`: one or several shards; or a file with much
/// more in it that a [`TABLE`] leads to; or `folder` itself, where it is such a file.
pub fn find(folder: &Path, dtype: DType) -> Result<Vec<Found>> {
    let table = folder.join(TABLE);
    if !table.is_file() {
        let own = |path| Found { path, tensors: None };
        return Ok(find_own(folder, dtype)?.into_iter().map(own).collect());
    }
    let text = fs::read_to_string(&table).map_err(NetworkError::io(&table))?;
    match serde_json::from_str(&text).map_err(|error| NetworkError::damaged(&table, error))? {
        Source::Table { file, tensors } => Ok(vec![Found { path: file, tensors: Some(tensors) }]),
        Source::Folder(other) if !other.join(TABLE).exists() => find(&other, dtype),
        Source::Folder(_) => Err(NetworkError::damaged(&table, "it leads to another table")),
    }
}

fn find_own(folder: &Path, dtype: DType) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        let pickle = folder.file_name().is_some_and(|name| is_pickle(&name.to_string_lossy()));
        let file = folder.to_owned();
        return if pickle { Err(NetworkError::Pickle { file }) } else { Ok(vec![file]) };
    }
    let names = names_in(folder)?;
    for stem in STEMS {
        for variant in variants(&names, stem, dtype) {
            let single = format!("{stem}{variant}.safetensors");
            if names.contains(&single) {
                return Ok(vec![folder.join(single)]);
            }
            let indices = [
                format!("{stem}.safetensors.index{variant}.json"),
                format!("{stem}{variant}.safetensors.index.json"),
            ];
            if let Some(index) = indices.iter().find(|name| names.contains(*name)) {
                return shards(folder, &folder.join(index));
            }
        }
    }
    match names.iter().find(|name| is_pickle(name)) {
        Some(name) => Err(NetworkError::Pickle { file: folder.join(name) }),
        None => Err(NetworkError::NoWeights { folder: folder.to_owned() }),
    }
}

fn names_in(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).map_err(NetworkError::io(folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

fn is_pickle(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| PICKLES.contains(&extension))
}

/// The variants worth trying (`""`, `".fp16"`), best first: the one stored as the run computes,
/// the plain one, then whatever else lies there.
fn variants(names: &BTreeSet<String>, stem: &str, dtype: DType) -> Vec<String> {
    let preferred = match dtype {
        DType::F16 => ".fp16",
        DType::BF16 => ".bf16",
        _ => "",
    };
    let mut found = vec![preferred.to_owned(), String::new()];
    for name in names {
        let single = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".safetensors"));
        let index = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix(".safetensors.index"))
            .and_then(|rest| rest.strip_suffix(".json"));
        found.extend(single.or(index).filter(|v| !v.contains("-of-")).map(str::to_owned));
    }
    found
}

/// The files that an index names.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(index).map_err(NetworkError::io(index))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| NetworkError::damaged(index, error))?;
    let map = json
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| NetworkError::damaged(index, "it lacks \"weight_map\""))?;
    let mut files = BTreeSet::new();
    for value in map.values() {
        let name = value
            .as_str()
            .filter(|name| Path::new(name).file_name().is_some_and(|file| file == *name))
            .ok_or_else(|| NetworkError::damaged(index, format!("{value} is not a file's name")))?;
        files.insert(folder.join(name));
    }
    Ok(files.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        folder
    }

    fn found(names: &[&str], dtype: DType) -> Vec<String> {
        let folder = folder(names);
        let files = find_own(folder.path(), dtype).unwrap();
        files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_variant_closest_to_the_run_is_taken() {
        let both = ["model.safetensors", "model.fp16.safetensors"];
        assert_eq!(found(&both, DType::F32), ["model.safetensors"]);
        assert_eq!(found(&both, DType::F16), ["model.fp16.safetensors"]);
        assert_eq!(found(&both[1..], DType::F32), ["model.fp16.safetensors"]);
        let other = ["diffusion_pytorch_model.non_ema.safetensors"];
        assert_eq!(found(&other, DType::F32), other);
    }

    #[test]
    fn an_index_leads_to_its_shards() {
        let folder = folder(&[]);
        let index = r#"{"weight_map": {"a": "b-2-of-2.safetensors", "c": "b-1-of-2.safetensors"}}"#;
        fs::write(folder.path().join("model.safetensors.index.fp16.json"), index).unwrap();
        let files = find_own(folder.path(), DType::F32).unwrap();
        assert_eq!(files.len(), 2);
        assert!(files[0].ends_with("b-1-of-2.safetensors"));
    }

    #[test]
    fn an_index_cannot_lead_out_of_its_folder() {
        let folder = folder(&[]);
        let index = r#"{"weight_map": {"a": "../../secret"}}"#;
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        assert!(matches!(find_own(folder.path(), DType::F32), Err(NetworkError::Damaged { .. })));
    }

    #[test]
    fn pickles_are_refused_with_a_reason() {
        let folder = folder(&["diffusion_pytorch_model.bin"]);
        let text = find_own(folder.path(), DType::F32).unwrap_err().to_string();
        assert!(text.contains("diffusion_pytorch_model.bin") && text.contains("safetensors"));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(find_own(empty.path(), DType::F32), Err(NetworkError::NoWeights { .. })));
    }
}
