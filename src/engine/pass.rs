//! The passes of a run, each with the model that runs it.

use super::{
    EmbeddingUse, EngineError, Request, Task, handover::Handover, memory::Arrangement,
    prompts::TextShape, sampling::evaluations,
};
use crate::{
    catalog::{self, EMBEDDINGS, ModelFolder, PriorFolder},
    networks::TextualInversion,
};

/// One pass.
pub struct Pass {
    /// With its strength filled in.
    pub request: Request,
    pub folder: ModelFolder,
    /// What stays in memory while it runs.
    pub arrangement: Arrangement,
    /// What the model reads the prompt through, where it does.
    pub prior: Option<PriorFolder>,
    /// How often it evaluates its network.
    pub evaluations: usize,
    /// How it gets what the pass before it left, once that is settled; nothing for the first.
    pub handover: Option<Handover>,
}

/// Every pass of a request, whose first model is known.
///
/// # Errors
/// When a later pass names no model that can be found, or one that does not diffuse.
pub fn passes(first: &ModelFolder, request: &Request) -> Result<Vec<Pass>, EngineError> {
    let requests = request.passes();
    let count = requests.len();
    let pass = |(index, request): (usize, Request)| {
        let folder = match index {
            0 => Ok(first.clone()),
            _ => diffusion_model(&request.model),
        };
        let pass = folder.and_then(|folder| Pass::new(request, folder, first));
        pass.map_err(|error| error.in_pass(index, count))
    };
    requests.into_iter().enumerate().map(pass).collect()
}

impl Pass {
    /// A pass whose first model is known.
    fn new(
        mut request: Request,
        folder: ModelFolder,
        first: &ModelFolder,
    ) -> Result<Self, EngineError> {
        if folder != *first {
            suit(&mut request, &folder);
        }
        request.strength.get_or_insert(default_strength(&request, &folder));
        let prior = match folder.image_embeds {
            Some(_) => Some(prior(&folder, &request)?),
            None => None,
        };
        let evaluations = evaluations(&folder, &request)?;
        let arrangement = Arrangement::default();
        Ok(Self { request, folder, arrangement, prior, evaluations, handover: None })
    }
}

/// Leaves out what was named for the first model and another one cannot read.
fn suit(request: &mut Request, folder: &ModelFolder) {
    request.embeddings.retain(|embedding| is_readable(embedding, folder));
    if folder.image_embeds.is_some() {
        (request.clip_skip, request.long_prompts) = (None, false);
    }
}

/// Whether a model of a chain can read an embedding that was named for the first one. A file that
/// cannot be opened is kept, to be refused with the reason.
fn is_readable(embedding: &EmbeddingUse, folder: &ModelFolder) -> bool {
    let Ok(path) = EMBEDDINGS.find(&embedding.path) else { return true };
    let opened = TextualInversion::open(&path, None);
    opened.map_or(true, |inversion| TextShape::of(folder).fits(&inversion))
}

/// In exact mode the pipeline's own, which those with ControlNets have for inpainting only.
fn default_strength(request: &Request, folder: &ModelFolder) -> f64 {
    let own = match request.task {
        Task::Fill => folder.conventions.fill_strength,
        Task::Transform if request.controlnets.is_empty() => folder.conventions.transform_strength,
        Task::Transform | Task::Generate => None,
    };
    own.filter(|_| request.exact).unwrap_or(request.strength())
}

/// Whether all steps run however low the strength, as in `LatentConsistencyModelImg2ImgPipeline`.
pub fn steps_within_strength(folder: &ModelFolder, request: &Request) -> bool {
    let is_plain = request.denoising_start.is_none() && request.controlnets.is_empty();
    folder.latent_consistency && request.task == Task::Transform && is_plain
}

fn prior(folder: &ModelFolder, request: &Request) -> Result<PriorFolder, EngineError> {
    catalog::prior_for(folder, request.prior.model.as_deref()).map_err(EngineError::invalid)
}

/// The model that a later pass names.
pub fn diffusion_model(name: &str) -> Result<ModelFolder, EngineError> {
    match catalog::find(name).map_err(EngineError::invalid)? {
        catalog::Model::Diffusion(folder) => Ok(folder),
        catalog::Model::Prior(prior) => Err(not_a_model(&prior)),
        catalog::Model::ContentAware => Err(not_in_a_chain()),
    }
}

/// The content-aware fill named in a chain.
pub fn not_in_a_chain() -> EngineError {
    EngineError::invalid(
        "content-aware cannot be a pass of a chain; name a diffusion model, or leave the chain out",
    )
}

/// A prior named where a model should be.
pub fn not_a_model(prior: &PriorFolder) -> EngineError {
    EngineError::invalid(format!(
        "{} is a prior of Kandinsky 2.2 and makes no pictures: name a decoder with --model, and this \
         with --prior",
        prior.name
    ))
}
