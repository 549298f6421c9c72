//! Which of a repository's files are needed to run what is in it. Repositories hold the same
//! weights up to six times over: pickles, two precisions, other frameworks' formats.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{HubError, Listing, RemoteFile, Result};

/// The file that lists the parts of a pipeline.
pub const MODEL_INDEX: &str = "model_index.json";

/// Parts of a pipeline that nothing here reads: a classifier of pictures and what prepares them for
/// it, and a watermark.
const NOT_READ: [&str; 3] = ["safety_checker", "feature_extractor", "watermark"];

/// Names that weights have, diffusers' before transformers'.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

const ADAPTER: &str = "pytorch_lora_weights.safetensors";

/// In which precision weights are fetched, where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they were published, usually 32 bits.
    #[default]
    Full,
    /// The variant of 16 bits, half as large.
    Half,
}

/// What of a repository is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// These files; empty for what [`needed`] finds.
    pub files: Vec<String>,
    pub precision: Precision,
}

/// The files that are needed. `model_index` is the text of the file of this name, where there is
/// one and no files are named.
///
/// # Errors
/// When there is nothing that can be used; the text says what there is instead.
pub fn needed(
    listing: &Listing,
    choice: &Choice,
    model_index: Option<&str>,
) -> Result<Vec<RemoteFile>> {
    let repository = Contents { listing, precision: choice.precision };
    let paths = if !choice.files.is_empty() {
        repository.named(&choice.files)?
    } else if let Some(index) = model_index {
        repository.pipeline(index)?
    } else {
        repository.single()?
    };
    let files = listing.files.iter().filter(|file| paths.contains(file.path.as_str()));
    Ok(files.cloned().collect())
}

struct Contents<'a> {
    listing: &'a Listing,
    precision: Precision,
}

type Paths<'a> = BTreeSet<&'a str>;

impl<'a> Contents<'a> {
    fn named(&self, names: &[String]) -> Result<Paths<'a>> {
        let find = |name: &String| {
            let file = self.listing.files.iter().find(|file| file.path == *name);
            file.map(|file| file.path.as_str()).ok_or_else(|| HubError::NoFile {
                repository: self.listing.repository.clone(),
                file: name.clone(),
                revision: self.listing.revision.clone(),
            })
        };
        names.iter().map(find).collect()
    }

    /// The parts that the index names, each with its configuration and one set of weights.
    fn pipeline(&self, index: &str) -> Result<Paths<'a>> {
        let index: Value = serde_json::from_str(index)
            .map_err(|error| self.not_usable(format!("its {MODEL_INDEX} is damaged ({error})")))?;
        let parts = index.as_object().into_iter().flatten();
        let mut paths: Paths<'a> = self.in_folder("").filter(|path| *path == MODEL_INDEX).collect();
        for (part, class) in parts {
            let used = class.as_array().is_some_and(|class| class.iter().all(Value::is_string));
            if used && !NOT_READ.contains(&part.as_str()) {
                paths.extend(self.part(part)?);
            }
        }
        Ok(paths)
    }

    /// The files of a part: all small texts, and the weights if there are any.
    fn part(&self, part: &str) -> Result<Paths<'a>> {
        let folder = format!("{part}/");
        let mut paths: Paths<'a> = self.in_folder(&folder).filter(|path| is_text(path)).collect();
        paths.extend(self.weights(&folder)?);
        Ok(paths)
    }

    /// A repository of one network, one adapter or one checkpoint.
    fn single(&self) -> Result<Paths<'a>> {
        let at_root: Paths<'a> = self.in_folder("").collect();
        let mut paths = Paths::new();
        if at_root.contains("config.json") {
            paths = self.weights("")?;
            paths.extend(at_root.iter().filter(|path| **path == "config.json"));
            return Ok(paths);
        }
        let safe: Vec<&str> = at_root.iter().copied().filter(|path| is_safe(path)).collect();
        match safe[..] {
            _ if safe.contains(&ADAPTER) => paths.insert(ADAPTER),
            [only] => paths.insert(only),
            [] => return Err(self.nothing("")),
            _ => {
                let names = safe.join(", ");
                let why = format!("it holds several models: name one of its files ({names})");
                return Err(self.not_usable(why));
            }
        };
        Ok(self.in_folder("").filter(|path| paths.contains(path)).collect())
    }

    /// One set of weights in a folder (`""` or `unet/`): a file, or an index and its shards. None
    /// where the folder has only configuration, as a tokenizer's.
    fn weights(&self, folder: &str) -> Result<Paths<'a>> {
        let variants = match self.precision {
            Precision::Full => ["", ".fp16"],
            Precision::Half => [".fp16", ""],
        };
        for stem in STEMS {
            for variant in variants {
                let set = self.set(folder, stem, variant);
                if !set.is_empty() {
                    return Ok(set);
                }
            }
        }
        // Another variant, where it is the only one.
        let mut others = self.in_folder(folder).filter(|path| is_safe(path));
        match (others.next(), others.next()) {
            (Some(only), None) => Ok(Paths::from([only])),
            (None, _) if !self.in_folder(folder).any(is_pickle) => Ok(Paths::new()),
            _ => Err(self.nothing(folder)),
        }
    }

    fn set(&self, folder: &str, stem: &str, variant: &str) -> Paths<'a> {
        let single = format!("{folder}{stem}{variant}.safetensors");
        let one: Paths<'a> = self.in_folder(folder).filter(|path| *path == single).collect();
        if !one.is_empty() {
            return one;
        }
        let indices = [
            format!("{folder}{stem}.safetensors.index{variant}.json"),
            format!("{folder}{stem}{variant}.safetensors.index.json"),
        ];
        let shard = format!("{folder}{stem}{variant}-");
        let is_shard = |path: &str| path.starts_with(&shard) && path.ends_with(".safetensors");
        let found: Paths<'a> = self
            .in_folder(folder)
            .filter(|path| indices.iter().any(|index| index == path) || is_shard(path))
            .collect();
        if found.iter().any(|path| is_shard(path)) { found } else { Paths::new() }
    }

    /// The paths directly in a folder.
    fn in_folder(&self, folder: &str) -> impl Iterator<Item = &'a str> {
        let folder = folder.to_owned();
        self.listing
            .files
            .iter()
            .map(|file| file.path.as_str())
            .filter(move |path| path.strip_prefix(&folder).is_some_and(|name| !name.contains('/')))
    }

    fn nothing(&self, folder: &str) -> HubError {
        let place = if folder.is_empty() { String::new() } else { format!(" in {folder}") };
        let why = if self.in_folder(folder).any(is_pickle) {
            format!(
                "its weights{place} are pickles, which can run any program when they are opened; \
                 look for a repository with safetensors"
            )
        } else {
            format!("there are no safetensors{place}; is it a model that paints?")
        };
        self.not_usable(why)
    }

    fn not_usable(&self, why: String) -> HubError {
        HubError::NotUsable { repository: self.listing.repository.clone(), why }
    }
}

