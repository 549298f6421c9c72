//! Files of textual inversion (Gal et al. 2022): vectors that stand for a word of one's own, one or
//! several, learned for a text encoder.
//!
//! Three forms are known, all as safetensors: one tensor under the word itself (diffusers'
//! `learned_embeds`), one under `emb_params` (AUTOMATIC1111), and `clip_l` with `clip_g` for the two
//! text encoders of Stable Diffusion XL, which older trainers call `text_encoders_0` and `_1`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use super::{NetworkError, Result, weights};

/// Bytes; more is no embedding.
const MAX_SIZE: u64 = 64 << 20;

/// The name under which AUTOMATIC1111 stores vectors; the file is then called as the word is.
const UNNAMED: &str = "emb_params";

/// The names of the vectors for each of two encoders: those of today, and those of the first
/// versions of diffusers' advanced training scripts.
const PAIRS: [[&str; 2]; 2] = [["clip_l", "clip_g"], ["text_encoders_0", "text_encoders_1"]];

/// Endings of files that hold a pickle.
const PICKLES: [&str; 4] = ["pt", "bin", "pth", "ckpt"];

/// See the module.
#[derive(Clone, Debug)]
pub struct TextualInversion {
    file: PathBuf,
    token: String,
    /// For the first text encoder and the second, each [n, width] in f32.
    vectors: [Option<Tensor>; 2],
}

impl TextualInversion {
    /// Reads a file. The word is `token`, or the one in the file, or the file's name.
    ///
    /// # Errors
    /// If it is unreadable, a pickle, or of none of the known forms.
    pub fn open(file: &Path, token: Option<&str>) -> Result<Self> {
        let extension = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if PICKLES.contains(&extension.as_str()) {
            return Err(wrong(
                file,
                "this embedding is a pickle, which can run any program when it is opened, so it \
                 is not read; get it as safetensors",
            ));
        }
        let size = fs::metadata(file).map_err(NetworkError::io(file))?.len();
        if size > MAX_SIZE {
            return Err(wrong(file, "too large for an embedding; is it a model or a LoRA?"));
        }
        let bytes = fs::read(file).map_err(NetworkError::io(file))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| NetworkError::damaged(file, error))?;
        let (named, vectors) = read(file, &tensors)?;
        let stem = || file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let token = token.map(str::to_owned).or(named).unwrap_or_else(stem);
        if token.trim().is_empty() {
            return Err(wrong(file, "its word is empty; name one, as in FILE:WORD"));
        }
        Ok(Self { file: file.to_owned(), token, vectors })
    }

    /// The word that stands for the vectors in a prompt.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How many vectors there are for the encoder of this place, 0 or 1.
    pub fn count(&self, encoder: usize) -> usize {
        let vectors = self.vectors.get(encoder).and_then(Option::as_ref);
        vectors.and_then(|vectors| vectors.dims().first().copied()).unwrap_or(0)
    }

    /// Their width, where there are any for this encoder.
    pub fn width(&self, encoder: usize) -> Option<usize> {
        let vectors = self.vectors.get(encoder).and_then(Option::as_ref)?;
        vectors.dims().last().copied()
    }

    /// The vectors [n, width] for the encoder of this place, 0 or 1, if the file has any for it.
    ///
    /// # Errors
    /// If they are not of the encoder's width.
    pub fn vectors(&self, encoder: usize, width: usize) -> Result<Option<&Tensor>> {
        let Some(vectors) = self.vectors.get(encoder).and_then(Option::as_ref) else {
            return Ok(None);
        };
        let found = vectors.dim(1)?;
        if found == width {
            return Ok(Some(vectors));
        }
        Err(wrong(
            &self.file,
            format!(
                "this embedding has vectors of width {found}, but the model's text encoder takes \
                 {width}: it was made for another family of models"
            ),
        ))
    }

    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// The word in the file, if one is, and its vectors.
