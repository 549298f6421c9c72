//! One diffusion job, planned: pass by pass encode and sample, then decode and composite.

use std::time::Instant;

use candle_core::Tensor;

use super::{
    EngineError, Generated, Monitor, Outcome, Recorded, Recording, Request,
    handover::{Next, handed_on},
    models::Model,
    pass::Pass,
    plan::Plan,
    preview::Previewer,
    residents::Residents,
    sampling::{Encoded, Inputs, noise_source, sample},
    tensors::pictures,
    watcher::{Watcher, recorded},
};
use crate::diffusion::{NoiseSource, decode};

/// Runs a request, as planned, with the models of its passes. `seed` is the request's, which is
/// known by now; one generator draws for all passes.
pub fn run(
    residents: &mut Residents,
    passes: &[Pass],
    request: &Request,
    plan: &Plan,
    seed: u64,
    foreseen_bytes: u64,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    let mut noise = noise_source(request.noise, seed);
    let (mut notes, mut recording) = (Vec::new(), Recording::default());
    let mut left: Option<Tensor> = None;
    for (index, pass) in passes.iter().enumerate() {
        let inputs = match left.take() {
            None => Inputs::planned(plan, residents.get(pass, monitor)?.device())?,
            Some(latents) => {
                let stage = &request.chain[index - 1];
                let next = Next { before: &passes[index - 1], pass, stage };
                let (inputs, note) = handed_on(residents, next, plan, latents, monitor)?;
                notes.extend(note);
                inputs
            }
        };
        let model = residents.get(pass, monitor)?;
        let (latents, trace) = run_pass(model, pass, plan, inputs, noise.as_mut(), monitor)?;
        recording.latents.extend(trace);
        left = Some(latents);
    }
    let (Some(latents), Some(last)) = (left, passes.last()) else {
        return Err(EngineError::failed("no pass was run"));
    };
    monitor.loading("Decoding the picture", None)?;
    let model = residents.get(last, monitor)?;
    model.rest_unet();
    let decoded = decode(model.decoder(), &latents)?;
    if request.record.decoded {
        recording.decoded = Some(recorded(&decoded)?);
    }
    let made = pictures(&decoded).map_err(EngineError::failed)?;
    let images: Vec<Generated> =
        made.into_iter().map(|picture| plan.composite.apply(picture)).collect();
    let elapsed = started.elapsed();
    let (request, foreseen_bytes) = (request.clone(), Some(foreseen_bytes));
    Ok(Outcome { seed, images, elapsed, request, notes, recording, foreseen_bytes })
}

/// The latents that one pass leaves, and those after each of its steps where they are kept.
fn run_pass(
    model: &mut Model,
    Pass { request: pass, prior, .. }: &Pass,
    plan: &Plan,
    inputs: Inputs,
    noise: &mut dyn NoiseSource,
    monitor: &mut dyn Monitor,
) -> Result<(Tensor, Vec<Recorded>), EngineError> {
    model.use_loras(pass, monitor)?;
    model.use_autoencoder(pass.vae.as_deref(), monitor)?;
    model.load_controls(pass, monitor)?;
    model.use_prior(prior.as_ref(), monitor)?;
    let encoded = Encoded::new(model, pass, plan.size, inputs, noise, monitor)?;
    model.prepare_preview(pass.preview, monitor)?;
    let preview = model.preview(pass.preview);
    let previewer = preview.map(|method| Previewer::new(method, pass.preview_interval, plan.size));
    monitor.step(0, pass.num_inference_steps)?;
    let mut watcher = Watcher::new(monitor, &plan.composite, previewer, pass.record.latents);
    let latents = sample(model, pass, plan.size, &encoded, noise, &mut watcher)?;
    Ok((latents, watcher.latents))
}
