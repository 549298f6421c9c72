//! The schedulers that a person may choose, by the names that artists know.

use serde_json::{Value, json};

use crate::diffusion::schedulers::{
    ddim::Ddim, ddpm::Ddpm, deis_multistep::DeisMultistep,
    dpm_solver_multistep::DpmSolverMultistep, dpm_solver_sde::DpmSolverSde,
    dpm_solver_singlestep::DpmSolverSinglestep, euler::Euler, euler_ancestral::EulerAncestral,
    heun::Heun, kdpm2::Kdpm2, lcm::Lcm, lms::Lms, pndm::Pndm, tcd::Tcd,
    unipc_multistep::UniPcMultistep,
};

/// A scheduler as a person chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerInfo {
    /// What [`build`] takes and a request stores.
    pub id: &'static str,
    /// For a list.
    pub label: &'static str,
    /// One line on when to take it.
    pub about: &'static str,
    /// The class that it is one of, and what of its configuration the name implies.
    pub(super) class: &'static str,
    pub(super) options: &'static [(&'static str, Choice)],
}

/// A configuration value that an artist's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Yes,
    Word(&'static str),
}

impl Choice {
    pub(super) fn value(self) -> Value {
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
