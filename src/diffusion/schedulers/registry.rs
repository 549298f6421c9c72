//! Schedulers by name: the class's own, with or without "Scheduler", or what artists call it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    PipelineKind, Scheduler, SchedulerConfig, config::Reader, ddim::Ddim, ddpm::Ddpm,
    deis_multistep::DeisMultistep, dpm_solver_multistep::DpmSolverMultistep,
    dpm_solver_sde::DpmSolverSde, dpm_solver_singlestep::DpmSolverSinglestep, euler::Euler,
    euler_ancestral::EulerAncestral, heun::Heun, kdpm2::Kdpm2, lcm::Lcm, lms::Lms, pndm::Pndm,
    tcd::Tcd, unipc_multistep::UniPcMultistep,
};
use crate::diffusion::{Error, Result};

/// A scheduler as a person chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerInfo {
    /// What [`build`] takes and a request stores.
    pub id: &'static str,
    /// For a list.
    pub label: &'static str,
    /// One line on when to take it.
    pub about: &'static str,
    class: &'static str,
    options: &'static [(&'static str, Choice)],
}

/// A configuration value that an artist's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Yes,
    Word(&'static str),
}

impl Choice {
    fn value(self) -> Value {
        match self {
            Self::Yes => json!(true),
            Self::Word(word) => json!(word),
        }
    }
}

const TRAILING: (&str, Choice) = ("timestep_spacing", Choice::Word("trailing"));
const KARRAS: (&str, Choice) = ("use_karras_sigmas", Choice::Yes);
const PLUS_PLUS: (&str, Choice) = ("algorithm_type", Choice::Word("dpmsolver++"));
const SDE: (&str, Choice) = ("algorithm_type", Choice::Word("sde-dpmsolver++"));

const fn info(
    id: &'static str,
    label: &'static str,
    class: &'static str,
    options: &'static [(&'static str, Choice)],
    about: &'static str,
) -> SchedulerInfo {
    SchedulerInfo { id, label, about, class, options }
}

impl SchedulerInfo {
    /// Whether `eta` changes what it does.
    pub fn heeds_eta(&self) -> bool {
        [Ddim::CLASS, Tcd::CLASS].contains(&self.class)
    }
}

