//! A LoRA file, read for the networks of one model.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::Tensor;

use super::{
    Parts,
    file::LoraFile,
    keys::{self, Key, Layer, Part, Role},
    peft::PeftConfig,
    scale::{AlphaRule, LayerScale, scales},
    slot::{Branch, Slot},
};
use crate::networks::{Result, weights::without_trailing_ones};

/// What a file adds to which layers of a model.
#[derive(Debug)]
pub struct Lora {
    file: PathBuf,
    /// By network and path of the layer.
    layers: BTreeMap<(Part, String), Addition>,
}

#[derive(Debug)]
struct Addition {
    down: Tensor,
    up: Tensor,
    bias: Option<Tensor>,
    scale: f64,
}

impl Lora {
    /// Reads a file for the networks of a loaded model: each tensor as the layer computes that it
    /// belongs to.
    ///
    /// # Errors
    /// If it is damaged or holds something else than LoRA, or if a layer is not in the model or is
    /// of another size there.
    pub fn open(path: &Path, parts: &Parts<'_>, rule: AlphaRule) -> Result<Self> {
        let file = LoraFile::open(path)?;
        let stored = stored(&file)?;
        let places = places(&file, parts, &stored)?;
        let scales = layer_scales(&file, &stored, &places, rule)?;
        let made_for = made_for(&file, &stored)?;
        let mut layers = BTreeMap::new();
        for ((stored, place), scale) in stored.iter().zip(&places).zip(scales) {
            let addition = stored.load(&file, place.slot, scale, &made_for)?;
            let layer = (stored.part, place.path.to_owned());
            if layers.insert(layer, addition).is_some() {
                return Err(file.refused(format!("it has two sets of weights for {}", place.path)));
            }
        }
        Ok(Self { file: path.to_owned(), layers })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether it changes what prompts become.
    pub fn changes_text(&self) -> bool {
        self.layers.keys().any(|(part, _)| *part != Part::Unet)
    }

    /// What it adds to a layer at a strength.
    pub fn branch(&self, part: Part, path: &str, strength: f64) -> Result<Option<Branch>> {
        let Some(layer) = self.layers.get(&(part, path.to_owned())) else { return Ok(None) };
        let scale = strength * layer.scale;
        let bias = layer.bias.as_ref().map(|bias| bias * scale).transpose()?;
        Ok(Some(Branch { down: layer.down.clone(), up: (&layer.up * scale)?, bias }))
    }
}

/// A layer of the file: names of its tensors.
struct Stored {
    part: Part,
    layer: Layer,
    down: String,
    up: String,
    bias: Option<String>,
    alpha: Option<f64>,
    rank: usize,
}

/// The layer of the model that it belongs to.
struct Place<'a> {
    path: &'a str,
    slot: &'a Slot,
}

/// All layers, in the order of their first matrices.
fn stored(file: &LoraFile) -> Result<Vec<Stored>> {
    let mut tensors: BTreeMap<(Part, Layer), Found> = BTreeMap::new();
    let mut order = Vec::new();
    for name in file.names() {
        let Key { part, layer, role } = parse(file, &name)?;
        let key = (part, layer);
        if role == Role::Down {
            order.push(key.clone());
        }
        tensors.entry(key).or_default().insert(role, name);
    }
    if let Some(((_, layer), _)) = tensors.iter().find(|(_, found)| !is_whole(found)) {
        let layer = layer.text();
        return Err(file.refused(format!("{layer} has only one of its two matrices; get it again")));
    }
    let layer = |(part, layer): (Part, Layer)| {
        let mut found = tensors.remove(&(part, layer.clone())).unwrap_or_default();
        let mut take = |role| found.remove(&role);
        let down = take(Role::Down).unwrap_or_default();
        let up = take(Role::Up).unwrap_or_default();
        let alpha = take(Role::Alpha).map(|name| file.number(&name)).transpose()?;
        let rank = file.shape(&down)?.first().copied().unwrap_or(0);
        Ok(Stored { part, layer, down, up, bias: take(Role::UpBias), alpha, rank })
    };
    let layers: Vec<Stored> = order.into_iter().map(layer).collect::<Result<_>>()?;
    if layers.is_empty() {
        return Err(file.refused("it holds no LoRA"));
    }
    Ok(layers)
}

/// Names of a layer's tensors.
type Found = BTreeMap<Role, String>;

fn is_whole(found: &Found) -> bool {
    found.contains_key(&Role::Down) && found.contains_key(&Role::Up)
}

fn parse(file: &LoraFile, name: &str) -> Result<Key> {
    if let Some(kind) = keys::other_kind(name) {
        return Err(file.refused(format!(
            "this is {kind}, which is not supported; get it as a plain LoRA or LoCon"
        )));
    }
    keys::parse(name).ok_or_else(|| {
        file.refused(format!("the tensor {name} belongs to no LoRA; is this another kind of file?"))
    })
}

