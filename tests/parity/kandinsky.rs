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
    ClipVisionConfig, ClipVisionModel, Conditioning, Movq, MovqConfig, PriorConfig, PriorText,
    PriorTransformer, UNet2DConditionModel, UNetConfig, Weights, unet::AddedConditions,
};
use overpaint::{
    diffusion::{
        NoiseSource, Scheduler, SchedulerConfig,
        noise::TorchNoise,
        schedulers::{StepContext, UnClip},
    },
    geometry::Extent,
    pixels::{
        codec::load_picture,
        resize::{Filter, resize_picture_by_blocks},
    },
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    compare::{Deviation, exact, measured, numbers},
    described::materialise,
};

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kandinsky")
}

/// A folder with the models as ordinary folders in `models`, made once.
pub fn models() -> &'static Path {
    static MODELS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        materialise(&fixtures().join("models"), &folder.path().join("models"))
            .unwrap_or_else(|error| panic!("the models of Kandinsky: {error}"));
        folder
    });
    MODELS.path()
}

/// The folder of one of them.
fn model(name: &str) -> PathBuf {
    models().join("models").join(name)
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
        trials.push(measured(format!("kandinsky::{model}-unet"), move || unet(model)));
    }
    let Index { unclip, resized } = index();
    for (number, row) in unclip.into_iter().enumerate() {
        let name = format!("kandinsky::unclip-{}", row.steps);
        trials.push(measured(name, move || unclip_loop(number, &row)));
    }
    for (number, (picture, width, height)) in resized.into_iter().enumerate() {
        let name = format!("kandinsky::resized-{picture}-{width}x{height}");
        trials.push(exact(name, move || by_blocks(number, &picture, Extent::new(width, height))));
    }
    trials
}

/// What the units are of.
#[derive(Deserialize)]
struct Index {
    unclip: Vec<Loop>,
    /// Pictures and the sizes that they were brought to.
    resized: Vec<(String, u32, u32)>,
}

#[derive(Deserialize)]
struct Loop {
    steps: usize,
    config: Map<String, Value>,
    /// Left out where they are many.
    timesteps: Vec<f64>,
}

fn index() -> Index {
    let file = fixtures().join("units.json");
    let read = std::fs::read(&file).map_err(text);
    let parsed = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(text));
    parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A whole run of the prior's scheduler for a made-up network; of long ones the first states and
/// the last are stored.
fn unclip_loop(number: usize, row: &Loop) -> Result<Deviation, String> {
    let units = Units::load()?;
    let expected = units.get(&format!("unclip.{number}"))?;
    let config = SchedulerConfig { origin: "the fixture".into(), values: row.config.clone() };
    let mut scheduler = UnClip::open(&config).map_err(text)?;
    scheduler.set_timesteps(row.steps).map_err(text)?;
    let timesteps = scheduler.timesteps().to_vec();
    if !row.timesteps.is_empty() && timesteps != row.timesteps {
        return Err(format!("{timesteps:?}, the reference has {:?}", row.timesteps));
    }
    let mut noise = TorchNoise::new(row.steps as u64);
    let mut sample = noise.randn((2, 9).into(), &Device::Cpu, DType::F32).map_err(text)?;
    let mut states = vec![sample.clone()];
    for (index, &timestep) in timesteps.iter().enumerate() {
        let output = made_up_network(&sample, index).map_err(text)?;
        let context = StepContext { eta: 0.0, noise: &mut noise };
        sample = scheduler.step(&output, timestep, &sample, context).map_err(text)?.prev_sample;
        if index < 25 || index + 1 == timesteps.len() {
            states.push(sample.clone());
        }
    }
    let states = Tensor::stack(&states, 0).map_err(text)?;
    Deviation::of(&numbers(&states)?, &numbers(expected)?)
}

fn made_up_network(sample: &Tensor, index: usize) -> candle_core::Result<Tensor> {
    let wave = ((sample * 2.0)? + 0.3 * index as f64)?.sin()?;
    (wave * 0.8)? + (sample * 0.1)?
}

fn by_blocks(number: usize, picture: &str, extent: Extent) -> Result<(), String> {
    let units = Units::load()?;
    let expected = units.get(&format!("resized.{number}"))?.flatten_all().map_err(text)?;
    let expected: Vec<u8> = expected.to_vec1().map_err(text)?;
    let file = super::fixtures::root().join("inputs").join(format!("{picture}.png"));
    let made = load_picture(&file).map_err(text)?;
    let made = resize_picture_by_blocks(&made, extent, Filter::Bicubic);
    let made: Vec<u8> = made.bytes().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let differing = made.iter().zip(&expected).filter(|(a, b)| a != b).count();
    match made.len() == expected.len() && differing == 0 {
        true => Ok(()),
        false => Err(format!("{differing} of {} bytes differ", expected.len())),
    }
}

fn weights(folder: &Path) -> Result<Weights<'static>, String> {
    Weights::open(folder, DType::F32, &Device::Cpu, |_| ControlFlow::Continue(())).map_err(text)
}

fn prior() -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, model("prior").join("prior"));
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
    let (units, folder) = (Units::load()?, model("prior").join("image_encoder"));
    let config = ClipVisionConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = ClipVisionModel::load(config, &weights(&folder)?).map_err(text)?;
    let picture = units.get("image.picture")?;
    let made = network.forward(picture).map_err(text)?;
    let black = picture.zeros_like().and_then(|zeros| zeros.i(..1)).map_err(text)?;
    let zero = network.forward(&black).map_err(text)?;
    Ok(units.against("image.embeds", &made)?.worst(units.against("image.zero", &zero)?))
}

fn movq(name: &str) -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, model(name).join("movq"));
    let config = MovqConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = Movq::load(config, &weights(&folder)?).map_err(text)?;
    let encoded = network.encode(units.get(&format!("{name}.picture"))?).map_err(text)?;
    let decoded = network.decode(units.get(&format!("{name}.latents"))?).map_err(text)?;
    let worst = units.against(&format!("{name}.encoded"), &encoded)?;
    Ok(worst.worst(units.against(&format!("{name}.decoded"), &decoded)?))
}

fn unet(name: &str) -> Result<Deviation, String> {
    let (units, folder) = (Units::load()?, model(name).join("unet"));
    let config = UNetConfig::open(&folder.join("config.json")).map_err(text)?;
    let network = UNet2DConditionModel::load(config, &weights(&folder)?).map_err(text)?;
    let image_embeds = Some(units.get(&format!("{name}.embeds"))?.clone());
    let added = AddedConditions { image_embeds, ..AddedConditions::default() };
    let nothing = Tensor::zeros((2, 1, 1), DType::F32, &Device::Cpu).map_err(text)?;
    let conditioning = Conditioning { added: Some(&added), ..Conditioning::new(&nothing) };
    let sample = units.get(&format!("{name}.sample"))?;
    let mut worst = Deviation::default();
    for timestep in [1, 701] {
        let made = network.forward(sample, f64::from(timestep), conditioning).map_err(text)?;
        worst = worst.worst(units.against(&format!("{name}.unet_{timestep}"), &made)?);
    }
    let odd = sample.narrow(2, 0, 11).map_err(text)?;
    match network.forward(&odd, 1.0, conditioning) {
        Err(error) if error.to_string().contains("multiples") => Ok(worst),
        _ => Err("an odd size passes".into()),
    }
}
