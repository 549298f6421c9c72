//! Segment Anything: a picture and a few clicks to the mask of what was clicked on.
//!
//! The networks are candle-transformers'. They compute GELU in its tanh form where the originals
//! have the exact one, which moves a picture's embedding by about a thousandth.

use std::{collections::HashMap, ops::ControlFlow, path::Path};

use candle_core::{DType, Device, Result as TensorResult, Tensor, bail};
use candle_nn::VarBuilder;
use candle_transformers::models::segment_anything::sam::Sam;

use super::{BytesRead, NetworkError, Result, Weights};

/// The longer side of the pictures that the network takes, in pixels.
pub const SIDE: usize = candle_transformers::models::segment_anything::sam::IMAGE_SIZE;

/// The side of the masks that it gives.
pub const MASK_SIDE: usize = 256;

/// Tensors of the networks begin so; others in the same file are not needed.
const PARTS: [&str; 3] = ["image_encoder.", "prompt_encoder.", "mask_decoder."];

/// A loaded network, in f32.
pub struct SegmentAnything {
    sam: Sam,
    device: Device,
}

/// A place in the picture that is part of the object, or is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// In pixels of the picture as it was given to [`SegmentAnything::embed`].
    pub x: f64,
    pub y: f64,
    pub inside: bool,
}

/// What the clicks may have meant.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// [n, [`MASK_SIDE`], [`MASK_SIDE`]]: above 0 belongs to the object. They cover a square of
    /// [`SIDE`] pixels, of which the picture is the top left part.
    pub masks: Tensor,
    /// How good each is, as the network guesses it, about 0 to 1.
    pub qualities: Vec<f32>,
}

impl SegmentAnything {
    /// Loads a file of weights: MobileSAM's, or one of the original (`sam_vit_b` and larger). What
    /// it is follows from its tensors.
    ///
    /// # Errors
    /// If the file is unreadable or none of these, or `progress` ends the loading.
    pub fn load(
        file: &Path,
        device: &Device,
        progress: impl FnMut(BytesRead) -> ControlFlow<()>,
    ) -> Result<Self> {
        let weights = Weights::open(file, DType::F32, device, progress)?;
        let shapes: HashMap<String, Vec<usize>> = weights.shapes().collect();
        let encoder = Encoder::of(&shapes).map_err(|why| NetworkError::Unexpected {
            file: file.to_owned(),
            expected: "the weights of Segment Anything",
            why,
        })?;
        let mut tensors = HashMap::new();
        for (name, shape) in shapes {
            if PARTS.iter().any(|part| name.starts_with(part)) {
                tensors.insert(name.clone(), weights.get(shape, &name)?);
            }
        }
        let tensors = VarBuilder::from_tensors(tensors, DType::F32, device);
        let sam = match encoder {
            Encoder::Tiny => Sam::new_tiny(tensors)?,
            Encoder::Vit { width, depth, heads, global } => {
                Sam::new(width, depth, heads, &global, tensors)?
            }
        };
        Ok(Self { sam, device: device.clone() })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the network knows about a picture [3, H, W], red first, 0 to 255, whose longer side is
    /// [`SIDE`]. By far the most costly part, and the same for all clicks.
    pub fn embed(&self, picture: &Tensor) -> TensorResult<Tensor> {
        let (channels, height, width) = picture.dims3()?;
        if channels != 3 || height.max(width) != SIDE {
            bail!("a picture of {channels} channels and {width}x{height}, not 3 and {SIDE}");
        }
        self.sam.embeddings(picture)
    }

    /// The masks that one or more clicks may stand for. A single click is ambiguous (a window, a
    /// house, a street), so it gets three answers; several get one.
    pub fn candidates(&self, embedding: &Tensor, clicks: &[Click]) -> TensorResult<Candidates> {
        // As parts of a square: the network multiplies by the size that it is told.
        let part = |at: f64| at / SIDE as f64;
        let points: Vec<(f64, f64, bool)> =
            clicks.iter().map(|click| (part(click.x), part(click.y), click.inside)).collect();
        if points.is_empty() {
            bail!("nothing was clicked");
        }
        let ambiguous = points.len() == 1;
        let (masks, qualities) =
            self.sam.forward_for_embeddings(embedding, SIDE, SIDE, &points, ambiguous)?;
        Ok(Candidates { masks: masks.get(0)?, qualities: qualities.get(0)?.to_vec1()? })
    }
}

/// The part of the network that sees the picture, as the tensors' names and shapes tell it.
#[derive(Debug, PartialEq)]
enum Encoder {
    /// MobileSAM's.
    Tiny,
    /// The original's, of any size.
    Vit {
        width: usize,
        depth: usize,
        heads: usize,
        /// Blocks that look at the whole picture at once.
        global: Vec<usize>,
    },
}

impl Encoder {
    fn of(shapes: &HashMap<String, Vec<usize>>) -> std::result::Result<Self, String> {
        if shapes.keys().any(|name| name.starts_with("vision_encoder.")) {
            let why = "it has transformers' names; get the original's file, or MobileSAM's";
            return Err(why.into());
        }
        if !shapes.contains_key("mask_decoder.iou_token.weight") {
            return Err("there is no mask decoder in it".into());
        }
        if shapes.contains_key("image_encoder.patch_embed.seq.0.c.weight") {
            return Ok(Self::Tiny);
        }
        Self::vit(shapes).ok_or_else(|| "its image encoder is of an unknown kind".into())
    }

