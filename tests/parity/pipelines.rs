//! Whole runs: a request as the command line builds it, every step's latents and the pictures.

use std::path::PathBuf;

use libtest_mimic::Trial;
use overpaint::{
    engine::{EngineError, Monitor, Outcome, Record, Request, diffusion_backend},
    geometry::Bounds,
    pixels::{Picture, codec::load_picture},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    compare::{Deviation, measured},
    fixtures::{self, Tensors, read_json},
};

/// A run of the reference.
#[derive(Clone, Deserialize)]
pub struct Case {
    pub name: String,
    /// By the command line's option names.
    pub settings: Map<String, Value>,
    /// How many pictures it made.
    pub images: usize,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

/// Every case that the reference left.
pub fn cases() -> Vec<Case> {
    cases_of("cases.json")
}

/// The cases of a table.
pub fn cases_of(table: &str) -> Vec<Case> {
    read_json::<Cases>(table).cases
}

pub fn trials() -> Vec<Trial> {
    let trial = |case: Case| {
        measured(format!("pipelines::{}", case.name), move || {
            deviation(&case, &run(request(&case)?)?)
        })
    };
    cases().into_iter().map(trial).collect()
}

/// The request that `overpaint COMMAND ... --exact` would send for these settings.
pub fn request(case: &Case) -> Result<Request, String> {
    let mut fields = Map::new();
    for (option, value) in &case.settings {
        let field = match option.as_str() {
            "command" => "task".into(),
            "scheduler-option" => "scheduler_options".into(),
            other => other.replace('-', "_"),
        };
        let value = match option.as_str() {
            "model" => json!(fixtures::root().join("models").join(text(value)?)),
            "image" | "mask" => {
                json!({ "file": fixtures::root().join("inputs").join(text(value)?) })
            }
            "lora" => loras(value)?,
            _ => value.clone(),
        };
        fields.insert(field, value);
    }
    fields.entry("overlay").or_insert(json!(false));
    fields.insert("device".into(), json!("cpu"));
    fields.insert("dtype".into(), json!("f32"));
    fields.insert("exact".into(), json!(true));
    let mut request: Request = serde_json::from_value(Value::Object(fields))
        .map_err(|error| format!("the settings make no request: {error}"))?;
    request.record = Record { decoded: true, latents: true };
    Ok(request)
}

/// Pairs of file and scale as a request has them.
fn loras(value: &Value) -> Result<Value, String> {
    let pairs: Vec<(String, f64)> =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let lora = |(file, scale): (String, f64)| json!({ "path": fixtures::root().join("inputs").join(file), "scale": scale });
    Ok(pairs.into_iter().map(lora).collect())
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is not text"))
}

/// Runs a request to its end.
pub fn run(request: Request) -> Result<Outcome, String> {
    diffusion_backend().run(&request, &mut Unwatched).map_err(|error| error.to_string())
}

/// Nobody watches, nobody cancels.
pub struct Unwatched;

impl Monitor for Unwatched {
    fn is_cancelled(&mut self) -> bool {
        false
    }

    fn loading(&mut self, _: &str, _: Option<f32>) -> Result<(), EngineError> {
        Ok(())
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), EngineError> {
        Ok(())
    }

    fn preview(&mut self, _: usize, _: Bounds, _: std::sync::Arc<Picture>) {}
}

/// How far an outcome is from what the reference left for this case.
pub fn deviation(case: &Case, outcome: &Outcome) -> Result<Deviation, String> {
    let expected = Tensors::load(&format!("cases/{}.safetensors", case.name));
    let latents = &outcome.recording.latents;
    if latents.len() != expected.len() {
        return Err(format!("{} steps, the reference took {}", latents.len(), expected.len()));
    }
    let mut worst = Deviation::default();
    for (index, latents) in latents.iter().enumerate() {
        let name = format!("latents_{index:03}");
        if latents.shape != expected.get(&name)?.dims() {
            return Err(format!("{name} has shape {:?}", latents.shape));
        }
        worst = worst.worst(Deviation::of(&latents.values, &expected.numbers(&name)?)?);
    }
    Ok(worst.worst(of_pictures(case, outcome)?))
}

fn of_pictures(case: &Case, outcome: &Outcome) -> Result<Deviation, String> {
    if outcome.images.len() != case.images {
        return Err(format!("{} pictures instead of {}", outcome.images.len(), case.images));
    }
    let mut worst = Deviation::default();
    for (index, image) in outcome.images.iter().enumerate() {
        let expected = load_picture(&picture_file(case, index)).map_err(|e| e.to_string())?;
        if image.picture.extent() != expected.extent() {
            let extents = (image.picture.extent(), expected.extent());
            return Err(format!("the picture is {}, the reference's {}", extents.0, extents.1));
        }
        worst = worst.worst(Deviation::of_bytes(image.picture.bytes(), expected.bytes())?);
    }
    Ok(worst)
}

/// Where the reference's picture lies; several are numbered.
fn picture_file(case: &Case, index: usize) -> PathBuf {
    let number = if case.images > 1 { format!("-{index}") } else { String::new() };
    fixtures::root().join("cases").join(format!("{}{number}.png", case.name))
}
