//! The backend that runs on this machine: keeps one model resident and runs jobs with it.

use std::path::PathBuf;

use candle_core::DType;

use super::{
    Backend, Device, EngineError, Monitor, Outcome, Request, Task, content_aware, device, job,
    models::{Model, scheduler},
    plan::{ModelFacts, plan},
};
use crate::{
    catalog::{self, ModelFolder},
    diffusion::latents::skipped_steps,
};

/// What the inference thread runs in the program: diffusion with candle, or the content-aware fill.
pub fn diffusion_backend() -> Box<dyn Backend> {
    Box::new(LocalBackend::default())
}

#[derive(Default)]
struct LocalBackend {
    /// The model used last stays loaded.
    resident: Option<(Key, Model)>,
}

/// A loaded model serves requests that agree in these.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    path: PathBuf,
    device: Device,
    dtype: DType,
}

impl Backend for LocalBackend {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        let model = preflight(request)?;
        let seed = match request.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let request = &Request { seed: Some(seed), ..request.clone() };
        match model {
            catalog::Model::ContentAware => content_aware::run(request, seed, monitor),
            catalog::Model::Diffusion(folder) => {
                // Planned first: a bad input should not cost the time to load a model.
                let plan = plan(request, ModelFacts::from(&folder), monitor)?;
                let model = self.resident(&folder, request, monitor)?;
                job::run(model, request, &plan, seed, monitor)
            }
        }
    }
}

impl LocalBackend {
    /// The model, loaded if another one was or none.
    fn resident(
        &mut self,
        folder: &ModelFolder,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<&mut Model, EngineError> {
        let device = device::open(request.device)?;
        let dtype = device::dtype(request.dtype, &device);
        let key = Key { path: folder.path.clone(), device: request.device, dtype };
        if self.resident.as_ref().is_none_or(|(resident, _)| *resident != key) {
            // Dropped first: two models need not fit into memory.
            self.resident = None;
            let model = Model::load(folder, device, dtype, monitor)?;
            self.resident = Some((key, model));
        }
        match &mut self.resident {
            Some((_, model)) => Ok(model),
            None => Err(EngineError::failed("the model was not kept")),
        }
    }
}

/// Checks all that can be checked of a request without reading weights, and finds its model.
///
/// # Errors
/// [`EngineError::Invalid`]: settings out of range, no such model, one that cannot be run, an
/// unknown scheduler or option of it.
pub fn preflight(request: &Request) -> Result<catalog::Model, EngineError> {
    request.check()?;
    let model = catalog::find(&request.model).map_err(EngineError::invalid)?;
    if let catalog::Model::Diffusion(folder) = &model {
        if folder.is_inpainting() && request.task != Task::Fill {
            return Err(EngineError::invalid(format!(
                "{} was made for inpainting and needs a mask: use fill, or name a general model",
                folder.name
            )));
        }
        scheduler(folder, request)?;
        for lora in &request.lora {
            catalog::loras::find(&lora.path).map_err(EngineError::invalid)?;
        }
        if request.task != Task::Generate {
            skipped_steps(request.num_inference_steps, request.strength())?;
        }
    }
    Ok(model)
}

fn random_seed() -> Result<u64, EngineError> {
    // 32 bits: short enough to read out and to type again.
    getrandom::u32().map(u64::from).map_err(EngineError::failed)
}
