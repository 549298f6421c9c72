//! What a folder or file is: which pipeline, which family, how many channels. Reads the small
//! configuration files only, never weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    CatalogError, FewSteps, SingleFile, controlnets::inspect_controlnet, hub_cache, places,
    recommended_by_name, stored,
};

/// The lines of models that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The width of its prompts is 768, as in Stable Diffusion 1.
    StableDiffusion1,
    /// Stable Diffusion 2's width, 1024.
    StableDiffusion2,
    /// Takes the pooled text and the picture's sizes besides the prompt.
    StableDiffusionXl,
    /// The same with aesthetic scores: makes nothing new, but finishes what another began.
    StableDiffusionXlRefiner,
    /// A decoder of Kandinsky 2.2: is told the embedding of a picture, which a prior makes from the
    /// prompt.
    Kandinsky22,
    /// The same architecture in another size, such as the starter model.
    Custom,
}

/// A model in `diffusers` layout that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFolder {
    pub path: PathBuf,
    /// The single file that the folder describes, where it does.
    pub file: Option<PathBuf>,
    /// Whether it comes without an autoencoder, so that one must be named.
    pub lacks_autoencoder: bool,
    /// For a person.
    pub name: String,
    pub family: Family,
    /// 4 for plain models, 9 for those made for inpainting.
    pub in_channels: usize,
    /// The part that makes latents of pictures: `vae` or `movq`.
    pub autoencoder_part: &'static str,
    /// Width of the pictures' embeddings that it is told in place of a prompt, where it is
    /// ([`Family::Kandinsky22`]).
    pub image_embeds: Option<usize>,
    /// The side, in pixels, that the model paints best at.
    pub native_size: u32,
    /// The side, in pixels, that the reference samples at when no size is named.
    pub reference_size: u32,
    /// Pixels a side that one latent stands for: 8 for the usual autoencoder.
    pub latent_pixels: u32,
    /// What sampled sides must be multiples of, in pixels.
    pub side_unit: u32,
    /// Whether the network is told about sizes ([`Family::StableDiffusionXl`] and its refiner).
    pub takes_sizes: bool,
    /// Whether it is told aesthetic scores instead of a target size.
    pub wants_aesthetic_scores: bool,
    /// Whether zeros stand for the negative prompt where none is given.
    pub zero_negative: bool,
    /// What the network predicts: `epsilon`, `v_prediction` or `sample`.
    pub prediction_type: String,
    /// Whether its own pipelines are those of latent consistency models.
    pub latent_consistency: bool,
    /// How it was distilled, where it was.
    pub few_steps: Option<FewSteps>,
    pub recommended: Recommended,
}

/// Settings that a model asks for in its `overpaint.json`, or that follow from how it was
/// distilled; absent ones are the program's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Recommended {
    pub steps: Option<usize>,
    pub guidance_scale: Option<f64>,
    /// The sampling side in pixels.
    pub size: Option<u32>,
    /// Noise of each step, for schedulers that heed it.
    pub eta: Option<f64>,
    /// In place of the model's own, which for a single file is only a guess.
    #[serde(skip)]
    pub scheduler: Option<&'static str>,
}

