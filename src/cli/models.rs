//! `overpaint models`: what can be named with `--model`.

use serde_json::json;

use super::{Failure, arguments::Models};
use crate::catalog::{self, Entry};

/// Prints the list.
pub fn list(arguments: &Models) -> Result<(), Failure> {
    let entries = catalog::list();
    if arguments.json {
        let all: Vec<_> = entries.iter().map(json_of).collect();
        println!("{}", serde_json::Value::from(all));
        return Ok(());
    }
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    for entry in &entries {
        println!("{:width$}  {}", entry.id, entry.about);
    }
    println!();
    println!("Folders in diffusers layout can be named by path; {}", places());
    Ok(())
}

/// Where models are looked for, in one line.
pub fn places() -> String {
    let folders = catalog::places::model_folders();
    let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    format!("models are looked for in {}, and in the hub's cache", folders.join(", "))
}

fn json_of(entry: &Entry) -> serde_json::Value {
    json!({
        "id": entry.id,
        "name": entry.name,
        "about": entry.about,
        "path": entry.path,
        "problem": entry.model.as_ref().err(),
    })
}
