//! One diffusion job, planned: encode, sample, decode, composite.

use std::time::Instant;

use super::{
    EngineError, Generated, Monitor, Outcome, PreviewMethod, Recording, Request,
    models::Model,
    plan::Plan,
    preview::Previewer,
    sampling::{Encoded, sample},
    tensors::pictures,
    watcher::{Watcher, recorded},
};

/// Runs a request, as planned, with a model that is loaded. `seed` is the
/// request's, which is known by now.
pub fn run(
    model: &mut Model,
    request: &Request,
    plan: &Plan,
    seed: u64,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    model.use_loras(request, monitor)?;
    let encoded = Encoded::new(model, request, plan, monitor)?;
    let linear = match request.preview {
        PreviewMethod::Linear => Some(model.linear_preview(monitor)?),
        PreviewMethod::Off | PreviewMethod::Full => None,
    };
    let previewer = Previewer::new(request, plan.size, linear, model.decoder());
    monitor.step(0, request.num_inference_steps)?;
    let mut watcher = Watcher::new(monitor, &plan.composite, previewer, request.record.latents);
    let decoded = sample(model, request, seed, plan, &encoded, &mut watcher)?;
    let mut recording = Recording { decoded: None, latents: watcher.latents };
    if request.record.decoded {
        recording.decoded = Some(recorded(&decoded)?);
    }
    let made = pictures(&decoded).map_err(EngineError::failed)?;
    let images: Vec<Generated> =
        made.into_iter().map(|picture| plan.composite.apply(picture)).collect();
    let elapsed = started.elapsed();
    Ok(Outcome { seed, images, elapsed, request: request.clone(), recording })
}
