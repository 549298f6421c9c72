//! What a run asks of networks: a prediction for every step, and a picture of latents.

use candle_core::{DType, Tensor};

use super::Result;
use crate::networks::AddedConditions;

/// One evaluation of the network.
pub struct DenoiserInput<'a> {
    /// [B, in_channels, h, w], f32; the network casts it to its own format.
    pub sample: &'a Tensor,
    /// In training timesteps; may be fractional.
    pub timestep: f64,
    /// The encoded prompt, [B, tokens, width].
    pub context: &'a Tensor,
    /// The embedded guidance scale [B, guidance_embedding_dim], for networks that take one.
    pub guidance_embedding: Option<&'a Tensor>,
    /// What else the network is told, one row for each entry.
    pub added: &'a AddedConditions,
    /// Which evaluation this is, from 0, of how many; those count that are left out at the end.
    pub index: usize,
    pub total: usize,
    /// Whether the batch is twice the pictures for guidance, those without the prompt first.
    pub doubled: bool,
}

/// The network that predicts noise (or what its scheduler's `prediction_type` says).
pub trait Denoiser {
    /// 4 for plain models, 9 for those made for inpainting.
    fn in_channels(&self) -> usize;

    /// The width of the guidance embedding of models distilled with it (LCM); others have none.
    fn guidance_embedding_dim(&self) -> Option<usize> {
        None
    }

    /// The prediction, [B, 4, h, w]; networks that predict a variance too give it as a second half,
    /// [B, 8, h, w].
    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor>;
}

/// The half of an autoencoder that makes pictures.
pub trait Decoder {
    /// What latents are multiplied by after encoding (0.18215 for Stable Diffusion 1 and 2).
    fn scaling_factor(&self) -> f64;

    /// Unscaled latents [B, C, h, w] to a picture [B, 3, H, W], about [-1, 1].
    fn decode(&self, latents: &Tensor) -> candle_core::Result<Tensor>;
}

/// Latents to a float picture [B, 3, H, W], before any clamp.
pub fn decode(decoder: &dyn Decoder, latents: &Tensor) -> Result<Tensor> {
    Ok(decoder.decode(&(latents / decoder.scaling_factor())?)?.to_dtype(DType::F32)?)
}
