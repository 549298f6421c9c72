//! The text encoders of the families.

use crate::catalog::Family;

/// An encoder of a family: its folder, its tokenizer's, the activation and the token that pads.
pub struct Encoder {
    pub part: &'static str,
    pub tokenizer: &'static str,
    pub activation: &'static str,
    pub padding: &'static str,
    pub projects: bool,
}

const FIRST: Encoder = Encoder {
    part: "text_encoder",
    tokenizer: "tokenizer",
    activation: "quick_gelu",
    padding: "<|endoftext|>",
    projects: false,
};
const SECOND_GENERATION: Encoder = Encoder { activation: "gelu", padding: "!", ..FIRST };
pub const SECOND: Encoder = Encoder {
    part: "text_encoder_2",
    tokenizer: "tokenizer_2",
    projects: true,
    ..SECOND_GENERATION
};

/// Stable Diffusion 2 was trained on the states before OpenCLIP's last layer, its 24th, which files
/// hold although nothing reads it.
pub const UNREAD_LAYER: &str = "text_model.encoder.layers.23";

/// From the first.
pub fn encoders(family: Family) -> &'static [Encoder] {
    match family {
        Family::StableDiffusion2 => &[SECOND_GENERATION],
        Family::StableDiffusionXl => &[FIRST, SECOND],
        Family::StableDiffusionXlRefiner => &[SECOND],
        Family::StableDiffusion1 | Family::Custom => &[FIRST],
        // It is published in folders only, and reads through a prior.
        Family::Kandinsky22 => &[],
    }
}
