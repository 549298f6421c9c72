//! What a scheduler may be called: the class's own name, with or without "Scheduler", or what
//! artists call it.

use super::list::{ALL, SchedulerInfo};
use crate::diffusion::Error;

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

/// Lower case, without spaces, `_`, `-` and the word "scheduler".
pub(super) fn simplified(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    kept.strip_suffix("scheduler").unwrap_or(&kept).to_owned()
}

/// Why a name means nothing here.
pub(super) fn unknown(name: &str) -> Error {
    let known = ALL.iter().map(|info| info.id).collect::<Vec<_>>().join(", ");
    if NOT_YET.contains(&simplified(name).as_str()) {
        return Error::SchedulerNotYet { name: name.into(), known };
    }
    Error::UnknownScheduler { name: name.into(), known }
}
