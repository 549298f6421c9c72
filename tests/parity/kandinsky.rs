//! Kandinsky 2.2: its networks one by one, and the scheduler of its prior.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use candle_core::{DType, Device, IndexOp, Tensor, safetensors};
use libtest_mimic::Trial;
use overpaint::networks::{
    ClipVisionConfig, ClipVisionModel, Movq, MovqConfig, PriorConfig, PriorText, PriorTransformer,
    Weights,
};

use super::{
    compare::{Deviation, measured, numbers},
    described::materialise,
};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kandinsky")
}

/// The models as ordinary folders, made once.
pub fn models() -> &'static Path {
    static MODELS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        materialise(&fixtures().join("models"), folder.path())
            .unwrap_or_else(|error| panic!("the models of Kandinsky: {error}"));
        folder
    });
    MODELS.path()
}

/// What the reference computed with the single networks.
struct Units(HashMap<String, Tensor>);

impl Units {
    fn load() -> Result<Self, String> {
        safetensors::load(fixtures().join("units.safetensors"), &Device::Cpu)
            .map(Self)
            .map_err(text)
    }

    fn get(&self, name: &str) -> Result<&Tensor, String> {
        self.0.get(name).ok_or_else(|| format!("units.safetensors has no {name}"))
    }

    fn against(&self, name: &str, made: &Tensor) -> Result<Deviation, String> {
        let expected = self.get(name)?;
        if made.dims() != expected.dims() {
            return Err(format!("{:?}, the reference has {:?}", made.dims(), expected.dims()));
        }
        Deviation::of(&numbers(made)?, &numbers(expected)?)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        measured("kandinsky::prior", prior),
        measured("kandinsky::image-encoder", image_encoder),
    ];
    for model in ["text", "inpaint"] {
        trials.push(measured(format!("kandinsky::{model}-movq"), move || movq(model)));
    }
    trials
}

fn weights(folder: &Path) -> Result<Weights<'static>, String> {
    Weights::open(folder, DType::F32, &Device::Cpu, |_| ControlFlow::Continue(())).map_err(text)
}

fn prior() -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, models().join("prior/prior"));
    let config = PriorConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = PriorTransformer::load(config, &weights(&folder)?).map_err(text)?;
    let lengths: Vec<i64> = units.get("prior.lengths")?.to_vec1().map_err(text)?;
    let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
    let given = PriorText {
        embeds: units.get("prior.text")?,
        states: units.get("prior.states")?,
        lengths: &lengths,
    };
    let noisy = units.get("prior.noisy")?;
    let made = network.post_process(noisy).map_err(text)?;
    let mut worst = units.against("prior.processed", &made)?;
    for timestep in [0, 431, 999] {
        let made = network.forward(noisy, f64::from(timestep), given).map_err(text)?;
        worst = worst.worst(units.against(&format!("prior.{timestep}"), &made)?);
    }
    Ok(worst)
}

fn image_encoder() -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, models().join("prior/image_encoder"));
    let config = ClipVisionConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = ClipVisionModel::load(config, &weights(&folder)?).map_err(text)?;
    let picture = units.get("image.picture")?;
    let made = network.forward(picture).map_err(text)?;
    let black = picture.zeros_like().and_then(|zeros| zeros.i(..1)).map_err(text)?;
    let zero = network.forward(&black).map_err(text)?;
    Ok(units.against("image.embeds", &made)?.worst(units.against("image.zero", &zero)?))
}

fn movq(model: &str) -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, models().join(model).join("movq"));
    let config = MovqConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = Movq::load(config, &weights(&folder)?).map_err(text)?;
    let encoded = network.encode(units.get(&format!("{model}.picture"))?).map_err(text)?;
    let decoded = network.decode(units.get(&format!("{model}.latents"))?).map_err(text)?;
    let worst = units.against(&format!("{model}.encoded"), &encoded)?;
    Ok(worst.worst(units.against(&format!("{model}.decoded"), &decoded)?))
}
