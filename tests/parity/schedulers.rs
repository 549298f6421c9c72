//! Whole loops of every scheduler, without a network: timesteps, tables, and the sample after each
//! step, for a made-up model that depends on its input and on the step.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use libtest_mimic::Trial;
use overpaint::diffusion::{
    Error, Scheduler, SchedulerConfig,
    noise::{NoiseSource, TorchNoise},
    schedulers::{PipelineKind, StepContext, build},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    compare::{Deviation, exact, measured, numbers},
    fixtures::{Tensors, read_json, unit},
};

/// Timesteps are whole numbers, or interpolated ones of the Karras schedules.
const TIMESTEP: f64 = 2e-3;

const SHAPE: [usize; 4] = [1, 4, 3, 4];

#[derive(Clone, Deserialize)]
struct Loop {
    scheduler: String,
    /// Beside what all have in common.
    config: BTreeMap<String, Value>,
    steps: usize,
    begin: usize,
    seed: u64,
    eta: f64,
    order: usize,
    init_noise_sigma: f64,
    timesteps: Vec<f64>,
}

/// The loops of one file of the fixtures.
struct Set {
    /// Before the number in a test's name.
    label: &'static str,
    tensors: &'static str,
    loops: Vec<Loop>,
}

#[derive(Deserialize)]
struct Solvers {
    schedulers: Vec<Loop>,
}

pub fn trials() -> Vec<Trial> {
    let solvers: Solvers = read_json("units/solvers.json");
    let sets = [
        Set { label: "", tensors: "units/schedulers.safetensors", loops: unit("schedulers") },
        Set { label: "s", tensors: "units/solvers.safetensors", loops: solvers.schedulers },
    ];
    let sensitive = sets[0].loops[0].clone();
    let mut trials: Vec<Trial> = sets.into_iter().flat_map(of_set).collect();
    trials.push(exact("schedulers::another-spacing-differs", move || {
        let offset = ("steps_offset".into(), json!(0));
        must_differ("units/schedulers.safetensors", 0, sensitive, offset)
    }));
    trials
}

fn of_set(set: Set) -> Vec<Trial> {
    let Set { label, tensors, loops } = set;
    let of_loop = |(index, row): (usize, Loop)| {
        let number = format!("{label}{index:03}");
        let name =
            format!("schedulers::{number}-{}-{}-from-{}", row.scheduler, row.steps, row.begin);
        measured(name, move || deviation(tensors, index, &row, scheduler(&row)?))
    };
    loops.into_iter().enumerate().map(of_loop).collect()
}

/// The scheduler of a row as `from_config` builds it: in place of another class, so that no
/// pipeline corrects its configuration.
fn scheduler(row: &Loop) -> Result<Box<dyn Scheduler>, String> {
    let values = Map::from_iter([("_class_name".to_owned(), json!("DDPMScheduler"))]);
    let config = SchedulerConfig { origin: "the fixture".into(), values };
    let mut options: BTreeMap<String, Value> = unit("scheduler_base");
    options.extend(row.config.clone());
    loop {
        match build(&config, Some(&row.scheduler), &options, PipelineKind::TextToImage) {
            // `from_config` passes over what a class does not know.
            Err(Error::UnknownOption { key, .. }) if options.remove(&key).is_some() => {}
            other => return other.map_err(|error| error.to_string()),
        }
    }
}

fn deviation(
    tensors: &str,
    index: usize,
    row: &Loop,
    mut scheduler: Box<dyn Scheduler>,
) -> Result<Deviation, String> {
    let expected = Tensors::load(tensors);
    let expected = expected.numbers(&format!("{index:03}"))?;
    let states = run(row, scheduler.as_mut()).map_err(|error| error.to_string())?;
    check_tables(row, scheduler.as_ref())?;
    let size = SHAPE.iter().product();
    // An early one, one in between, and the last, in which all before show.
    let mut stored = vec![0, states.len() / 2, states.len() - 1];
    stored.dedup();
    if stored.len() * size != expected.len() {
        return Err(format!("{} states instead of {}", expected.len() / size, stored.len()));
    }
    let mut worst = Deviation::default();
    for (state, expected) in stored.into_iter().map(|i| &states[i]).zip(expected.chunks_exact(size))
    {
        worst = worst.worst(Deviation::of(&numbers(state)?, expected)?);
    }
    Ok(worst)
}

fn check_tables(row: &Loop, scheduler: &dyn Scheduler) -> Result<(), String> {
    let same_order = scheduler.order() == row.order;
    let sigma = scheduler.init_noise_sigma();
    let same_sigma = (sigma / row.init_noise_sigma - 1.0).abs() < 1e-5;
    let timesteps = scheduler.timesteps();
    let same_timesteps = timesteps.len() == row.timesteps.len()
        && timesteps.iter().zip(&row.timesteps).all(|(a, b)| (a - b).abs() <= TIMESTEP);
    if same_order && same_sigma && same_timesteps {
        return Ok(());
    }
    Err(format!(
        "order {}, sigma {sigma}, timesteps {timesteps:?}\nreference: {}, {}, {:?}\nof {} {:?}",
        scheduler.order(),
        row.order,
        row.init_noise_sigma,
        row.timesteps,
        row.scheduler,
        row.config
    ))
}

/// The sample after each step.
fn run(row: &Loop, scheduler: &mut dyn Scheduler) -> Result<Vec<Tensor>, Error> {
    scheduler.set_timesteps(row.steps)?;
    let mut noise = TorchNoise::new(row.seed);
    let begin = row.begin * scheduler.order();
    scheduler.set_begin_index(begin);
    let timesteps = scheduler.timesteps()[begin..].to_vec();
    let drawn = draw(&mut noise)?;
    let mut sample = if row.begin > 0 {
        scheduler.add_noise(&draw(&mut noise)?, &drawn, timesteps[0])?
    } else {
        (drawn * scheduler.init_noise_sigma())?
    };
    let mut states = Vec::new();
    for (index, &timestep) in timesteps.iter().enumerate() {
        let scaled = scheduler.scale_model_input(&sample)?;
        let prediction = made_up_model(&scaled, index)?;
        let context = StepContext { eta: row.eta, noise: &mut noise };
        sample = scheduler.step(&prediction, timestep, &sample, context)?.prev_sample;
        states.push(sample.clone());
    }
    Ok(states)
}

fn draw(noise: &mut TorchNoise) -> candle_core::Result<Tensor> {
    noise.randn((&SHAPE).into(), &Device::Cpu, DType::F32)
}

fn made_up_model(scaled: &Tensor, index: usize) -> candle_core::Result<Tensor> {
    let wave = ((scaled * 2.0)? + 0.3 * index as f64)?.sin()?;
    (wave * 0.8)? + (scaled * 0.1)?
}

/// The comparison can fail.
fn must_differ(
    tensors: &str,
    index: usize,
    mut row: Loop,
    setting: (String, Value),
) -> Result<(), String> {
    row.config.extend([setting.clone()]);
    match deviation(tensors, index, &row, scheduler(&row)?) {
        Ok(deviation) if deviation.is_within() => Err(format!("another {} passes", setting.0)),
        _ => Ok(()),
    }
}
