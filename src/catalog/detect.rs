//! What a folder or file is: which pipeline, which family, how many channels. Reads the small
//! configuration files only, never weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    CatalogError, Conventions, Family, FewSteps, ModelFolder, Recommended, SingleFile,
    controlnets::inspect_controlnet,
    folder::folder_name,
    hub_cache,
    json::{broken, read_object, whole},
    places, recommended_by_name,
};

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
        conventions: match addition {
            Some(IMAGE) => &Conventions::IMAGE_EMBEDS,
            Some(_) => &Conventions::SIZED,
            None => &Conventions::USUAL,
        },
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
