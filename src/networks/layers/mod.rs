//! What the networks are built from. Operations that candle is slow at on the processor have
//! their own kernels here; on accelerators they are candle's operations.

mod activation;
mod attention;
mod conv;
mod linear;
mod norm;
mod numeric;
mod product;
mod resample;
mod resnet;
mod storage;
mod timestep;

pub use activation::{Activation, geglu};
pub use attention::{AttentionOptions, attention, attention_to};
pub use conv::Conv2d;
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm, Moments};
pub use resample::{Downsample2D, Upsample2D};
pub use resnet::{Resample, ResnetBlock2D, ResnetConfig, ResnetParts, TimeShift};
pub use timestep::{Sinusoids, TimestepEmbedding, TimestepEmbeddingConfig};