/// Configurations, vocabularies: read as text, and small.
fn is_text(path: &str) -> bool {
    // Indices belong to a set of weights and come with it.
    let index = path.contains(".index.") || path.contains(".msgpack") || path.contains("flax");
    !index && [".json", ".txt", ".model"].iter().any(|end| path.ends_with(end))
}

fn is_safe(path: &str) -> bool {
    path.ends_with(".safetensors")
}

fn is_pickle(path: &str) -> bool {
    [".bin", ".ckpt", ".pt", ".pth", ".pkl"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Digest;

    fn listing(paths: &[&str]) -> Listing {
        let digest = Digest::git(&"0".repeat(40)).unwrap();
        let file =
            |path: &&str| RemoteFile { path: (*path).to_owned(), size: 1, digest: digest.clone() };
        Listing {
            repository: "a/b".into(),
            revision: "main".into(),
            commit: "0".repeat(40),
            files: paths.iter().map(file).collect(),
            licence: None,
        }
    }

    fn chosen(paths: &[&str], precision: Precision, index: Option<&str>) -> Vec<String> {
        let choice = Choice { files: Vec::new(), precision };
        let files = needed(&listing(paths), &choice, index).unwrap();
        files.into_iter().map(|file| file.path).collect()
    }

    const PIPELINE: [&str; 17] = [
        "model_index.json",
        "README.md",
        "v1-5.ckpt",
        "v1-5.safetensors",
        "scheduler/scheduler_config.json",
        "safety_checker/model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/flax_model.msgpack",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae_decoder/model.onnx",
    ];
    const INDEX: &str = r#"{"_class_name": "X", "safety_checker": ["d", "S"], "unet": ["d", "U"],
        "scheduler": ["d", "P"], "text_encoder": ["t", "C"], "tokenizer": ["t", "T"],
        "image_encoder": [null, null], "requires_safety_checker": true}"#;

    #[test]
    fn of_a_pipeline_only_what_is_read_and_in_one_precision() {
        let full = chosen(&PIPELINE, Precision::Full, Some(INDEX));
        assert_eq!(
            full,
            [
                "model_index.json",
                "scheduler/scheduler_config.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "tokenizer/vocab.json",
                "tokenizer/merges.txt",
                "unet/config.json",
                "unet/diffusion_pytorch_model.safetensors",
            ]
        );
        let half = chosen(&PIPELINE, Precision::Half, Some(INDEX));
        assert_eq!(half.len(), full.len());
        assert!(half.contains(&"unet/diffusion_pytorch_model.fp16.safetensors".to_owned()));
        assert!(half.contains(&"text_encoder/model.fp16.safetensors".to_owned()));
    }

    #[test]
    fn shards_come_with_their_index() {
        let paths = [
            "config.json",
            "diffusion_pytorch_model-00001-of-00002.safetensors",
            "diffusion_pytorch_model-00002-of-00002.safetensors",
            "diffusion_pytorch_model.safetensors.index.json",
            "diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
            "diffusion_pytorch_model.safetensors.index.fp16.json",
        ];
        assert_eq!(chosen(&paths, Precision::Full, None), paths[..4]);
        let half = [paths[0], paths[4], paths[5]];
        assert_eq!(chosen(&paths, Precision::Half, None), half);
    }

    #[test]
    fn one_network_one_adapter_one_checkpoint() {
        let vae =
            ["config.json", "taesd_decoder.safetensors", "diffusion_pytorch_model.safetensors"];
        assert_eq!(chosen(&vae, Precision::Half, None), [vae[0], vae[2]]);
        let lora = ["README.md", "pytorch_lora_weights.safetensors", "other.safetensors"];
        assert_eq!(chosen(&lora, Precision::Full, None), [lora[1]]);
        assert_eq!(chosen(&["a.safetensors"], Precision::Full, None), ["a.safetensors"]);
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        let why = |paths: &[&str]| {
            needed(&listing(paths), &Choice::default(), None).unwrap_err().to_string()
        };
        assert!(why(&["mobile_sam.pt"]).contains("pickles"));
        assert!(why(&["a.safetensors", "b.safetensors"]).contains("a.safetensors, b.safetensors"));
        assert!(why(&["tokens.txt"]).contains("no safetensors"));
        let named = Choice { files: vec!["x".into()], ..Choice::default() };
        let missing = needed(&listing(&["y"]), &named, None);
        assert!(matches!(missing, Err(HubError::NoFile { .. })));
    }
}