impl Recommended {
    /// These, and where they are silent, `others`.
    fn or(self, others: Self) -> Self {
        Self {
            steps: self.steps.or(others.steps),
            guidance_scale: self.guidance_scale.or(others.guidance_scale),
            size: self.size.or(others.size),
            eta: self.eta.or(others.eta),
            scheduler: self.scheduler.or(others.scheduler),
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Card {
    name: Option<String>,
    /// Where the shapes do not say: a description of a single file knows it by its names.
    family: Option<Family>,
    lacks_autoencoder: bool,
    recommended: Recommended,
}

const NAME_A_FOLDER: &str =
    "name a folder of Stable Diffusion 1, 2 or XL or of Kandinsky 2.2 in diffusers layout";

/// What Kandinsky's pipelines sample at when no size is named, whatever the model says.
const KANDINSKY_SIZE: u32 = 512;
/// What its decoders do well with: their scheduler takes small steps.
const KANDINSKY_RECOMMENDED: Recommended = Recommended {
    steps: Some(50),
    guidance_scale: Some(4.0),
    size: None,
    eta: None,
    scheduler: None,
};

/// Class names of pipelines that are known but cannot be run, and what they are.
const NOT_YET: &[(&str, &str)] = &[
    ("StableDiffusion3", "a Stable Diffusion 3 model"),
    ("Flux", "a FLUX model"),
    ("Kandinsky", "a Kandinsky model other than 2.2"),
    ("ControlNet", "a ControlNet pipeline"),
    ("PixArt", "a PixArt model"),
    ("Wuerstchen", "a Wuerstchen model"),
    ("StableCascade", "a Stable Cascade model"),
    ("InstructPix2Pix", "an InstructPix2Pix model"),
    ("Depth2Img", "a depth-to-image model"),
    ("Upscale", "an upscaling model"),
];

/// Looks into a model's folder. The folder of a hub cache's repository stands for its snapshot.
///
/// # Errors
/// When it is not a model, or one that cannot be run; the text names what it is.
pub fn inspect(path: &Path) -> Result<ModelFolder, CatalogError> {
    if path.is_file() {
        let file = Some(path.to_path_buf());
        let single = SingleFile::open(path)?;
        let folder = inspect(&single.model_folder()?)?;
        let by_name = recommended_by_name(&single.name()).unwrap_or_default();
        let recommended = folder.recommended.or(by_name);
        return Ok(ModelFolder { file, recommended, ..folder });
    }
    if !places::is_model(path) {
        if let Some(snapshot) = hub_cache::snapshot(path) {
            return inspect(&snapshot);
        }
        return Err(refuse_folder(path));
    }
    let index = read_object(&path.join("model_index.json"))?;
    refuse_pipeline(path, &index)?;
    let unet = read_object(&path.join("unet/config.json"))?;
    let decoder = read_object(&path.join(autoencoder_part(&unet)).join("config.json"))?;
    describe(path, &index, &unet, &decoder)
}

impl Family {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::StableDiffusion1 => "Stable Diffusion 1",
            Self::StableDiffusion2 => "Stable Diffusion 2",
            Self::StableDiffusionXl => "Stable Diffusion XL",
            Self::StableDiffusionXlRefiner => "Stable Diffusion XL refiner",
            Self::Kandinsky22 => "Kandinsky 2.2",
            Self::Custom => "a small latent diffusion model",
        }
    }
}

impl ModelFolder {
    /// One line: what it is, and what it is for.
    pub fn about(&self) -> String {
        let family = self.family.name();
        let purpose = match self.family {
            Family::StableDiffusionXlRefiner => "finishes pictures",
            _ if self.is_inpainting() => "made for inpainting",
            _ => "general",
        };
        let for_few = self.few_steps.is_some() || self.recommended.scheduler.is_some();
        let steps = match self.recommended.steps {
            Some(steps) if for_few => format!(", for {steps} steps or so"),
            _ => String::new(),
        };
        format!("{family}, {purpose}, {} px{steps}", self.native_size)
    }

    /// The commands that it serves, and `refine` where that is what it was made for.
    pub fn abilities(&self) -> Vec<&'static str> {
        match self.family {
            _ if self.is_inpainting() => vec!["fill"],
            Family::StableDiffusionXlRefiner => vec!["fill", "transform", "refine"],
            _ => vec!["fill", "generate", "transform"],
        }
    }

    /// The number format that the U-Net's weights are stored in, such as `f16`, where it can be
    /// told.
    pub fn dtype(&self) -> Option<String> {
        match &self.file {
            Some(file) => SingleFile::open(file).ok()?.dtype(),
            None => stored::dtype(&self.path.join("unet")),
        }
    }

    /// # Errors
    /// When it comes without its autoencoder; the text says what to do.
    pub fn autoencoder(&self) -> Result<(), CatalogError> {
        let path = self.file.clone().filter(|_| self.lacks_autoencoder);
        let Some(path) = path else { return Ok(()) };
        let place = path.with_extension("").join("vae");
        let reason = format!(
            "this checkpoint comes without its autoencoder (VAE); name one with --vae, or put one \
             in diffusers layout (config.json and its safetensors) at {}",
            place.display()
        );
        Err(CatalogError::Broken { path, reason })
    }

    /// Whether it takes the mask as an input and so needs one.
    pub fn is_inpainting(&self) -> bool {
        self.in_channels == 9
    }
}

/// What a network says that is told embeddings of pictures.
const IMAGE: &str = "image";