/// Where in the model each layer belongs.
fn places<'a>(file: &LoraFile, parts: &'a Parts<'a>, stored: &[Stored]) -> Result<Vec<Place<'a>>> {
    let names = names(parts);
    let find = |stored: &Stored| names.get(&(stored.part, stored.layer.clone()));
    let missing: Vec<_> = stored.iter().filter(|stored| find(stored).is_none()).collect();
    if let Some(first) = missing.first() {
        return Err(file.refused(format!(
            "{} of its {} layers do not exist in this model, the first is {}{}",
            missing.len(),
            stored.len(),
            first.layer.text(),
            made_for(file, stored)?,
        )));
    }
    let places = stored.iter().filter_map(|stored| {
        let (path, slot) = *find(stored)?;
        Some(Place { path, slot })
    });
    Ok(places.collect())
}

type Names<'a> = BTreeMap<(Part, Layer), (&'a str, &'a Slot)>;

/// Everything that the model's layers may be called.
fn names<'a>(parts: &'a Parts<'a>) -> Names<'a> {
    let mut names = BTreeMap::new();
    let flat = |name: &str| Layer::Flat(name.replace('.', "_"));
    for (&part, slots) in parts {
        for (alias, path) in slots.aliases() {
            if let Some(slot) = slots.get(path) {
                names.insert((part, flat(alias)), (path, slot));
            }
        }
        for (path, slot) in slots.iter() {
            let name = path.strip_prefix("text_model.").unwrap_or(path);
            names.insert((part, Layer::Path(name.to_owned())), (path, slot));
            names.insert((part, flat(name)), (path, slot));
        }
    }
    names
}

/// The family of models that a file was made for, by the width of the prompts that its layers
/// take: an end of a sentence.
fn made_for(file: &LoraFile, stored: &[Stored]) -> Result<String> {
    let takes_prompts = |stored: &&Stored| {
        ["attn2.to_k", "attn2_to_k"].iter().any(|end| stored.layer.text().ends_with(end))
    };
    let Some(layer) = stored.iter().find(takes_prompts) else { return Ok(String::new()) };
    let family = match file.shape(&layer.down)?.get(1) {
        Some(768) => "Stable Diffusion 1",
        Some(1024) => "Stable Diffusion 2",
        Some(2048) => "Stable Diffusion XL",
        Some(1280) => "the refiner of Stable Diffusion XL",
        _ => return Ok(String::new()),
    };
    Ok(format!("; the file was made for {family}"))
}

fn layer_scales(
    file: &LoraFile,
    stored: &[Stored],
    places: &[Place<'_>],
    rule: AlphaRule,
) -> Result<Vec<f64>> {
    let config = file.peft_config()?.map(|text| PeftConfig::parse(&text)).transpose();
    let config = config.map_err(|why| file.refused(why))?;
    let layers: Vec<_> = stored
        .iter()
        .zip(places)
        .map(|(stored, place)| LayerScale {
            part: stored.part,
            path: place.path.strip_prefix("text_model.").unwrap_or(place.path),
            rank: stored.rank,
            alpha: stored.alpha,
            kohya: match &stored.layer {
                Layer::Flat(name) => Some(name),
                Layer::Path(_) => None,
            },
        })
        .collect();
    Ok(scales(&layers, config.as_ref(), rule))
}

impl Stored {
    /// Its tensors as the layer computes. `made_for` ends the sentence if they do not fit.
    fn load(&self, file: &LoraFile, slot: &Slot, scale: f64, made_for: &str) -> Result<Addition> {
        let Some((&outputs, inputs)) = slot.shape().split_first() else {
            return Err(file.refused("a layer of the model has no shape"));
        };
        let ones = vec![1; inputs.len() - 1];
        let load = |name: &str, shape: &[usize]| {
            let found = file.shape(name)?;
            // A 1x1 convolution may stand for a linear layer, and the reverse.
            if self.rank == 0 || without_trailing_ones(&found) != without_trailing_ones(shape) {
                return Err(file.refused(format!(
                    "{name} has the shape {found:?}, but this model needs {shape:?}{made_for}"
                )));
            }
            file.load(name, shape, slot.dtype(), slot.device())
        };
        let bias = self.bias.as_ref().map(|name| load(name, &[outputs])).transpose()?;
        Ok(Addition {
            down: load(&self.down, &[&[self.rank], inputs].concat())?,
            up: load(&self.up, &[&[outputs, self.rank], ones.as_slice()].concat())?,
            bias,
            scale,
        })
    }
}
