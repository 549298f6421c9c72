//! `overpaint models show`: what a model is.

use serde_json::{Value, json};

use super::super::Failure;
use crate::{
    catalog::{self, ControlNetFolder, Kind, Model, ModelFolder, PriorFolder, SingleFile},
    engine::{Request, memory},
    geometry::Extent,
};

/// Prints what a model is.
pub fn show(model: &str, json: bool) -> Result<(), Failure> {
    let located = catalog::locate(model).unwrap_or_else(|_| model.into());
    if located.is_file() {
        let file = SingleFile::open(&located).map_err(Failure::bad)?;
        print(single_file(&file), json);
        return Ok(());
    }
    let rows = match catalog::find_controlnet(model) {
        Ok(folder) => facts_of_controlnet(&folder),
        Err(_) => match catalog::find(model).map_err(Failure::bad)? {
            Model::ContentAware => vec![
                ("name", json!("Content-aware")),
                ("family", json!("none: fills from the rest of the picture")),
                ("can", json!(["fill"])),
            ],
            Model::Diffusion(folder) => facts(&folder),
            Model::Prior(prior) => facts_of_prior(&prior),
        },
    };
    print(rows, json);
    Ok(())
}

type Rows = Vec<(&'static str, Value)>;

fn print(rows: Rows, json: bool) {
    if json {
        let object: serde_json::Map<String, Value> =
            rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        println!("{}", Value::Object(object));
        return;
    }
    for (key, value) in &rows {
        println!("{:16} {}", key.replace('_', " "), plain(value));
    }
}

/// A model in one file, or what else the file is; what is missing for a run is a row, too.
fn single_file(file: &SingleFile) -> Rows {
    let problem = match file.kind() {
        Kind::Model(_) => match catalog::inspect(file.path()) {
            Ok(folder) => {
                let problem =
                    folder.autoencoder().err().map(|error| ("problem", json!(error.to_string())));
                return facts(&folder).into_iter().chain(problem).collect();
            }
            Err(error) => Some(("problem", json!(error.to_string()))),
        },
        Kind::ControlNet(_) => match catalog::inspect_controlnet(file.path()) {
            Ok(folder) => return folder.iter().flat_map(facts_of_controlnet).collect(),
            Err(error) => Some(("problem", json!(error.to_string()))),
        },
        _ => None,
    };
    let rows = [
        ("name", json!(file.path().file_stem().map(|name| name.to_string_lossy()))),
        ("path", json!(file.path())),
        ("family", json!(file.kind().name())),
        ("channels", json!(file.in_channels())),
        ("dtype", json!(file.dtype())),
        ("can", json!(file.kind().uses())),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_null()).chain(problem).collect()
}

fn facts(folder: &ModelFolder) -> Rows {
    let mut facts = vec![
        ("name", json!(folder.name)),
        ("path", json!(folder.file.as_ref().unwrap_or(&folder.path))),
        ("family", json!(folder.family.name())),
        ("channels", json!(folder.in_channels)),
        ("prediction_type", json!(folder.prediction_type)),
        ("dtype", json!(folder.dtype())),
        ("size", json!(folder.native_size)),
        ("can", json!(folder.abilities())),
    ];
    // With the program's own settings, at the size that it paints best at.
    let request = Request { model: folder.path.display().to_string(), ..Request::default() };
    let side = folder.native_size;
    if let Ok(bytes) = memory::foresee(folder, &request, Extent::new(side, side)) {
        facts.push(("memory", json!(memory::in_words(bytes))));
    }
    if folder.image_embeds.is_some() {
        let prior = catalog::prior_for(folder, None);
        let found = prior.map_or_else(|error| error.to_string(), |p| p.path.display().to_string());
        facts.push(("prior", json!(found)));
    }
    facts
}

fn facts_of_prior(prior: &PriorFolder) -> Rows {
    vec![
        ("name", json!(prior.name)),
        ("path", json!(prior.path)),
        ("family", json!("Kandinsky 2.2 prior")),
        ("embedding", json!(prior.embedding_dim)),
        ("dtype", json!(prior.dtype())),
        ("can", json!(["read prompts for a decoder: --prior"])),
    ]
}

fn facts_of_controlnet(folder: &ControlNetFolder) -> Rows {
    vec![
        ("name", json!(folder.name)),
        ("path", json!(folder.file.as_ref().unwrap_or(&folder.path))),
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