/// The part that makes the latents that this network works on.
fn autoencoder_part(unet: &Map<String, Value>) -> &'static str {
    match unet.get("addition_embed_type").and_then(Value::as_str) {
        Some(IMAGE) => "movq",
        _ => "vae",
    }
}

fn describe(
    path: &Path,
    index: &Map<String, Value>,
    unet: &Map<String, Value>,
    vae: &Map<String, Value>,
) -> Result<ModelFolder, CatalogError> {
    let unet_file = path.join("unet/config.json");
    let addition = unet.get("addition_embed_type").and_then(Value::as_str);
    if let Some(kind) = addition.filter(|kind| !matches!(*kind, "text_time" | IMAGE)) {
        let (path, what) = (path.to_path_buf(), format!("a model with `{kind}` conditions"));
        return Err(CatalogError::NotYet { path, what, instead: NAME_A_FOLDER });
    }
    let takes_sizes = addition == Some("text_time");
    if is_kandinsky(index) != (addition == Some(IMAGE)) {
        let reason = "this names a pipeline of Kandinsky 2.2 and the unet folder holds another's \
                      network, or the other way round: fetch the model again";
        return Err(broken(&path.join("model_index.json"), reason));
    }
    let image_embeds = match addition {
        Some(IMAGE) => Some(whole(&unet_file, unet, "encoder_hid_dim", 0)?),
        _ => None,
    };
    let said =
        |key: &str, default: bool| index.get(key).and_then(Value::as_bool).unwrap_or(default);
    let wants_aesthetic_scores = takes_sizes && said("requires_aesthetics_score", false);
    let in_channels = whole(&unet_file, unet, "in_channels", 4)?;
    if !matches!(in_channels, 4 | 9) {
        let (path, what) =
            (path.to_path_buf(), format!("a model with {in_channels} input channels"));
        return Err(CatalogError::NotYet { path, what, instead: NAME_A_FOLDER });
    }
    let card = read_card(path)?;
    let family = match whole(&unet_file, unet, "cross_attention_dim", 1280)? {
        _ if card.family.is_some() => card.family.unwrap_or(Family::Custom),
        _ if image_embeds.is_some() => Family::Kandinsky22,
        _ if wants_aesthetic_scores => Family::StableDiffusionXlRefiner,
        _ if takes_sizes => Family::StableDiffusionXl,
        768 => Family::StableDiffusion1,
        1024 => Family::StableDiffusion2,
        _ => Family::Custom,
    };
    let levels = |config: &Map<String, Value>| {
        let blocks = config.get("block_out_channels").and_then(Value::as_array);
        blocks.map_or(4, Vec::len).clamp(1, 8) - 1
    };
    let latent_size = sample_size(&unet_file, unet)?;
    let latent_pixels = 1 << levels(vae);
    let own_size = latent_size as u32 * latent_pixels;
    let scheduler = scheduler(path);
    let few_steps = FewSteps::of(unet, &scheduler);
    let of_kind = match image_embeds {
        Some(_) => KANDINSKY_RECOMMENDED,
        None => few_steps.map(FewSteps::recommended).unwrap_or_default(),
    };
    let recommended = card.recommended.or(of_kind);
    Ok(ModelFolder {
        path: path.to_path_buf(),
        file: None,
        lacks_autoencoder: card.lacks_autoencoder,
        name: card.name.unwrap_or_else(|| folder_name(path)),
        family,
        in_channels,
        autoencoder_part: autoencoder_part(unet),
        image_embeds,
        native_size: recommended.size.unwrap_or(own_size),
        reference_size: if image_embeds.is_some() { KANDINSKY_SIZE } else { own_size },
        latent_pixels,
        // Its network halves latents and doubles them again, and cannot with odd ones.
        side_unit: latent_pixels << image_embeds.map_or(0, |_| levels(unet)),
        takes_sizes,
        wants_aesthetic_scores,
        zero_negative: takes_sizes && said("force_zeros_for_empty_prompt", true),
        prediction_type: prediction_type(path, &scheduler)?,
        latent_consistency: class(index).starts_with("LatentConsistencyModel"),
        few_steps,
        recommended,
    })
}

/// The pipeline that a model was published for.
fn class(index: &Map<String, Value>) -> &str {
    index.get("_class_name").and_then(Value::as_str).unwrap_or_default()
}

/// The scheduler's configuration; an unreadable one is for the run to complain about, which needs
/// it whole. Python's numbers that JSON lacks are for the scheduler to read, too.
fn scheduler(path: &Path) -> Map<String, Value> {
    read_object(&scheduler_file(path)).unwrap_or_default()
}

