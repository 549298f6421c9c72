//! Whole runs: a request as the command line builds it, every step's latents and the pictures.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use overpaint::{
    engine::{
        EngineError, Monitor, Outcome, PassNumber, Record, Recorded, Request, Stage,
        diffusion_backend,
    },
    geometry::{Bounds, Extent},
    pixels::{Picture, codec::load_picture},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    compare::{Deviation, measured},
    fixtures::{self, Tensors},
};

/// A run of the reference.
#[derive(Clone, Deserialize)]
pub struct Case {
    pub name: String,
    /// By the command line's option names.
    pub settings: Map<String, Value>,
    /// How many pictures it made; 0 where only the latents were kept.
    pub images: usize,
    /// Their width and height, where only every second row and column of them was kept.
    pub size: Option<[u32; 2]>,
    /// The folder that its models and results lie in.
    #[serde(skip)]
    pub set: PathBuf,
}

/// A table of cases.
#[derive(Deserialize)]
pub struct Cases {
    pub cases: Vec<Case>,
}

/// The folders of cases: Stable Diffusion 1 with everything about settings, then 2 and XL.
const SETS: [&str; 2] = ["parity", "families"];
/// The tables of cases.
const TABLES: [&str; 3] = ["cases.json", "few-steps.json", "tiny.json"];

/// Every case that the reference left.
pub fn cases() -> Vec<Case> {
    TABLES.iter().flat_map(|table| cases_of(table)).collect()
}

/// The cases of a table, in every folder that has it.
pub fn cases_of(table: &str) -> Vec<Case> {
    SETS.into_iter().flat_map(|name| cases_in(&fixtures::set(name), table)).collect()
}

