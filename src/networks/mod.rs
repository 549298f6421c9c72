//! The neural networks, as candle modules: tensors in, tensors out.
//!
//! Everything here computes what the classes of the same names in diffusers 0.42 and transformers
//! 5.23 compute, in f32 to about 1e-5. Every number comes from the model's `config.json`; what is
//! not supported is an error that names the file, the key and the value.
//!
//! | module | what it holds |
//! |---|---|
//! | [`weights`] | a component's safetensors: found, checked, converted |
//! | [`config`] | `config.json`, read strictly |
//! | [`held`] | parts that need not stay in memory |
//! | [`layers`] | what the networks are built from |
//! | [`adapters`] | LoRA: what is added to layers of a loaded network |
//! | [`unet`] | `UNet2DConditionModel` |
//! | [`controlnet`] | `ControlNetModel` |
//! | [`autoencoder`] | `AutoencoderKL` |
//! | [`clip`] | `CLIPTextModel`, `CLIPVisionModelWithProjection` |
//! | [`movq`] | `VQModel` |
//! | [`prior`] | `PriorTransformer` |
//! | [`tiny_autoencoder`] | `AutoencoderTiny` |
//! | [`tokenizer`] | `CLIPTokenizer` |
//! | [`inversion`] | files of textual inversion: vectors for words of one's own |
//! | [`segment_anything`] | Segment Anything, which candle-transformers has |

pub mod adapters;
pub mod autoencoder;
pub mod clip;
pub mod config;
pub mod controlnet;
mod error;
pub mod held;
pub mod inversion;
pub mod layers;
pub mod movq;
pub mod prior;
pub mod segment_anything;
pub mod tiny_autoencoder;
pub mod tokenizer;
pub mod unet;
pub mod weights;

pub use autoencoder::{AutoencoderConfig, AutoencoderKl};
pub use clip::{
    ClipTextConfig, ClipTextModel, ClipVisionConfig, ClipVisionModel, Reading, TextOutput,
};
pub use controlnet::{ControlNetConfig, ControlNetModel};
pub use error::{NetworkError, Result};
pub use held::{Held, Residency};
pub use inversion::TextualInversion;
pub use movq::{Movq, MovqConfig};
pub use prior::{PriorConfig, PriorText, PriorTransformer};
pub use segment_anything::SegmentAnything;
pub use tiny_autoencoder::{TinyAutoencoder, TinyAutoencoderConfig};
pub use tokenizer::{ClipTokenizer, Spelling};
pub use unet::{AddedConditions, Conditioning, Residuals, UNet2DConditionModel, UNetConfig};
pub use weights::{BytesRead, Weights};
