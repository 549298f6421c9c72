//! Small configuration files, read as objects.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use super::CatalogError;

/// A file that must hold an object.
pub(super) fn read_object(file: &Path) -> Result<Map<String, Value>, CatalogError> {
    let text = fs::read_to_string(file).map_err(|error| broken(file, error))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(broken(file, "the outermost value is not a JSON object")),
        Err(error) => Err(broken(file, error)),
    }
}

/// A whole number; absent or null is the class's default.
pub(super) fn whole(
    file: &Path,
    object: &Map<String, Value>,
    key: &str,
    default: usize,
) -> Result<usize, CatalogError> {
    let value = object.get(key).unwrap_or(&Value::Null);
    if value.is_null() {
        return Ok(default);
    }
    let number = value.as_u64().filter(|n| (1..=1 << 16).contains(n));
    number.map(|n| n as usize).ok_or_else(|| {
        broken(file, format!("`{key}` is {value}, but must be a whole number above 0"))
    })
}

pub(super) fn broken(path: &Path, reason: impl std::fmt::Display) -> CatalogError {
    CatalogError::Broken { path: path.to_path_buf(), reason: reason.to_string() }
}
