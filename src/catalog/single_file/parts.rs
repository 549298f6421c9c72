//! The components in a single file, under diffusers' names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    catalog::header::Header,
    key_map::{self, Renamed, Source, Stored, autoencoder, controlnet, text, unet},
};

/// Tensors of one component: where each lies, and the shape that it has as diffusers has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Component {
    tensors: BTreeMap<String, (Stored, Vec<usize>)>,
}

/// Everything in a file that the program can use; what it has not is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    pub unet: Component,
    pub autoencoder: Component,
    /// As it is numbered in diffusers' folders: the first is CLIP's own, or the only one.
    pub text: Component,
    pub text_2: Component,
    pub controlnet: Component,
}

type Rename = for<'a> fn(&[&'a str]) -> Vec<Renamed<'a>>;

/// What some programs put before every name.
const WRAPPERS: [&str; 2] = ["state_dict.", "module."];

impl Parts {
    pub fn of(header: &Header) -> Self {
        let names: Vec<(&str, &str)> =
            header.tensors.keys().map(|key| (unwrapped(key), key.as_str())).collect();
        let under = |prefix: &str, rename: Rename| Component::new(header, &names, prefix, rename);
        let first = |candidates: &[(&str, Rename)]| {
            let found = candidates.iter().map(|(prefix, rename)| under(prefix, *rename));
            found.into_iter().find(|component| !component.is_empty()).unwrap_or_default()
        };
        let controlnet = first(&[("control_model.", controlnet::names)]);
        let bare_controlnet = names.iter().any(|(name, _)| {
            name.starts_with("input_hint_block.") || name.starts_with("controlnet_")
        });
        if bare_controlnet {
            return Self { controlnet: under("", controlnet::names), ..Self::default() };
        }
        Self {
            unet: first(&[("model.diffusion_model.", unet::names), ("", unet::names)]),
            autoencoder: first(&[
                ("first_stage_model.", autoencoder::names),
                ("vae.", autoencoder::names),
                ("", autoencoder::names),
            ]),
            text: first(&[
                ("cond_stage_model.transformer.", text::clip),
                ("cond_stage_model.model.", text::open_clip),
                ("conditioner.embedders.0.transformer.", text::clip),
            ]),
            text_2: first(&[
                ("conditioner.embedders.1.model.", text::open_clip),
                ("conditioner.embedders.1.transformer.", text::clip),
                ("conditioner.embedders.0.model.", text::open_clip),
            ]),
            controlnet,
        }
    }
}

/// The name without what wraps the whole file.
fn unwrapped(key: &str) -> &str {
    WRAPPERS.iter().find_map(|wrapper| key.strip_prefix(wrapper)).unwrap_or(key)
}

impl Component {
    fn new(header: &Header, names: &[(&str, &str)], prefix: &str, rename: Rename) -> Self {
        let below: BTreeMap<&str, &str> = names
            .iter()
            .filter_map(|(name, key)| Some((name.strip_prefix(prefix)?, *key)))
            .collect();
        let stored: Vec<&str> = below.keys().copied().collect();
        let tensor = |(name, original, view): Renamed<'_>| {
            let key = (*below.get(original)?).to_owned();
            let shape = view.shape(&header.tensors.get(&key)?.shape)?;
            Some((name, (Stored { key, view }, shape)))
        };
        Self { tensors: rename(&stored).into_iter().filter_map(tensor).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, as diffusers has it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, shape)| shape.as_slice())
    }

    /// One side of a tensor.
    pub fn side(&self, name: &str, side: usize) -> Option<usize> {
        self.shape(name)?.get(side).copied()
    }

    /// The name in the file.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.tensors.get(name).map(|(stored, _)| stored.key.as_str())
    }

    /// Whether there is anything below this path.
    pub fn has(&self, path: &str) -> bool {
        let from = self.tensors.range(path.to_owned()..);
        from.map(|(name, _)| name).next().is_some_and(|name| {
            name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// How many numbered things there are below this path: one more than the largest number.
    pub fn count(&self, path: &str) -> usize {
        let number = |name: &str| {
            let rest = name.strip_prefix(path)?.strip_prefix('.')?;
            rest.split('.').next()?.parse::<usize>().ok()
        };
        let numbers: BTreeSet<usize> = self.names().filter_map(number).collect();
        numbers.last().map_or(0, |last| last + 1)
    }

    /// All widths of normalisations, which groups must divide.
    pub fn normalised(&self) -> impl Iterator<Item = usize> {
        let is_group = |name: &str| {
            let layer = name.strip_suffix(".weight").and_then(|name| name.rsplit('.').next());
            let group = ["norm1", "norm2", "norm", "group_norm", "conv_norm_out"];
            let inside = name.contains("transformer_blocks.");
            !inside && layer.is_some_and(|layer| group.contains(&layer))
        };
        self.tensors
            .iter()
            .filter(move |(name, _)| is_group(name))
            .filter_map(|(_, (_, shape))| shape.first().copied())
    }

    /// Where the tensors lie, as the networks' weights read it.
    pub fn source(&self, file: &Path) -> key_map::Source {
        let stored = |(name, (stored, _)): (&String, &(Stored, _))| (name.clone(), stored.clone());
        let tensors = self.tensors.iter().map(stored).collect();
        Source::Table { file: file.to_path_buf(), tensors }
    }

    /// Leaves out everything below a path.
    pub fn drop(&mut self, path: &str) {
        let below = |name: &str| {
            name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.tensors.retain(|name, _| !below(name));
    }
}
