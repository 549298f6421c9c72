//! The fill that needs no model: the hole is filled from the rest of the picture. No diffusion,
//! so prompt, steps and guidance mean nothing to it.

use std::{ops::ControlFlow, time::Instant};

use super::{
    EngineError, Generated, Monitor, Outcome, PreviewMethod, Recording, Request, Task,
    compositing::Through, fill::Input,
};
use crate::{
    geometry::Bounds,
    pixels::{
        Picture,
        content_fill::{FillError, FillOptions, FillProgress, content_fill},
    },
};

/// Progress is counted as this many steps, whatever the fill does inside.
const STEPS: usize = 20;

/// Fills the mask of a request. Several pictures differ by the seed of the search.
pub fn run(
    request: &Request,
    seed: u64,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, EngineError> {
    if request.task != Task::Fill {
        return Err(EngineError::invalid(
            "content-aware fills a mask from the picture around it; name a diffusion model to \
             make or change whole pictures",
        ));
    }
    let started = Instant::now();
    let input = Input::read(request)?;
    input.mask_box()?;
    let whole = input.picture.extent().bounds();
    let place =
        Place { original: &input.picture, bounds: whole, through: input.through(request, whole) };
    let mut steps = Steps { monitor, done: 0, images: request.num_images_per_prompt };
    steps.monitor.step(0, STEPS)?;
    let images = (0..request.num_images_per_prompt)
        .map(|index| one(request, &place, seed.wrapping_add(index as u64), index, &mut steps))
        .collect::<Result<_, _>>()?;
    let (elapsed, recording) = (started.elapsed(), Recording::default());
    let (request, notes) = (request.clone(), Vec::new());
    Ok(Outcome {
        seed,
        images,
        elapsed,
        request,
        notes,
        recording,
        foreseen_bytes: None,
        loaded: Vec::new(),
    })
}

/// What the fill's fraction means in steps.
struct Steps<'a> {
    monitor: &'a mut dyn Monitor,
    done: usize,
    images: usize,
}

impl Steps<'_> {
    /// The number of steps done when `fraction` of picture `index` is, if it is a new one.
    fn next(&mut self, index: usize, fraction: f32) -> Option<usize> {
        let whole = (index as f32 + fraction) / self.images as f32;
        let step = ((whole * STEPS as f32) as usize).min(STEPS);
        (step > self.done).then(|| {
            self.done = step;
            step
        })
    }
}

/// What is filled, and what the result is blended through.
struct Place<'a> {
    original: &'a Picture,
    bounds: Bounds,
    through: Through,
}

impl Place<'_> {
    fn blended(&self, raw: Picture) -> Generated {
        self.through.apply(self.original, self.bounds, raw)
    }
}

fn one(
    request: &Request,
    place: &Place<'_>,
    seed: u64,
    index: usize,
    steps: &mut Steps<'_>,
) -> Result<Generated, EngineError> {
    let mut observe = |progress: FillProgress<'_>| {
        let Some(step) = steps.next(index, progress.fraction) else {
            return if steps.monitor.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        };
        if request.preview != PreviewMethod::Off && step % request.preview_interval.max(1) == 0 {
            let made = place.blended(progress.picture.clone());
            steps.monitor.preview(step, made.bounds, made.picture);
        }
        match steps.monitor.step(step, STEPS) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let options = FillOptions { seed, ..FillOptions::default() };
    let hole = place.through.denoise_mask();
    let raw = content_fill(place.original, hole, &options, &mut observe);
    let raw = raw.map_err(|error| match error {
        FillError::Cancelled => EngineError::Cancelled,
        other => EngineError::invalid(other),
    })?;
    Ok(place.blended(raw))
}
