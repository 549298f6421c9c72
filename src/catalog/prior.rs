//! Kandinsky's priors: what its decoders read prompts through. What a folder of one is, and which
//! one belongs to a decoder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    CatalogError, Model, ModelFolder, find,
    folder::folder_name,
    json::{broken, read_object, whole},
    places, stored,
};

/// Pipelines whose folders hold a prior and nothing else.
const CLASSES: [&str; 2] = ["KandinskyV22PriorPipeline", "KandinskyV22PriorEmb2EmbPipeline"];

/// What the parts of a prior begin with in a folder that holds a decoder too.
const COMBINED: &str = "prior_";

/// A prior that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorFolder {
    pub path: PathBuf,
    /// For a person.
    pub name: String,
    /// Width of the embeddings that it makes.
    pub embedding_dim: usize,
    /// What the names of its parts begin with.
    prefix: &'static str,
}

impl PriorFolder {
    /// One line: what it is, and what it is for.
    pub fn about(&self) -> String {
        "Kandinsky 2.2 prior: its decoders read prompts through it (--prior)".into()
    }

    /// What the folder of one of its parts is called, such as `text_encoder`.
    pub fn part(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The number format that its weights are stored in, where it can be told.
    pub fn dtype(&self) -> Option<String> {
        stored::dtype(&self.path.join(self.part("prior")))
    }
}

/// Whether a model's folder holds a prior and nothing else.
pub(super) fn is_prior(path: &Path) -> bool {
    let Ok(index) = read_object(&path.join("model_index.json")) else { return false };
    let class = index.get("_class_name").and_then(serde_json::Value::as_str);
    class.is_some_and(|class| CLASSES.contains(&class))
}

/// Looks into the folder of a prior.
///
/// # Errors
/// When its configuration cannot be read.
pub(super) fn open(path: &Path) -> Result<PriorFolder, CatalogError> {
    read(path, "")
}

fn read(path: &Path, prefix: &'static str) -> Result<PriorFolder, CatalogError> {
    let file = path.join(format!("{prefix}prior/config.json"));
    let embedding_dim = whole(&file, &read_object(&file)?, "embedding_dim", 768)?;
    Ok(PriorFolder { path: path.to_path_buf(), name: folder_name(path), embedding_dim, prefix })
}

/// The prior that a decoder reads prompts through: the one named by an id or a path; otherwise the
/// one in the decoder's own folder, the one that its card names, the one in a folder beside it, or
/// any on this machine that fits.
///
/// # Errors
/// When there is none, more than one beside it, or one whose embeddings have another width.
pub fn prior_for(decoder: &ModelFolder, named: Option<&str>) -> Result<PriorFolder, CatalogError> {
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        return fitting(named_prior(name)?, decoder);
    }
    if let Some(inside) = inside(&decoder.path) {
        return fitting(inside?, decoder);
    }
    let fits = |prior: &PriorFolder| Some(prior.embedding_dim) == decoder.image_embeds;
    let known: Vec<(String, PathBuf)> =
        places::models().into_iter().filter(|(_, path)| is_prior(path)).collect();
    let opened = |path: &PathBuf| open(path).ok().filter(fits);
    let on_card = card_names(&decoder.path);
    let by_card = known.iter().filter(|(id, _)| on_card.contains(id));
    if let Some(prior) = by_card.filter_map(|(_, path)| opened(path)).next() {
        return Ok(prior);
    }
    let mut beside: Vec<PriorFolder> = beside(&decoder.path).iter().filter_map(opened).collect();
    match beside.len() {
        0 => {}
        1 => return Ok(beside.remove(0)),
        _ => {
            let names: Vec<&str> = beside.iter().map(|prior| prior.name.as_str()).collect();
            let why = format!("beside it there are several ({})", names.join(", "));
            return Err(CatalogError::NoPrior { decoder: decoder.name.clone(), why });
        }
    }
    known.iter().find_map(|(_, path)| opened(path)).ok_or_else(|| CatalogError::NoPrior {
        decoder: decoder.name.clone(),
        why: "there is none that fits beside it".into(),
    })
}

fn named_prior(name: &str) -> Result<PriorFolder, CatalogError> {
    match find(name)? {
        Model::Prior(prior) => Ok(prior),
        Model::Diffusion(folder) => match inside(&folder.path) {
            Some(prior) => prior,
            None => Err(broken(&folder.path, "this is a model, but no prior of Kandinsky 2.2")),
        },
        Model::ContentAware => Err(broken(Path::new(name), "this is no prior of Kandinsky 2.2")),
    }
}