    fn vit(shapes: &HashMap<String, Vec<usize>>) -> Option<Self> {
        let &[1, side, _, width] = shapes.get("image_encoder.pos_embed")?.as_slice() else {
            return None;
        };
        let relative = |block: usize| {
            shapes.get(&format!("image_encoder.blocks.{block}.attn.rel_pos_h")).map(Vec::as_slice)
        };
        let depth = (0..).take_while(|&block| relative(block).is_some()).count();
        let &[_, head_width] = relative(0)? else { return None };
        if head_width == 0 || width % head_width != 0 {
            return None;
        }
        // A block that looks at windows has fewer distances to tell apart.
        let is_global = |&block: &usize| relative(block).is_some_and(|s| s[0] == 2 * side - 1);
        let global = (0..depth).filter(is_global).collect();
        Some(Self::Vit { width, depth, heads: width / head_width, global })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(of: &[(&str, &[usize])]) -> HashMap<String, Vec<usize>> {
        of.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
    }

    #[test]
    fn the_tensors_tell_which_network_it_is() {
        let decoder: (&str, &[usize]) = ("mask_decoder.iou_token.weight", &[1, 256]);
        let tiny = shapes(&[decoder, ("image_encoder.patch_embed.seq.0.c.weight", &[32, 3, 3, 3])]);
        assert_eq!(Encoder::of(&tiny), Ok(Encoder::Tiny));
        let vit = shapes(&[
            decoder,
            ("image_encoder.pos_embed", &[1, 64, 64, 768]),
            ("image_encoder.blocks.0.attn.rel_pos_h", &[27, 64]),
            ("image_encoder.blocks.1.attn.rel_pos_h", &[127, 64]),
        ]);
        let right = Encoder::Vit { width: 768, depth: 2, heads: 12, global: vec![1] };
        assert_eq!(Encoder::of(&vit), Ok(right));
    }

    #[test]
    fn other_files_are_named_as_such() {
        assert!(Encoder::of(&shapes(&[("a", &[1])])).unwrap_err().contains("no mask decoder"));
        let other = shapes(&[("vision_encoder.pos_embed", &[1, 64, 64, 768])]);
        assert!(Encoder::of(&other).unwrap_err().contains("transformers"));
        let decoder: (&str, &[usize]) = ("mask_decoder.iou_token.weight", &[1, 256]);
        assert!(Encoder::of(&shapes(&[decoder])).unwrap_err().contains("unknown kind"));
    }
}
