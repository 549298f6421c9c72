//! `overpaint models`: what can be named with `--model`, and what a model is.

use serde_json::{Value, json};

use super::{Failure, arguments::Models};
use crate::catalog::{self, ControlNetFolder, Entry, Model, ModelFolder};

/// Prints the list, or one model.
pub fn run(arguments: &Models) -> Result<(), Failure> {
    match (arguments.action.as_deref(), &arguments.model) {
        (Some("show"), Some(model)) => show(model, arguments.json),
        (_, Some(model)) => {
            Err(Failure::Bad(format!("`list` takes no model; for one use `models show {model}`")))
        }
        _ => {
            list(arguments.json);
            Ok(())
        }
    }
}

fn list(json: bool) {
    let entries = catalog::list();
    if json {
        let all: Vec<_> = entries.iter().map(json_of).collect();
        println!("{}", Value::from(all));
        return;
    }
    let width = entries.iter().map(|entry| entry.id.len()).max().unwrap_or(0);
    for entry in &entries {
        println!("{:width$}  {}", entry.id, entry.about);
    }
    for (id, folder) in catalog::controlnets() {
        println!("{id:width$}  {}", folder.about());
    }
    println!();
    println!("Folders in diffusers layout can be named by path; {}", places());
}

/// Where models are looked for, in one line.
pub fn places() -> String {
    let folders = catalog::places::model_folders();
    let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    format!("models are looked for in {}, and in the hub's cache", folders.join(", "))
}

fn json_of(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "name": entry.name,
        "about": entry.about,
        "path": entry.path,
        "problem": entry.model.as_ref().err(),
    })
}

fn show(model: &str, json: bool) -> Result<(), Failure> {
    let rows = match catalog::find_controlnet(model) {
        Ok(folder) => facts_of_controlnet(&folder),
        Err(_) => match catalog::find(model).map_err(Failure::bad)? {
            Model::ContentAware => vec![
                ("name", json!("Content-aware")),
                ("family", json!("none: fills from the rest of the picture")),
                ("can", json!(["fill"])),
            ],
            Model::Diffusion(folder) => facts(&folder),
        },
    };
    if json {
        let object: serde_json::Map<String, Value> =
            rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        println!("{}", Value::Object(object));
        return Ok(());
    }
    for (key, value) in &rows {
        println!("{:16} {}", key.replace('_', " "), plain(value));
    }
    Ok(())
}

fn facts(folder: &ModelFolder) -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!(folder.name)),
        ("path", json!(folder.path)),
        ("family", json!(folder.family.name())),
        ("channels", json!(folder.in_channels)),
        ("prediction_type", json!(folder.prediction_type)),
        ("dtype", json!(folder.dtype())),
        ("size", json!(folder.native_size)),
        ("can", json!(folder.abilities())),
    ]
}

fn facts_of_controlnet(folder: &ControlNetFolder) -> Vec<(&'static str, Value)> {
    vec![
        ("name", json!(folder.name)),
        ("path", json!(folder.path)),
        ("family", json!(folder.about())),
        ("prompt_width", json!(folder.prompt_width)),
        ("channel_order", json!(if folder.is_bgr { "bgr" } else { "rgb" })),
        ("dtype", json!(folder.dtype())),
        ("can", json!(["steer a model: --controlnet"])),
    ]
}

/// Without the marks of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".into(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