fn fitting(prior: PriorFolder, decoder: &ModelFolder) -> Result<PriorFolder, CatalogError> {
    let (makes, takes) = (prior.embedding_dim, decoder.image_embeds.unwrap_or_default());
    if makes == takes {
        return Ok(prior);
    }
    let reason = format!(
        "this prior makes embeddings of {makes} numbers, but {} takes {takes}: name another with \
         --prior",
        decoder.name
    );
    Err(CatalogError::Broken { path: prior.path, reason })
}

/// The prior in a decoder's own folder, as the combined pipelines are saved.
fn inside(path: &Path) -> Option<Result<PriorFolder, CatalogError>> {
    path.join(format!("{COMBINED}prior")).is_dir().then(|| read(path, COMBINED))
}

/// The priors among the folders beside a decoder's, by name.
fn beside(path: &Path) -> Vec<PathBuf> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let Some(entries) = path.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_prior(path))
        .collect();
    found.sort();
    found
}

/// The repositories under `prior:` in the head of a model's card.
fn card_names(path: &Path) -> Vec<String> {
    let card = fs::read_to_string(path.join("README.md")).unwrap_or_default();
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return Vec::new();
    }
    let head = lines.take_while(|line| *line != "---");
    let entries = head.skip_while(|line| line.trim_end() != "prior:").skip(1);
    let named = |line: &str| Some(line.trim().strip_prefix("- ")?.trim_matches(['"', '\'']).into());
    entries.map_while(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prior_at(path: &Path, width: usize) {
        fs::create_dir_all(path.join("prior")).unwrap();
        let index = r#"{"_class_name": "KandinskyV22PriorPipeline"}"#;
        fs::write(path.join("model_index.json"), index).unwrap();
        let config = format!(r#"{{"embedding_dim": {width}}}"#);
        fs::write(path.join("prior/config.json"), config).unwrap();
    }

    fn decoder_at(path: &Path) -> ModelFolder {
        for (file, text) in [
            ("model_index.json", r#"{"_class_name": "KandinskyV22InpaintPipeline"}"#),
            (
                "unet/config.json",
                r#"{"addition_embed_type": "image", "encoder_hid_dim": 12, "in_channels": 9,
                    "block_out_channels": [8, 8, 8], "sample_size": 16}"#,
            ),
            ("movq/config.json", r#"{"block_out_channels": [8, 8, 8, 8]}"#),
        ] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), text).unwrap();
        }
        crate::catalog::inspect(path).unwrap()
    }

    #[test]
    fn the_prior_beside_a_decoder_is_found_if_there_is_one_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let decoder = decoder_at(&folder.path().join("decoder"));
        assert_eq!((decoder.image_embeds, decoder.side_unit), (Some(12), 32));
        assert!(prior_for(&decoder, None).unwrap_err().to_string().contains("--prior"));
        prior_at(&folder.path().join("wide"), 20);
        assert!(prior_for(&decoder, None).is_err(), "another width");
        prior_at(&folder.path().join("one"), 12);
        assert_eq!(prior_for(&decoder, None).unwrap().name, "one");
        prior_at(&folder.path().join("two"), 12);
        let error = prior_for(&decoder, None).unwrap_err().to_string();
        assert!(error.contains("one, two") && error.contains("--prior"), "{error}");
    }

    #[test]
    fn a_named_prior_must_be_one_and_fit() {
        let folder = tempfile::tempdir().unwrap();
        let decoder = decoder_at(&folder.path().join("decoder"));
        let named = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            prior_for(&decoder, Some(&path)).map_err(|error| error.to_string())
        };
        prior_at(&folder.path().join("wide"), 20);
        prior_at(&folder.path().join("one"), 12);
        prior_at(&folder.path().join("two"), 12);
        assert_eq!(named("two").unwrap().part("prior"), "prior");
        assert!(named("wide").unwrap_err().contains("20 numbers"));
        assert!(named("decoder").unwrap_err().contains("no prior"));
        assert!(named("nothing").is_err());
        fs::create_dir_all(folder.path().join("decoder/prior_prior")).unwrap();
        let config = folder.path().join("decoder/prior_prior/config.json");
        fs::write(config, r#"{"embedding_dim": 12}"#).unwrap();
        let own = prior_for(&decoder, None).unwrap();
        assert_eq!((own.name.as_str(), own.part("prior").as_str()), ("decoder", "prior_prior"));
    }

    #[test]
    fn the_card_names_its_prior() {
        let folder = tempfile::tempdir().unwrap();
        let card = "---\nlicense: x\nprior:\n- some/prior\n  - \"other/one\"\ntags: y\n---\n- no\n";
        fs::write(folder.path().join("README.md"), card).unwrap();
        assert_eq!(card_names(folder.path()), ["some/prior", "other/one"]);
        assert!(card_names(Path::new("/nowhere")).is_empty());
    }
}