fn scheduler_file(path: &Path) -> PathBuf {
    path.join("scheduler/scheduler_config.json")
}

/// What the scheduler's file says, or the classes' default.
fn prediction_type(path: &Path, scheduler: &Map<String, Value>) -> Result<String, CatalogError> {
    match scheduler.get("prediction_type") {
        None | Some(Value::Null) => Ok("epsilon".into()),
        Some(Value::String(kind)) => Ok(kind.clone()),
        Some(other) => {
            let file = scheduler_file(path);
            Err(broken(&file, format!("`prediction_type` is {other}, but must be text")))
        }
    }
}

fn read_card(path: &Path) -> Result<Card, CatalogError> {
    let file = path.join("overpaint.json");
    match fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| broken(&file, error)),
        Err(_) => Ok(Card::default()),
    }
}

/// A hub snapshot's folder is named by a commit; its repository says more.
pub(super) fn folder_name(path: &Path) -> String {
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    let repository = path.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent);
    repository
        .and_then(|p| Some(name(p)?.strip_prefix("models--")?.replace("--", "/")))
        .or_else(|| name(path))
        .unwrap_or_else(|| path.display().to_string())
}

/// Whether the pipeline is one of Kandinsky 2.2 that can be run.
fn is_kandinsky(index: &Map<String, Value>) -> bool {
    let class = index.get("_class_name").and_then(Value::as_str).unwrap_or_default();
    class.starts_with("KandinskyV22") && !class.contains("Controlnet")
}

fn refuse_pipeline(path: &Path, index: &Map<String, Value>) -> Result<(), CatalogError> {
    let class = class(index);
    let refusal = |what: String| {
        Err(CatalogError::NotYet { path: path.to_path_buf(), what, instead: NAME_A_FOLDER })
    };
    if is_kandinsky(index) {
        return Ok(());
    }
    if let Some((_, what)) = NOT_YET.iter().find(|(part, _)| class.contains(part)) {
        return refusal((*what).into());
    }
    let known = class.starts_with("StableDiffusion") || class.starts_with("LatentConsistency");
    if known { Ok(()) } else { refusal(format!("a `{class}`")) }
}

fn refuse_folder(path: &Path) -> CatalogError {
    if let Ok(Some(folder)) = inspect_controlnet(path) {
        let about = folder.about();
        let reason = format!("this is {about}, which steers a model: name it with --controlnet");
        return CatalogError::Broken { path: path.to_path_buf(), reason };
    }
    let reason = "there is no model_index.json in it, so it is not a model in diffusers layout; \
                  name the folder that holds unet, vae and text_encoder";
    CatalogError::Broken { path: path.to_path_buf(), reason: reason.into() }
}

pub(super) fn read_object(file: &Path) -> Result<Map<String, Value>, CatalogError> {
    let text = fs::read_to_string(file).map_err(|error| broken(file, error))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(broken(file, "the outermost value is not a JSON object")),
        Err(error) => Err(broken(file, error)),
    }
}

/// A whole number; absent or null is the class's default.
pub(super) fn whole(
    file: &Path,
    object: &Map<String, Value>,
    key: &str,
    default: usize,
) -> Result<usize, CatalogError> {
    let value = object.get(key).unwrap_or(&Value::Null);
    if value.is_null() {
        return Ok(default);
    }
    let number = value.as_u64().filter(|n| (1..=1 << 16).contains(n));
    number.map(|n| n as usize).ok_or_else(|| {
        broken(file, format!("`{key}` is {value}, but must be a whole number above 0"))
    })
}

/// The side of the latents that the model was trained at; the longer one of two.
fn sample_size(file: &Path, unet: &Map<String, Value>) -> Result<usize, CatalogError> {
    match unet.get("sample_size") {
        Some(Value::Array(sides)) => {
            let longest = sides.iter().filter_map(Value::as_u64).max();
            longest.map(|side| side as usize).ok_or_else(|| {
                broken(file, "`sample_size` is a list, but not of two whole numbers")
            })
        }
        _ => whole(file, unet, "sample_size", 64),
    }
}

pub(super) fn broken(path: &Path, reason: impl std::fmt::Display) -> CatalogError {
    CatalogError::Broken { path: path.to_path_buf(), reason: reason.to_string() }
}