fn read(file: &Path, tensors: &SafeTensors<'_>) -> Result<(Option<String>, [Option<Tensor>; 2])> {
    let names = tensors.names();
    if let Some(pair) = PAIRS.iter().find(|pair| names.iter().any(|name| pair.contains(name))) {
        let vectors = |name| match tensors.tensor(name) {
            Ok(_) => rows(file, tensors, name).map(Some),
            Err(_) => Ok(None),
        };
        return Ok((None, [vectors(pair[0])?, vectors(pair[1])?]));
    }
    match names.as_slice() {
        [name] => {
            let vectors = rows(file, tensors, name)?;
            let word = (*name != UNNAMED).then(|| (*name).to_owned());
            Ok((word, [Some(vectors), None]))
        }
        _ => Err(wrong(
            file,
            format!(
                "not an embedding: it has {} tensors, where there should be one, or {} and {}",
                names.len(),
                PAIRS[0][0],
                PAIRS[0][1]
            ),
        )),
    }
}

/// One tensor [width] or [n, width] as [n, width] in f32.
fn rows(file: &Path, tensors: &SafeTensors<'_>, name: &str) -> Result<Tensor> {
    let view = tensors.tensor(name).map_err(|error| NetworkError::damaged(file, error))?;
    let shape = match *view.shape() {
        [width] if width > 0 => (1, width),
        [count, width] if count > 0 && width > 0 => (count, width),
        ref other => {
            return Err(wrong(file, format!("{name} has the shape {other:?}, not [n, width]")));
        }
    };
    Ok(weights::checked(file, name, &view, DType::F32, &Device::Cpu)?.reshape(shape)?)
}

fn wrong(file: &Path, why: impl ToString) -> NetworkError {
    NetworkError::Inversion { file: file.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn open(
        name: &str,
        tensors: &[(&str, &[usize])],
        token: Option<&str>,
    ) -> Result<TextualInversion> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let tensor = |shape: &[usize]| Tensor::ones(shape, DType::F16, &Device::Cpu).unwrap();
        let tensors: HashMap<_, _> =
            tensors.iter().map(|(key, shape)| (*key, tensor(shape))).collect();
        candle_core::safetensors::save(&tensors, &file).unwrap();
        TextualInversion::open(&file, token)
    }

    #[test]
    fn the_three_forms() {
        let diffusers = open("learned_embeds.safetensors", &[("<moss>", &[4])], None).unwrap();
        assert_eq!(diffusers.token(), "<moss>");
        assert_eq!(diffusers.vectors(0, 4).unwrap().unwrap().dims(), [1, 4]);
        assert!(diffusers.vectors(1, 4).unwrap().is_none());
        let unnamed = open("fog-2.safetensors", &[("emb_params", &[3, 4])], None).unwrap();
        assert_eq!(unnamed.token(), "fog-2");
        for [first, second] in PAIRS {
            let both = [(first, &[2, 4][..]), (second, &[2, 6])];
            let both = open("a.safetensors", &both, Some("<b>")).unwrap();
            assert_eq!(both.token(), "<b>");
            assert_eq!((both.count(0), both.width(0)), (2, Some(4)));
            assert_eq!(both.vectors(1, 6).unwrap().unwrap().dims(), [2, 6]);
            let one = open("a.safetensors", &[(second, &[2, 6])], None).unwrap();
            assert_eq!((one.count(0), one.count(1)), (0, 2));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refusal = |result: Result<TextualInversion>| result.err().unwrap().to_string();
        let two = [("a", &[4][..]), ("b", &[4])];
        assert!(refusal(open("a.safetensors", &two, None)).contains("2 tensors"));
        assert!(refusal(open("a.safetensors", &[("a", &[1, 2, 3])], None)).contains("[1, 2, 3]"));
        assert!(refusal(open("a.safetensors", &[("a", &[4])], Some(" "))).contains("empty"));
        assert!(refusal(open("a.pt", &[("a", &[4])], None)).contains("pickle"));
        let narrow = open("a.safetensors", &[("a", &[4])], None).unwrap();
        let text = narrow.vectors(0, 8).err().unwrap().to_string();
        assert!(text.contains("width 4") && text.contains("takes 8"), "{text}");
    }
}
