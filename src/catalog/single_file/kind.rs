//! What kind of file it is, and which family: from names and shapes.

use super::parts::Parts;
use crate::catalog::{Family, header::Header};

/// What a single file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A U-Net, with the rest of a model or without.
    Model(Family),
    Autoencoder,
    ControlNet(Family),
    Lora,
    Embedding,
    TinyAutoencoder,
    /// Something that the program has no use for, and what that is.
    Other(&'static str),
}

/// Parts of names that only other kinds of models have, and what those are.
const OTHERS: [(&str, &str); 15] = [
    ("joint_blocks.0.", "a Stable Diffusion 3 model"),
    ("double_blocks.0.", "a FLUX model"),
    ("clip_txt_mapper.", "a Stable Cascade model"),
    ("cap_embedder.", "a Lumina or Z-Image model"),
    ("patchify_proj.", "a video model (LTX)"),
    ("motion_modules.", "a motion module (AnimateDiff)"),
    ("low_scale_model.", "an upscaling model"),
    ("noise_augmentor.", "an unCLIP model"),
    ("embedder.model.visual.", "an unCLIP model"),
    ("edm_mean", "an EDM model (Playground 2.5)"),
    ("edm_vpred.sigma_max", "an EDM model (CosXL)"),
    ("depth_model.", "a depth-to-image model"),
    ("image_proj.", "an IP-Adapter"),
    ("adapter.body.", "a T2I-Adapter"),
    ("model.diffusion_model.input_blocks.1.1.time_stack.", "a video model (SVD)"),
];

/// Parts of names of adapters.
const OF_LORAS: [&str; 6] =
    ["lora_up.", "lora_down.", ".lora_A.", ".lora.up.", "_lora.up.", "hada_w1"];

/// Names of textual inversions.
const OF_EMBEDDINGS: [&str; 4] = ["emb_params", "clip_l", "clip_g", "string_to_param"];

pub fn kind(header: &Header, parts: &Parts) -> Kind {
    let names = || header.tensors.keys();
    if names().any(|name| OF_LORAS.iter().any(|part| name.contains(part))) {
        return Kind::Lora;
    }
    if let Some((_, what)) = OTHERS.iter().find(|(part, _)| names().any(|name| name.contains(part)))
    {
        return Kind::Other(what);
    }
    if parts.controlnet.has("controlnet_mid_block") {
        return Kind::ControlNet(family_of(&parts.controlnet, parts));
    }
    if parts.unet.has("conv_out") && parts.unet.has("mid_block") {
        return Kind::Model(family_of(&parts.unet, parts));
    }
    let vae = &parts.autoencoder;
    if vae.has("encoder.mid_block") && vae.has("decoder.mid_block") {
        return Kind::Autoencoder;
    }
    let few = header.tensors.len() <= 4;
    if few && names().any(|name| OF_EMBEDDINGS.contains(&name.as_str()) || name.starts_with('<')) {
        return Kind::Embedding;
    }
    if names().any(|name| name.ends_with("decoder.layers.0.weight") || name == "1.weight") {
        return Kind::TinyAutoencoder;
    }
    Kind::Other("a file without any model that is known")
}

/// By the U-Net alone, where the text encoders do not tell.
fn family_of(unet: &super::parts::Component, parts: &Parts) -> Family {
    let context = unet
        .names()
        .find(|name| name.ends_with("attn2.to_k.weight"))
        .and_then(|name| unet.side(name, 1));
    let linear = unet
        .names()
        .find(|name| name.ends_with("proj_in.weight"))
        .and_then(|name| unet.shape(name))
        .is_some_and(|shape| shape.len() == 2);
    if unet.has("add_embedding") {
        // The refiner reads the second encoder's text only.
        let second = parts.text_2.side("text_model.final_layer_norm.weight", 0).unwrap_or(1280);
        let refines = parts.text.is_empty() && context == Some(second);
        return if refines { Family::StableDiffusionXlRefiner } else { Family::StableDiffusionXl };
    }
    if linear || context == Some(1024) {
        Family::StableDiffusion2
    } else {
        Family::StableDiffusion1
    }
}

impl Kind {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model(family) => family.name(),
            Self::Autoencoder => "an autoencoder (VAE)",
            Self::ControlNet(_) => "a ControlNet",
            Self::Lora => "a LoRA",
            Self::Embedding => "an embedding (textual inversion)",
            Self::TinyAutoencoder => "a tiny autoencoder (TAESD)",
            Self::Other(what) => what,
        }
    }

    /// What else than a model it serves: options of the command line.
    pub fn uses(self) -> &'static [&'static str] {
        match self {
            Self::Autoencoder | Self::TinyAutoencoder => &["--vae"],
            Self::Lora => &["--lora"],
            Self::Embedding => &["--embedding"],
            Self::ControlNet(_) => &["--controlnet"],
            Self::Model(_) | Self::Other(_) => &[],
        }
    }
}
