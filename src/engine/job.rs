//! One diffusion job, planned: pass by pass encode and sample, then decode and composite.

use std::time::Instant;

use candle_core::Tensor;

use super::{
    EngineError, Generated, Monitor, Outcome, PassNumber, Recorded, Recording, Request,
    hand_on::handed_on,
    models::Model,
    pass::Pass,
    plan::Plan,
    preview::Previewer,
    residents::Residents,
    sampling::{Encoded, Inputs, noise_source, sample},
    tensors::pictures,
    watcher::{Steps, Watcher, recorded},
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
    for index in 0..passes.len() {
        monitor.pass(PassNumber { number: index + 1, of: passes.len() })?;
        let place = Place { passes, index, plan };
        let ran = place.run(residents, left.take(), noise.as_mut(), monitor);
        let ran = ran.map_err(|error| error.in_pass(index, passes.len()))?;
        notes.extend(ran.note);
        recording.latents.extend(ran.trace);
        left = Some(ran.latents);
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
    Ok(Outcome {
        seed,
        images,
        elapsed,
        request,
        notes,
        recording,
        foreseen_bytes,
        loaded: Vec::new(),
    })
}

/// One pass among those of its run.
struct Place<'a> {
    passes: &'a [Pass],
    index: usize,
    plan: &'a Plan,
}

/// What a pass leaves.
struct Ran {
    latents: Tensor,
    /// The latents after each step, where they are kept.
    trace: Vec<Recorded>,
    /// What a person should know about its start.
    note: Option<String>,
}

impl Place<'_> {
    /// Runs the pass on what the one before it left.
    fn run(
        &self,
        residents: &mut Residents,
        left: Option<Tensor>,
        noise: &mut dyn NoiseSource,
        monitor: &mut dyn Monitor,
    ) -> Result<Ran, EngineError> {
        let Self { passes, index, plan } = *self;
        let pass = &passes[index];
        let (inputs, note) = match left {
            None => (Inputs::planned(plan, residents.get(pass, monitor)?.device())?, None),
            Some(latents) => handed_on(residents, passes, index, plan, latents, monitor)?,
        };
        let model = residents.get(pass, monitor)?;
        let encoded = self.encoded(model, inputs, noise, monitor)?;
        let preview = pass.request.preview;
        model.prepare_preview(preview, monitor)?;
        let interval = pass.request.preview_interval;
        let previewer =
            model.preview(preview).map(|method| Previewer::new(method, interval, plan.size));
        let steps = Steps::of(passes, index);
        monitor.step(steps.before, steps.total)?;
        let keeps = pass.request.record.latents;
        let mut watcher = Watcher::new(monitor, &plan.composite, previewer, steps, keeps);
        let latents = sample(model, &pass.request, plan.size, &encoded, noise, &mut watcher)?;
        Ok(Ran { latents, trace: watcher.latents, note })
    }

    /// Everything that the pass needs beside the U-Net in place, and its inputs encoded.
    fn encoded(
        &self,
        model: &mut Model,
        inputs: Inputs,
        noise: &mut dyn NoiseSource,
        monitor: &mut dyn Monitor,
    ) -> Result<Encoded, EngineError> {
        let Pass { request, prior, .. } = &self.passes[self.index];
        model.use_loras(request, monitor)?;
        model.use_autoencoder(request.vae.as_deref(), monitor)?;
        model.load_controls(request, monitor)?;
        model.use_prior(prior.as_ref(), monitor)?;
        Encoded::new(model, request, self.plan.size, inputs, noise, monitor)
    }
}
