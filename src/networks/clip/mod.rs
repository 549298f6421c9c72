//! `CLIPTextModel` and `CLIPTextModelWithProjection`: the prompt's tokens to hidden states that the
//! U-Net attends to, and to one vector for the whole text. And CLIP's picture encoder,
//! `CLIPVisionModelWithProjection`.

mod config;
mod layer;
mod vision;

use candle_core::{DType, Device, Module, Result, Tensor, bail};

use self::layer::EncoderLayer;
pub use self::{
    config::{ClipTextConfig, ClipVisionConfig},
    vision::ClipVisionModel,
};
use super::{
    Result as LoadResult, Weights,
    adapters::Slots,
    layers::{LayerNorm, Linear},
};

/// Files from before transformers 4.31 say this, and mean the largest token id of the text.
const LEGACY_EOS: u32 = 2;

/// What the encoder makes of a batch of texts.
#[derive(Clone, Debug)]
pub struct TextOutput {
    /// [B, T, width], after the final layer normalisation.
    pub last_hidden_state: Tensor,
    /// The state at each text's end token, [B, width].
    pub pooled: Tensor,
    /// `pooled` through the projection, [B, projection width], for models that have one.
    pub text_embeds: Option<Tensor>,
    /// What goes into each layer, and what comes out of the last: one more than layers, each
    /// [B, T, width], not normalised.
    pub hidden_states: Vec<Tensor>,
}

/// What there is to a text besides its ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'a> {
    /// Which places may be attended to, one entry each; all where absent.
    pub seen: Option<&'a [bool]>,
    /// Vectors [n, width] for ids that were added to the vocabulary, and the id of the first.
    pub added: Option<(u32, &'a Tensor)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ClipTextModel {
    token_embedding: Tensor,
    position_embedding: Tensor,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Option<Linear>,
    device: Device,
    dtype: DType,
    slots: Slots,
    config: ClipTextConfig,
}

impl ClipTextModel {
    /// # Errors
    /// If a tensor is missing, has another shape than the configuration says, or is not finite.
    pub fn load(config: ClipTextConfig, all: &Weights<'_>) -> LoadResult<Self> {
        let projection = all.pp("text_projection");
        let weights = all.pp("text_model");
        let (width, places) = (config.hidden_size, config.max_position_embeddings);
        let embeddings = weights.pp("embeddings");
        let layer =
            |i| EncoderLayer::load(&weights.pp(format!("encoder.layers.{i}")), config.layer());
        let eps = config.layer_norm_eps;
        Ok(Self {
            token_embedding: embeddings
                .get((config.vocab_size, width), "token_embedding.weight")?,
            position_embedding: embeddings.get((places, width), "position_embedding.weight")?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<LoadResult<_>>()?,
            final_layer_norm: LayerNorm::load(&weights.pp("final_layer_norm"), width, eps)?,
            text_projection: config
                .projection
                .map(|outputs| Linear::load_no_bias(&projection, width, outputs))
                .transpose()?,
            device: weights.device().clone(),
            dtype: weights.dtype(),
            slots: all.slots(),
            config,
        })
    }

    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Where it can be adapted.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the network computes in, and its output comes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The prompt as the U-Net takes it, [B, T, width]: the last hidden state, or with
    /// `clip_skip` n the one that n layers fewer give; normalised in either case.
    ///
    /// # Errors
    /// If texts are of different or too great length, an id is not in the vocabulary, or there
    /// are not as many layers to skip.
    pub fn encode(&self, ids: &[Vec<u32>], clip_skip: Option<usize>) -> Result<Tensor> {
        let state = self.hidden_state(&self.embed(ids, None)?, clip_skip.unwrap_or(0))?;
        self.normalized(&state)
    }

    /// A hidden state through the final layer normalisation.
    pub fn normalized(&self, state: &Tensor) -> Result<Tensor> {
        self.final_layer_norm.forward(state)
    }