/// The cases of a table of one folder.
pub fn cases_in(set: &Path, table: &str) -> Vec<Case> {
    let file = set.join(table);
    let cases = if file.exists() { fixtures::read_file::<Cases>(&file).cases } else { Vec::new() };
    cases.into_iter().map(|case| Case { set: set.to_owned(), ..case }).collect()
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
    let (mut conditions, mut prior) = (Map::new(), Map::new());
    for (option, value) in &case.settings {
        let field = match option.as_str() {
            "command" => "task".into(),
            "scheduler-option" => "scheduler_options".into(),
            "embedding" => "embeddings".into(),
            other => other.replace('-', "_"),
        };
        let value = match option.as_str() {
            "model" | "vae" => json!(case.set.join("models").join(text(value)?)),
            "image" | "mask" => {
                json!({ "file": fixtures::root().join("inputs").join(text(value)?) })
            }
            "lora" => loras(value)?,
            "embedding" => embeddings(value)?,
            _ => value.clone(),
        };
        match field.as_str() {
            "refiner" | "refiner_start" | "refiner_steps" => {}
            name if name.starts_with("prior_") => {
                prior.insert(name.trim_start_matches("prior_").into(), value);
            }
            name if name.ends_with("_size") => {
                let (width, height) = pair(&value, 'x')?;
                conditions.insert(field, json!({ "width": width, "height": height }));
            }
            name if name.ends_with("_top_left") => {
                conditions.insert(field, json!(pair(&value, ',')?));
            }
            name if name.ends_with("_score") => {
                conditions.insert(field, value);
            }
            _ => {
                fields.insert(field, value);
            }
        }
    }
    fields.insert("micro_conditions".into(), Value::Object(conditions));
    fields.insert("prior".into(), Value::Object(prior));
    fields.entry("overlay").or_insert(json!(false));
    fields.insert("device".into(), json!("cpu"));
    fields.insert("dtype".into(), json!("f32"));
    fields.insert("exact".into(), json!(true));
    let mut request: Request = serde_json::from_value(Value::Object(fields))
        .map_err(|error| format!("the settings make no request: {error}"))?;
    refine(&mut request, case)?;
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

/// Pairs of file and word as a request has them.
fn embeddings(value: &Value) -> Result<Value, String> {
    let pairs: Vec<(String, Option<String>)> =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let folder = fixtures::root().join("inputs");
    let embedding = |(file, token)| json!({ "path": folder.join::<String>(file), "token": token });
    Ok(pairs.into_iter().map(embedding).collect())
}

/// The refiner of the settings, where they name one.
fn refine(request: &mut Request, case: &Case) -> Result<(), String> {
    let Some(model) = case.settings.get("refiner") else { return Ok(()) };
    let model = case.set.join("models").join(text(model)?).display().to_string();
    let number = |key: &str| case.settings.get(key).and_then(Value::as_f64);
    let stage = match (number("refiner-start"), number("refiner-steps")) {
        (Some(start), None) => Stage::ensemble(model, start),
        (None, Some(steps)) => Stage::refiner(model, steps as usize),
        _ => return Err("a refiner needs a start or a number of steps".into()),
    };
    request.refine(stage);
    Ok(())
}

/// Two numbers as the command line has them.
fn pair(value: &Value, separator: char) -> Result<(i32, i32), String> {
    let text = text(value)?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    let (first, second) =
        text.split_once(separator).ok_or_else(|| format!("{text} is no pair of numbers"))?;
    Ok((number(first)?, number(second)?))
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

    fn pass(&mut self, _: PassNumber) -> Result<(), EngineError> {
        Ok(())
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), EngineError> {
        Ok(())
    }

    fn preview(&mut self, _: usize, _: Bounds, _: std::sync::Arc<Picture>) {}
}

/// How far an outcome is from what the reference left for this case.
pub fn deviation(case: &Case, outcome: &Outcome) -> Result<Deviation, String> {
    let expected = Tensors::open(case.set.join(format!("cases/{}.safetensors", case.name)));
    let latents = &outcome.recording.latents;
    // Not every step is stored, but the last one always is, and it is whole.
    let stored = expected.steps();
    let steps = stored.iter().max().map_or(0, |last| last + 1);
    if latents.len() != steps {
        return Err(format!("{} steps, the reference took {steps}", latents.len()));
    }
    let mut worst = Deviation::default();
    for index in stored {
        let name = format!("latents_{index:03}");
        let whole = index + 1 == steps;
        let (shape, values) = states(&latents[index], whole)?;
        if shape != expected.get(&name)?.dims() {
            return Err(format!("{name} has shape {:?}", latents[index].shape));
        }
        worst = worst.worst(Deviation::of(&values, &expected.numbers(&name)?)?);
    }
    Ok(worst.worst(of_pictures(case, outcome)?))
}

/// Shape and numbers of latents, or of every second row and column.
fn states(latents: &Recorded, whole: bool) -> Result<(Vec<usize>, Vec<f32>), String> {
    let mut shape = latents.shape.clone();
    let [.., height, width] = shape.as_mut_slice() else {
        return Err(format!("latents of the shape {shape:?}"));
    };
    if whole {
        return Ok((shape, latents.values.to_vec()));
    }
    let rows = latents.values.chunks_exact(*width).enumerate();
    let kept = rows.filter(|(row, _)| row % *height % 2 == 0);
    let values = kept.flat_map(|(_, row)| row.iter().copied().step_by(2)).collect();
    (*height, *width) = (height.div_ceil(2), width.div_ceil(2));
    Ok((shape, values))
}

fn of_pictures(case: &Case, outcome: &Outcome) -> Result<Deviation, String> {
    if case.images == 0 {
        return Ok(Deviation::default());
    }
    if outcome.images.len() != case.images {
        return Err(format!("{} pictures instead of {}", outcome.images.len(), case.images));
    }
    let mut worst = Deviation::default();
    for (index, image) in outcome.images.iter().enumerate() {
        let expected = load_picture(&picture_file(case, index)).map_err(|e| e.to_string())?;
        let size =
            case.size.map_or(expected.extent(), |[width, height]| Extent::new(width, height));
        if image.picture.extent() != size {
            let made = image.picture.extent();
            return Err(format!("the picture is {made}, the reference's {size}"));
        }
        let made = if case.size.is_some() {
            thinned(&image.picture)
        } else {
            image.picture.bytes().to_vec()
        };
        worst = worst.worst(Deviation::of_bytes(&made, expected.bytes())?);
    }
    Ok(worst)
}

/// The bytes of every second row and column.
fn thinned(picture: &Picture) -> Vec<u8> {
    const PIXEL: usize = 4;
    let rows = picture.bytes().chunks_exact(PIXEL * picture.extent().width as usize);
    let pixels = rows.step_by(2).flat_map(|row| row.chunks_exact(PIXEL).step_by(2));
    pixels.flatten().copied().collect()
}

/// Where the reference's picture lies; several are numbered.
fn picture_file(case: &Case, index: usize) -> PathBuf {
    let number = if case.images > 1 { format!("-{index}") } else { String::new() };
    case.set.join("cases").join(format!("{}{number}.png", case.name))
}
