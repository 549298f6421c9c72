//! Which timesteps a run goes through.

use super::{Error, Result, Sampling, Scheduler, latents::skipped_steps};

/// How often a run will evaluate the network. Lays out the schedule, so it takes a scheduler of its
/// own; `is_partial` says whether the strength counts, as it does wherever there is a picture.
///
/// # Errors
/// If a setting is out of its range, or no timestep is left to run.
pub fn evaluations(
    scheduler: &mut dyn Scheduler,
    sampling: &Sampling,
    is_partial: bool,
) -> Result<usize> {
    Ok(as_far_as(&laid_out(scheduler, sampling, is_partial)?, sampling).len())
}

/// Lays out the schedule; gives the timesteps from the one where this strength begins. The first is
/// what the picture is noised for, even where the run ends before it.
pub(super) fn laid_out(
    scheduler: &mut dyn Scheduler,
    sampling: &Sampling,
    is_partial: bool,
) -> Result<Vec<f64>> {
    sampling.check()?;
    let within = is_partial && sampling.steps_within_strength;
    if within {
        scheduler.set_timesteps_within(sampling.num_inference_steps, sampling.strength)?;
    } else {
        scheduler.set_timesteps(sampling.num_inference_steps)?;
    }
    let begin = if is_partial && !within { begin(scheduler, sampling)? } else { 0 };
    if is_partial {
        scheduler.set_begin_index(begin);
    }
    let timesteps = scheduler.timesteps().get(begin..).unwrap_or_default().to_vec();
    if timesteps.is_empty() {
        let text = "no timestep is left to run; raise the strength or the steps, or let this \
                    part of the run begin earlier";
        return Err(Error::Invalid(text.into()));
    }
    Ok(timesteps)
}

/// Those of `timesteps` that this part of the run goes through, which can be none at all.
pub(super) fn as_far_as<'a>(timesteps: &'a [f64], sampling: &Sampling) -> &'a [f64] {
    let ends = |last: f64| timesteps.iter().filter(|timestep| **timestep >= last).count();
    &timesteps[..sampling.down_to.map_or(timesteps.len(), ends)]
}

/// Where in the schedule the run begins.
fn begin(scheduler: &dyn Scheduler, sampling: &Sampling) -> Result<usize> {
    let order = scheduler.order();
    let Some(first) = sampling.below else {
        return Ok(skipped_steps(sampling.num_inference_steps, sampling.strength)? * order);
    };
    let timesteps = scheduler.timesteps();
    let mut count = timesteps.iter().filter(|timestep| **timestep < first).count();
    // Steps of two evaluations are not cut in two: all but the first timestep come twice.
    if order == 2 && count.is_multiple_of(2) {
        count += 1;
    }
    Ok(timesteps.len().saturating_sub(count))
}
