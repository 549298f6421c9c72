//! What a file, a folder or something of the catalogue is.

use serde::{Deserialize, Deserializer, Serialize};

use super::Family;

/// What something is, and for which line of models where that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Paints: a U-Net, with the rest of a model or without.
    Model(Family),
    /// What decoders of Kandinsky read prompts through.
    Prior,
    Autoencoder,
    TinyAutoencoder,
    #[serde(rename = "controlnet")]
    ControlNet(Family),
    Lora(Option<Family>),
    Embedding(Option<Family>),
    /// Weights of smart select.
    Segmentation,
    /// Something that the program has no use for, and what that is.
    Other(#[serde(deserialize_with = "known_text")] Text),
}

/// Under a name of its own: serde would borrow a `&'static str` from what is read.
type Text = &'static str;

/// Parts of names that only other kinds of models have, and what those are.
pub(super) const OTHERS: [(&str, &str); 18] = [
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
    ("lora_controlnet", "a Control-LoRA"),
    ("lllite_", "a ControlNet-LLLite"),
    ("control_add_embedding.", "a ControlNet Union"),
    ("model.diffusion_model.input_blocks.1.1.time_stack.", "a video model (SVD)"),
];

/// Where nothing fits.
pub(super) const UNKNOWN: &str = "a file without any model that is known";

fn known_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut known = OTHERS.iter().map(|(_, what)| *what).chain([UNKNOWN]);
    known
        .find(|what| *what == text)
        .ok_or_else(|| serde::de::Error::custom("what it is, is not known"))
}

impl Kind {
    /// For a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model(family) => family.name(),
            Self::Prior => "a prior of Kandinsky 2.2",
            Self::Autoencoder => "an autoencoder (VAE)",
            Self::ControlNet(_) => "a ControlNet",
            Self::Lora(_) => "a LoRA",
            Self::Embedding(_) => "an embedding (textual inversion)",
            Self::TinyAutoencoder => "a tiny autoencoder (TAESD)",
            Self::Segmentation => "weights of smart select",
            Self::Other(what) => what,
        }
    }

    /// The line of models that it is of, or goes with, where that can be told.
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Model(family) | Self::ControlNet(family) => Some(family),
            Self::Lora(family) | Self::Embedding(family) => family,
            Self::Prior => Some(Family::Kandinsky22),
            Self::Autoencoder | Self::TinyAutoencoder | Self::Segmentation | Self::Other(_) => None,
        }
    }

    /// What else than a model it serves: options of the command line.
    pub fn uses(self) -> &'static [&'static str] {
        match self {
            Self::Autoencoder | Self::TinyAutoencoder => &["--vae"],
            Self::Lora(_) => &["--lora"],
            Self::Embedding(_) => &["--embedding"],
            Self::ControlNet(_) => &["--controlnet"],
            Self::Prior => &["--prior"],
            Self::Model(_) | Self::Segmentation | Self::Other(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_again() {
        let all = [
            Kind::Model(Family::StableDiffusionXlRefiner),
            Kind::ControlNet(Family::StableDiffusion1),
            Kind::Lora(None),
            Kind::Embedding(Some(Family::StableDiffusion2)),
            Kind::Prior,
            Kind::Other(OTHERS[3].1),
            Kind::Other(UNKNOWN),
        ];
        for kind in all {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), kind, "{text}");
        }
        assert!(serde_json::from_str::<Kind>(r#"{"other": "something else"}"#).is_err());
    }
}
