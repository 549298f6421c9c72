//! `CLIPVisionModelWithProjection`: a picture to one vector, in the space of the text's.

use candle_core::{DType, Device, Module, Result, Tensor, bail};

use super::{config::ClipVisionConfig, layer::EncoderLayer};
use crate::networks::{
    Result as LoadResult, Weights,
    layers::{LayerNorm, Linear},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct ClipVisionModel {
    /// [hidden, channels * patch * patch].
    patch_embedding: Tensor,
    /// [1, hidden].
    class_embedding: Tensor,
    position_embedding: Tensor,
    pre_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    post_norm: LayerNorm,
    projection: Linear,
    config: ClipVisionConfig,
}

impl ClipVisionModel {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: ClipVisionConfig, weights: &Weights<'_>) -> LoadResult<Self> {
        let projection = weights.pp("visual_projection");
        let weights = weights.pp("vision_model");
        let (width, patch) = (config.hidden_size, config.patch_size);
        let embeddings = weights.pp("embeddings");
        let places = config.patches().pow(2) + 1;
        let norm = |name| LayerNorm::load(&weights.pp(name), width, config.layer_norm_eps);
        let layer =
            |i| EncoderLayer::load(&weights.pp(format!("encoder.layers.{i}")), config.layer());
        let kernel = (width, config.num_channels, patch, patch);
        Ok(Self {
            patch_embedding: embeddings.get(kernel, "patch_embedding.weight")?.flatten_from(1)?,
            class_embedding: embeddings.get(width, "class_embedding")?.unsqueeze(0)?,
            position_embedding: embeddings.get((places, width), "position_embedding.weight")?,
            // The reference's own spelling.
            pre_norm: norm("pre_layrnorm")?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<LoadResult<_>>()?,
            post_norm: norm("post_layernorm")?,
            projection: Linear::load_no_bias(&projection, width, config.projection_dim)?,
            config,
        })
    }

    pub fn config(&self) -> &ClipVisionConfig {
        &self.config
    }

    pub fn device(&self) -> &Device {
        self.patch_embedding.device()
    }

    /// The embeddings [B, projection_dim] of pictures [B, 3, image_size, image_size], which are
    /// normalised as the model's `preprocessor_config.json` says.
    ///
    /// # Errors
    /// If the pictures have another size.
    pub fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = pictures.dims4()?;
        let (right, side) = (self.config.num_channels, self.config.image_size);
        if (channels, height, width) != (right, side, side) {
            bail!(
                "the picture encoder takes [B, {right}, {side}, {side}], got {:?}",
                pictures.dims()
            );
        }
        let patches = self.patches(pictures)?.broadcast_matmul(&self.patch_embedding.t()?)?;
        let class = self.class_embedding.unsqueeze(0)?.repeat((batch, 1, 1))?;
        let places =
            Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.position_embedding)?;
        let mut state = self.pre_norm.forward(&places)?;
        for layer in &self.layers {
            state = layer.forward(&state, None)?;
        }
        let whole = state.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.projection.forward(&self.post_norm.forward(&whole)?)
    }

    /// The embedding [1, projection_dim] of a picture of zeros, the mean colour of normalised
    /// pictures: what stands for no picture at all.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn embed_empty(&self) -> Result<Tensor> {
        let (channels, side) = (self.config.num_channels, self.config.image_size);
        let zeros = Tensor::zeros((1, channels, side, side), DType::F32, self.device())?;
        self.forward(&zeros)
    }

    /// Pictures [B, C, H, W] cut into squares, row by row: [B, squares, C * patch * patch].
    fn patches(&self, pictures: &Tensor) -> Result<Tensor> {
        let (batch, channels, _, _) = pictures.dims4()?;
        let (count, patch) = (self.config.patches(), self.config.patch_size);
        let used = count * patch;
        let pictures = pictures.to_dtype(self.patch_embedding.dtype())?;
        let pictures = pictures.narrow(2, 0, used)?.narrow(3, 0, used)?.contiguous()?;
        let parts = pictures.reshape(&[batch, channels, count, patch, count, patch][..])?;
        let parts = parts.permute([0, 2, 4, 1, 3, 5])?.contiguous()?;
        parts.reshape((batch, count * count, channels * patch * patch))
    }
}
