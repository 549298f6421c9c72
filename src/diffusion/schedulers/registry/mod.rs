//! Schedulers by name: what there is, what it may be called, and how it is made of a configuration.

mod list;
mod names;

use std::collections::BTreeMap;

use serde_json::Value;

use self::{
    list::Choice,
    names::{simplified, unknown},
};
pub use self::{
    list::{ALL, SchedulerInfo},
    names::find,
};
use super::{
    PipelineKind, Scheduler, SchedulerConfig, config::Reader, ddim::Ddim, ddpm::Ddpm,
    deis_multistep::DeisMultistep, dpm_solver_multistep::DpmSolverMultistep,
    dpm_solver_sde::DpmSolverSde, dpm_solver_singlestep::DpmSolverSinglestep, euler::Euler,
    euler_ancestral::EulerAncestral, heun::Heun, kdpm2::Kdpm2, lcm::Lcm, lms::Lms, pndm::Pndm,
    tcd::Tcd, unipc_multistep::UniPcMultistep,
};
use crate::diffusion::{Error, Result};

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
