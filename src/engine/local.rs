//! The backend that runs on this machine: keeps one model resident and runs jobs with it.

use super::{
    Backend, EngineError, Monitor, Outcome, Request, SelectRequest, Selected, Task, autoencoder,
    content_aware, job, kandinsky, memory,
    models::scheduler,
    pass::{Pass, diffusion_model, not_a_model, passes, steps_within_strength},
    plan::{ModelFacts, plan},
    residents::Residents,
    select::Selector,
};
use crate::{catalog, diffusion::latents::skipped_steps};

/// What the inference thread runs in the program: diffusion with candle, or the content-aware fill.
pub fn diffusion_backend() -> Box<dyn Backend> {
    Box::new(LocalBackend::default())
}

#[derive(Default)]
struct LocalBackend {
    residents: Residents,
    selector: Selector,
}

impl Backend for LocalBackend {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        let model = preflight(request)?;
        let request = &request.clone().with_seed()?;
        let seed = request.seed.unwrap_or_default();
        match model {
            catalog::Model::ContentAware => content_aware::run(request, seed, monitor),
            catalog::Model::Prior(prior) => Err(not_a_model(&prior)),
            catalog::Model::Diffusion(folder) => {
                // Planned first: a bad input should not cost the time to load a model.
                let plan = plan(request, ModelFacts::from(&folder), monitor)?;
                let mut passes = passes(&folder, request)?;
                let foreseen = memory::arrange(&mut passes, plan.size)?;
                if request.memory_budget.is_some() {
                    memory::give_back_at_once();
                }
                self.residents.keep(&passes);
                job::run(&mut self.residents, &passes, request, &plan, seed, foreseen, monitor)
            }
        }
    }

    fn select(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        self.selector.select(request, monitor)
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
    match &model {
        catalog::Model::Diffusion(folder) => {
            for pass in passes(folder, request)? {
                check_pass(&pass)?;
            }
        }
        catalog::Model::ContentAware if !request.controlnets.is_empty() => {
            return Err(EngineError::invalid(
                "content-aware fill takes no ControlNet: name a diffusion model with --model",
            ));
        }
        catalog::Model::ContentAware if !request.chain.is_empty() => {
            diffusion_model(&request.model)?;
        }
        catalog::Model::ContentAware => {}
        catalog::Model::Prior(prior) => return Err(not_a_model(prior)),
    }
    Ok(model)
}

/// Whether a model can do what one pass asks for.
fn check_pass(of_run: &Pass) -> Result<(), EngineError> {
    let Pass { request: pass, folder, .. } = of_run;
    let refuse = |what: &str| Err(EngineError::invalid(format!("{} {what}", folder.name)));
    if folder.is_inpainting() && pass.task != Task::Fill {
        return refuse(
            "was made for inpainting and needs a mask: use fill, or name a general model",
        );
    }
    if folder.wants_aesthetic_scores && pass.task == Task::Generate {
        return refuse(
            "refines pictures and makes no new ones: name it with --refiner, or use transform",
        );
    }
    if folder.image_embeds.is_some() {
        kandinsky::check(of_run)?;
    }
    // The pipelines of the reference that have it.
    let rescales = match (folder.takes_sizes, pass.controlnets.is_empty()) {
        (true, true) => true,
        (false, true) => pass.task == Task::Generate,
        (true, false) => pass.task == Task::Fill,
        (false, false) => false,
    };
    if pass.exact && pass.guidance_rescale > 0.0 && !rescales {
        return Err(EngineError::invalid(
            "the reference has no guidance rescale for this; leave it out, or leave out --exact",
        ));
    }
    for control in &pass.controlnets {
        catalog::find_controlnet(&control.model).map_err(EngineError::invalid)?;
    }
    let mut scheduler = scheduler(folder, pass)?;
    for lora in &pass.lora {
        catalog::LORAS.find(&lora.path).map_err(EngineError::invalid)?;
    }
    for embedding in &pass.embeddings {
        catalog::EMBEDDINGS.find(&embedding.path).map_err(EngineError::invalid)?;
    }
    autoencoder::Found::chosen(folder, pass.vae.as_deref())?;
    if steps_within_strength(folder, pass) {
        scheduler.set_timesteps_within(pass.num_inference_steps, pass.strength())?;
    } else if pass.task != Task::Generate && pass.denoising_start.is_none() {
        skipped_steps(pass.num_inference_steps, pass.strength())?;
    }
    Ok(())
}

impl Request {
    /// The same with a seed: the one it has, or one that is drawn.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn with_seed(mut self) -> Result<Self, EngineError> {
        if self.seed.is_none() {
            // 32 bits: short enough to read out and to type again.
            self.seed = Some(getrandom::u32().map(u64::from).map_err(EngineError::failed)?);
        }
        Ok(self)
    }
}