/// All there is, in the order of a list.
pub const ALL: &[SchedulerInfo] = &[
    info(
        "dpm++ 2m karras",
        "DPM++ 2M Karras",
        DpmSolverMultistep::CLASS,
        &[PLUS_PLUS, KARRAS],
        "Clean after 20 steps; the usual choice",
    ),
    info(
        "dpm++ 2m",
        "DPM++ 2M",
        DpmSolverMultistep::CLASS,
        &[PLUS_PLUS],
        "Clean after 20 to 25 steps",
    ),
    info(
        "dpm++ 2m sde karras",
        "DPM++ 2M SDE Karras",
        DpmSolverMultistep::CLASS,
        &[SDE, KARRAS],
        "Rich detail from noise at each step; 25 steps or more",
    ),
    info(
        "dpm++ 2m sde",
        "DPM++ 2M SDE",
        DpmSolverMultistep::CLASS,
        &[SDE],
        "Noise at each step; 25 steps or more",
    ),
    info(
        "dpm++ sde karras",
        "DPM++ SDE Karras",
        DpmSolverSinglestep::CLASS,
        &[SDE, KARRAS],
        "Noise at each step, every second step a correction; 20 steps or more",
    ),
    info(
        "dpm++ sde",
        "DPM++ SDE",
        DpmSolverSinglestep::CLASS,
        &[SDE],
        "Noise at each step; 20 steps or more",
    ),
    info(
        "dpm++ sde brownian karras",
        "DPM++ SDE Brownian Karras",
        DpmSolverSde::CLASS,
        &[KARRAS],
        "Noise along one path, so that more steps refine the same picture; each step costs two",
    ),
    info(
        "dpm++ sde brownian",
        "DPM++ SDE Brownian",
        DpmSolverSde::CLASS,
        &[],
        "Noise along one path, so that more steps refine the same picture; each step costs two",
    ),
    info(
        "dpm++ 2s karras",
        "DPM++ 2S Karras",
        DpmSolverSinglestep::CLASS,
        &[PLUS_PLUS, KARRAS],
        "Pairs of steps; an even number of them, 20 or more",
    ),
    info(
        "dpm++ 2s",
        "DPM++ 2S",
        DpmSolverSinglestep::CLASS,
        &[PLUS_PLUS],
        "Pairs of steps; an even number of them, 20 or more",
    ),
    info("euler", "Euler", Euler::CLASS, &[], "Plain and predictable; 25 steps"),
    info("euler karras", "Euler Karras", Euler::CLASS, &[KARRAS], "Euler, more steps at the end"),
    info(
        "euler trailing",
        "Euler trailing",
        Euler::CLASS,
        &[TRAILING],
        "Only for Lightning and Turbo models: 1 to 8 steps, no guidance",
    ),
    info(
        "euler a",
        "Euler ancestral",
        EulerAncestral::CLASS,
        &[],
        "Lively; more steps keep changing the picture",
    ),
    info("unipc", "UniPC", UniPcMultistep::CLASS, &[], "Good with few steps: 10 to 15"),
    info(
        "unipc karras",
        "UniPC Karras",
        UniPcMultistep::CLASS,
        &[KARRAS],
        "UniPC, more steps at the end",
    ),
    info("heun", "Heun", Heun::CLASS, &[], "Exact; each step costs two"),
    info("heun karras", "Heun Karras", Heun::CLASS, &[KARRAS], "Heun, more steps at the end"),
    info("dpm2", "DPM2", Kdpm2::CLASS, &[], "Exact; each step costs two"),
    info("dpm2 karras", "DPM2 Karras", Kdpm2::CLASS, &[KARRAS], "DPM2, more steps at the end"),
    info("dpm2 a", "DPM2 ancestral", Kdpm2::ANCESTRAL, &[], "Lively; each step costs two"),
    info(
        "dpm2 a karras",
        "DPM2 ancestral Karras",
        Kdpm2::ANCESTRAL,
        &[KARRAS],
        "DPM2 ancestral, more steps at the end",
    ),
    info("lms", "LMS", Lms::CLASS, &[], "Looks back on four steps; 30 steps or more"),
    info("lms karras", "LMS Karras", Lms::CLASS, &[KARRAS], "LMS, more steps at the end"),
    info("deis", "DEIS", DeisMultistep::CLASS, &[], "Good with few steps: 10 to 15"),
    info(
        "deis karras",
        "DEIS Karras",
        DeisMultistep::CLASS,
        &[KARRAS],
        "DEIS, more steps at the end",
    ),
    info("ddim", "DDIM", Ddim::CLASS, &[], "The classic; 50 steps, noise by eta"),
    info(
        "ddim trailing",
        "DDIM trailing",
        Ddim::CLASS,
        &[TRAILING],
        "Only for Hyper models: 2 to 8 steps, no guidance",
    ),
    info(
        "plms",
        "PLMS",
        Pndm::CLASS,
        &[("skip_prk_steps", Choice::Yes)],
        "What Stable Diffusion 1 shipped with; 50 steps",
    ),
    info(
        "pndm",
        "PNDM",
        Pndm::CLASS,
        &[],
        "PLMS; warmed up with Runge-Kutta steps where the model asks for it",
    ),
    info("ddpm", "DDPM", Ddpm::CLASS, &[], "As models are trained; 100 steps or more"),
    info("lcm", "LCM", Lcm::CLASS, &[], "Only for LCM models: 4 to 8 steps, guidance 1 to 2"),
    info(
        "tcd",
        "TCD",
        Tcd::CLASS,
        &[],
        "Only for TCD and Hyper models: 1 to 8 steps, no guidance; eta adds detail",
    ),
];

/// Names that the field knows, but this program does not have.
const NOT_YET: &[&str] = &[
    "dpm++2sa",
    "edmeuler",
    "edmdpmsolvermultistep",
    "ipndm",
    "sasolver",
    "flowmatcheulerdiscrete",
    "flowmatchheundiscrete",
    "consistencymodels",
    "ddiminverse",
    "restart",
];

/// Names that mean the same, simplified as [`simplified`] does.
const ALIASES: &[(&str, &str)] = &[
    ("dpmpp2m", "dpm++ 2m"),
    ("dpmpp2mkarras", "dpm++ 2m karras"),
    ("dpmpp2msde", "dpm++ 2m sde"),
    ("dpmpp2msdekarras", "dpm++ 2m sde karras"),
    ("dpm++", "dpm++ 2m"),
    ("dpmppsde", "dpm++ sde"),
    ("dpmppsdekarras", "dpm++ sde karras"),
    ("dpmpp2s", "dpm++ 2s"),
    ("deismultistep", "deis"),
    ("eulerancestral", "euler a"),
    ("kdpm2", "dpm2"),
    ("kdpm2ancestral", "dpm2 a"),
    ("dpm2ancestral", "dpm2 a"),
    ("dpm2ancestralkarras", "dpm2 a karras"),
];

/// The scheduler that a name means, if there is one.
pub fn find(name: &str) -> Option<&'static SchedulerInfo> {
    let name = simplified(name);
    let by_id = |id: &str| ALL.iter().find(|info| simplified(info.id) == id);
    let by_class =
        || ALL.iter().filter(|info| simplified(info.class) == name).min_by_key(|i| i.options.len());
    let by_alias = || {
        let (_, id) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
        by_id(&simplified(id))
    };
    by_id(&name).or_else(by_class).or_else(by_alias)
}