    /// Everything that the encoder says. Errors as [`encode`](Self::encode), and if `reading` does
    /// not fit the ids.
    pub fn forward(&self, ids: &[Vec<u32>], reading: Reading<'_>) -> Result<TextOutput> {
        let mut hidden_states = vec![self.positioned(&self.embed(ids, reading.added)?)?];
        for layer in &self.layers {
            let next = layer.forward(&hidden_states[hidden_states.len() - 1], reading.seen)?;
            hidden_states.push(next);
        }
        let last = &hidden_states[hidden_states.len() - 1];
        let last_hidden_state = self.final_layer_norm.forward(last)?;
        let ends = ids.iter().map(|ids| self.end(ids)).enumerate();
        let rows = ends
            .map(|(entry, end)| last_hidden_state.get(entry)?.get(end))
            .collect::<Result<Vec<_>>>()?;
        let pooled = Tensor::stack(&rows, 0)?;
        let project = |projection: &Linear| projection.forward(&pooled);
        let text_embeds = self.text_projection.as_ref().map(project).transpose()?;
        Ok(TextOutput { last_hidden_state, pooled, text_embeds, hidden_states })
    }

    /// Token embeddings [B, T, width], without positions; `added` as in [`Reading`].
    pub fn embed(&self, ids: &[Vec<u32>], added: Option<(u32, &Tensor)>) -> Result<Tensor> {
        let length = ids.first().map_or(0, Vec::len);
        if length == 0 || ids.iter().any(|ids| ids.len() != length) {
            bail!("texts of one batch need the same number of tokens, and one at least");
        }
        let flat: Vec<u32> = ids.iter().flatten().copied().collect();
        let rows = match added {
            Some((first, vectors)) => self.rows_with(&flat, first, vectors)?,
            None => self.rows(&flat)?,
        };
        rows.reshape((ids.len(), length, ()))
    }

    /// Vectors [n, width] of the vocabulary.
    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let size = self.config.vocab_size;
        if let Some(id) = ids.iter().find(|id| **id as usize >= size) {
            bail!("token {id} is beyond the text encoder's vocabulary of {size}");
        }
        self.token_embedding.index_select(&Tensor::new(ids, &self.device)?, 0)
    }

    /// The same, where ids from `first` on have vectors of their own.
    fn rows_with(&self, ids: &[u32], first: u32, vectors: &Tensor) -> Result<Tensor> {
        let is_added = |id: &u32| *id >= first;
        let known: Vec<u32> = ids.iter().map(|id| if is_added(id) { 0 } else { *id }).collect();
        let added: Vec<u32> = ids.iter().map(|id| id.saturating_sub(first)).collect();
        let count = vectors.dim(0)?;
        if let Some(id) = added.iter().find(|id| **id as usize >= count) {
            bail!("added token {id} has no vector, there are {count}");
        }
        let known = self.rows(&known)?;
        let added = vectors.index_select(&Tensor::new(added, &self.device)?, 0)?;
        let which: Vec<u8> = ids.iter().map(|id| u8::from(is_added(id))).collect();
        let which = Tensor::from_vec(which, (ids.len(), 1), &self.device)?;
        which.broadcast_as(known.shape())?.where_cond(&added, &known)
    }

    /// The state [B, T, width] after all layers but the last `skipped`, not normalised, from token
    /// embeddings [B, T, width].
    pub fn hidden_state(&self, embeddings: &Tensor, skipped: usize) -> Result<Tensor> {
        let Some(used) = self.layers.len().checked_sub(skipped) else {
            let layers = self.layers.len();
            bail!("clip skip is {skipped}, but the text encoder has {layers} layers only");
        };
        let mut state = self.positioned(embeddings)?;
        for layer in &self.layers[..used] {
            state = layer.forward(&state, None)?;
        }
        Ok(state)
    }

    /// Token embeddings [B, T, width] with their places.
    fn positioned(&self, embeddings: &Tensor) -> Result<Tensor> {
        let length = embeddings.dim(1)?;
        let longest = self.config.max_position_embeddings;
        if length > longest {
            bail!("the text has {length} tokens, but the text encoder takes {longest} at most");
        }
        embeddings.broadcast_add(&self.position_embedding.narrow(0, 0, length)?)
    }

    /// Where the text ends: its first end token, or the first token if there is none.
    fn end(&self, ids: &[u32]) -> usize {
        let end = match self.config.eos_token_id {
            LEGACY_EOS => ids.iter().copied().max().unwrap_or_default(),
            eos => eos,
        };
        ids.iter().position(|id| *id == end).unwrap_or(0)
    }
}
