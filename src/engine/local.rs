//! The backend that runs on this machine: keeps models resident and runs jobs with them.

use super::{
    Backend, EngineError, Monitor, Outcome, Request, SelectRequest, Selected, Task, autoencoder,
    content_aware, conventions,
    handover::Handovers,
    job, memory,
    pass::{Pass, not_a_model, not_in_a_chain, passes},
    plan::{ModelFacts, plan},
    residents::Residents,
    select::Selector,
};
use crate::catalog;

/// What the inference thread runs in the program: diffusion with candle, or the content-aware fill.
pub fn diffusion_backend() -> Box<dyn Backend> {
    Box::new(LocalBackend::default())
}

#[derive(Default)]
struct LocalBackend {
    residents: Residents,
    handovers: Handovers,
    selector: Selector,
}

impl Backend for LocalBackend {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        let request = &request.clone().with_seed()?;
        let seed = request.seed.unwrap_or_default();
        let mut passes = match checked(request)? {
            Work::ContentAware => return content_aware::run(request, seed, monitor),
            Work::Diffusion(passes) => passes,
        };
        self.handovers.settle(&mut passes)?;
        // Planned first: a bad input should not cost the time to load a model.
        let plan = plan(request, ModelFacts::from(&passes[0].folder).suiting(&passes), monitor)?;
        let foreseen = memory::arrange(&mut passes, plan.size)?;
        if request.memory_budget.is_some() {
            memory::give_back_at_once();
        }
        let residents = &mut self.residents;
        residents.keep(&passes, foreseen, memory::room(request, residents.bytes()));
        let made = job::run(residents, &passes, request, &plan, seed, foreseen, monitor)?;
        Ok(Outcome { loaded: residents.loaded(), ..made })
    }

    fn select(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        self.selector.select(request, monitor)
    }
}

/// What a request asks for, checked.
enum Work {
    ContentAware,
    /// One pass or more.
    Diffusion(Vec<Pass>),
}

/// Checks all that can be checked of a request without reading weights, and finds its model.
///
/// # Errors
/// [`EngineError::Invalid`]: settings out of range, no such model, one that cannot be run, an
/// unknown scheduler or option of it.
pub fn preflight(request: &Request) -> Result<catalog::Model, EngineError> {
    Ok(match checked(request)? {
        Work::ContentAware => catalog::Model::ContentAware,
        Work::Diffusion(mut passes) => catalog::Model::Diffusion(passes.swap_remove(0).folder),
    })
}

fn checked(request: &Request) -> Result<Work, EngineError> {
    request.check()?;
    match catalog::find(&request.model).map_err(EngineError::invalid)? {
        catalog::Model::Diffusion(folder) => {
            let passes = passes(&folder, request)?;
            for (index, pass) in passes.iter().enumerate() {
                check_pass(pass).map_err(|error| error.in_pass(index, passes.len()))?;
            }
            Ok(Work::Diffusion(passes))
        }
        catalog::Model::ContentAware if !request.controlnets.is_empty() => {
            Err(EngineError::invalid(
                "content-aware fill takes no ControlNet: name a diffusion model with --model",
            ))
        }
        catalog::Model::ContentAware if !request.chain.is_empty() => Err(not_in_a_chain()),
        catalog::Model::ContentAware => Ok(Work::ContentAware),
        catalog::Model::Prior(prior) => Err(not_a_model(&prior)),
    }
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
    conventions::check(of_run)?;
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
    for lora in &pass.lora {
        catalog::LORAS.find(&lora.path).map_err(EngineError::invalid)?;
    }
    for embedding in &pass.embeddings {
        catalog::EMBEDDINGS.find(&embedding.path).map_err(EngineError::invalid)?;
    }
    autoencoder::Found::chosen(folder, pass.vae.as_deref())?;
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