/// Whether steps of a class are handed the generator in the reference; others fail when they are.
pub fn step_takes_generator(class: &str) -> bool {
    [
        Ddim::CLASS,
        Ddpm::CLASS,
        DpmSolverMultistep::CLASS,
        DpmSolverSinglestep::CLASS,
        Euler::CLASS,
        EulerAncestral::CLASS,
        Kdpm2::ANCESTRAL,
        Lcm::CLASS,
        Tcd::CLASS,
    ]
    .contains(&class)
}

/// Lower case, without spaces, `_`, `-` and the word "scheduler".
fn simplified(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    kept.strip_suffix("scheduler").unwrap_or(&kept).to_owned()
}

/// The scheduler for a run.
///
/// `name` is a class or an artist's name, or `None` for the class that `config` names. `options`
/// replace single keys of the configuration, whatever the name stands for.
///
/// # Errors
/// An unknown name, a value that the class does not support, an option that it does not know.
pub fn build(
    config: &SchedulerConfig,
    name: Option<&str>,
    options: &BTreeMap<String, Value>,
    pipeline: PipelineKind,
) -> Result<Box<dyn Scheduler>> {
    let (class, implied) = choose(config, name)?;
    let mut config = config.corrected(pipeline, name.is_some() || !options.is_empty());
    for (key, choice) in implied {
        config.values.insert((*key).into(), choice.value());
    }
    let config = config.overridden(options);
    let mut reader = Reader::new(&config);
    let scheduler = construct(class, &mut reader)?;
    match options.keys().find(|key| !reader.known().contains(&key.as_str())) {
        Some(key) => Err(Error::UnknownOption {
            key: key.clone(),
            scheduler: class.into(),
            known: reader.known().join(", "),
        }),
        None => Ok(scheduler),
    }
}

/// The class that `config` names, with its values as they stand.
#[cfg(test)]
pub(super) fn uncorrected(config: &SchedulerConfig) -> Result<Box<dyn Scheduler>> {
    let (class, _) = choose(config, None)?;
    construct(class, &mut Reader::new(config))
}

type Chosen = (&'static str, &'static [(&'static str, Choice)]);

fn choose(config: &SchedulerConfig, name: Option<&str>) -> Result<Chosen> {
    let Some(name) = name.or(config.class_name()) else {
        let reason = "it names no `_class_name`; name a scheduler".into();
        return Err(Error::ConfigFile { origin: config.origin.clone(), reason });
    };
    let info = find(name).ok_or_else(|| unknown(name))?;
    // A class's name implies nothing, even where an artist's name shares the class.
    let is_class = simplified(info.class) == simplified(name);
    Ok((info.class, if is_class { &[] } else { info.options }))
}

fn unknown(name: &str) -> Error {
    let known = ALL.iter().map(|info| info.id).collect::<Vec<_>>().join(", ");
    if NOT_YET.contains(&simplified(name).as_str()) {
        return Error::SchedulerNotYet { name: name.into(), known };
    }
    Error::UnknownScheduler { name: name.into(), known }
}

fn construct(class: &str, reader: &mut Reader<'_>) -> Result<Box<dyn Scheduler>> {
    Ok(match class {
        Ddim::CLASS => Box::new(Ddim::new(reader)?),
        Pndm::CLASS => Box::new(Pndm::new(reader)?),
        Euler::CLASS => Box::new(Euler::new(reader)?),
        EulerAncestral::CLASS => Box::new(EulerAncestral::new(reader)?),
        DpmSolverMultistep::CLASS => Box::new(DpmSolverMultistep::new(reader)?),
        UniPcMultistep::CLASS => Box::new(UniPcMultistep::new(reader)?),
        Heun::CLASS => Box::new(Heun::new(reader)?),
        Lcm::CLASS => Box::new(Lcm::new(reader)?),
        Kdpm2::CLASS => Box::new(Kdpm2::new(reader)?),
        Kdpm2::ANCESTRAL => Box::new(Kdpm2::ancestral(reader)?),
        Lms::CLASS => Box::new(Lms::new(reader)?),
        Ddpm::CLASS => Box::new(Ddpm::new(reader)?),
        DpmSolverSinglestep::CLASS => Box::new(DpmSolverSinglestep::new(reader)?),
        DeisMultistep::CLASS => Box::new(DeisMultistep::new(reader)?),
        DpmSolverSde::CLASS => Box::new(DpmSolverSde::new(reader)?),
        Tcd::CLASS => Box::new(Tcd::new(reader)?),
        other => return Err(unknown(other)),
    })
}
