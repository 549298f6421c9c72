//! What can be wrong with a model's files. The texts are for a person.

use std::path::PathBuf;

use candle_core::DType;

pub type Result<T, E = NetworkError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },

    #[error(
        "{}: no weights here; expected diffusion_pytorch_model.safetensors or model.safetensors",
        folder.display()
    )]
    NoWeights { folder: PathBuf },

    #[error(
        "{}: these weights are a pickle, which can run any program when it is opened, so it is not \
         read; get this model as safetensors, or convert it with \
         save_pretrained(..., safe_serialization=True)",
        file.display()
    )]
    Pickle { file: PathBuf },

    #[error("{}: damaged or incomplete ({why}); get the file again", file.display())]
    Damaged { file: PathBuf, why: String },

    #[error("{}: this is not {expected} ({why})", file.display())]
    Unexpected { file: PathBuf, expected: &'static str, why: String },

    #[error("{}: \"{key}\" is {value}: {why}", file.display())]
    Config { file: PathBuf, key: String, value: String, why: String },

    #[error(
        "{}: the tensor {key} is missing; the file belongs to another model than its config.json, \
         or is incomplete",
        file.display()
    )]
    MissingTensor { file: PathBuf, key: String },

    #[error(
        "{}: the tensor {key} has the shape {found:?}, but config.json asks for {expected:?}",
        file.display()
    )]
    TensorShape { file: PathBuf, key: String, found: Vec<usize>, expected: Vec<usize> },

    #[error(
        "{}: the tensor {key} holds numbers that are not finite in {dtype:?} (infinity, or not a \
         number); the file is damaged, or needs to run in f32",
        file.display()
    )]
    NotFinite { file: PathBuf, key: String, dtype: DType },

    #[error("{}: the tensor {key} is stored as {stored}, which is not supported", file.display())]
    TensorDtype { file: PathBuf, key: String, stored: String },

    #[error("the processor cannot run networks in {0:?}; choose f32")]
    DeviceDtype(DType),

    #[error("{}: {why}", file.display())]
    Tokenizer { file: PathBuf, why: String },

    #[error("{}: {why}", file.display())]
    Lora { file: PathBuf, why: String },

    #[error("{}: {why}", file.display())]
    Inversion { file: PathBuf, why: String },

    #[error(
        "an embedding cannot be called {word:?}, which the vocabulary has already; name another \
         word, as in FILE:WORD"
    )]
    WordTaken { word: String },

    #[error("loading was cancelled")]
    Cancelled,

    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl NetworkError {
    pub(crate) fn io(file: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let file = file.into();
        move |source| Self::Io { file, source }
    }

    pub(crate) fn damaged(file: impl Into<PathBuf>, why: impl ToString) -> Self {
        Self::Damaged { file: file.into(), why: why.to_string() }
    }
}
