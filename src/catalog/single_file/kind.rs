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
const OTHERS: [(&str, &str); 18] = [
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

/// Parts of names of adapters.
const OF_LORAS: [&str; 6] =
    ["lora_up.", "lora_down.", ".lora_A.", ".lora.up.", "_lora.up.", "hada_w1"];

/// Names of textual inversions.
const OF_EMBEDDINGS: [&str; 6] =
    ["emb_params", "clip_l", "clip_g", "text_encoders_0", "text_encoders_1", "string_to_param"];

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
    if parts.unet.has("conv_out") && parts.unet.has("up_blocks") {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::header::Entry;

    /// What a file of these tensors is.
    fn of(tensors: &[(&str, &[usize])]) -> Kind {
        let entry = |(name, shape): &(&str, &[usize])| {
            let entry = Entry { dtype: "F16".into(), shape: shape.to_vec(), begin: 0, end: 0 };
            ((*name).to_owned(), entry)
        };
        let header = Header::of_tensors(tensors.iter().map(entry).collect::<BTreeMap<_, _>>());
        kind(&header, &Parts::of(&header))
    }

    /// A U-Net with these tensors besides; its attention reads texts of this width.
    fn model(prefix: &str, width: usize, linear: bool, besides: &[(&str, &[usize])]) -> Kind {
        let attention = |end: &str| format!("{prefix}output_blocks.0.1.{end}");
        let out = format!("{prefix}out.2.weight");
        let (text, input) =
            (attention("transformer_blocks.0.attn2.to_k.weight"), attention("proj_in.weight"));
        let projection: &[usize] = if linear { &[64, 64] } else { &[64, 64, 1, 1] };
        let text_shape = [64, width];
        let own: [(&str, &[usize]); 3] =
            [(&out, &[4, 64, 3, 3]), (&text, &text_shape), (&input, projection)];
        of(&[&own, besides].concat())
    }

    #[test]
    fn families_are_told_apart_by_names_and_shapes() {
        const IN_A_MODEL: &str = "model.diffusion_model.";
        let label: (&str, &[usize]) = ("model.diffusion_model.label_emb.0.0.weight", &[64, 2816]);
        let second = "conditioner.embedders.0.model.ln_final.weight";
        for (found, right) in [
            (model(IN_A_MODEL, 768, false, &[]), Family::StableDiffusion1),
            (model("", 768, false, &[]), Family::StableDiffusion1),
            (model("state_dict.model.diffusion_model.", 768, false, &[]), Family::StableDiffusion1),
            (model(IN_A_MODEL, 1024, true, &[]), Family::StableDiffusion2),
            (model(IN_A_MODEL, 2048, true, &[label]), Family::StableDiffusionXl),
            (model(IN_A_MODEL, 1280, true, &[label]), Family::StableDiffusionXlRefiner),
            (
                model(IN_A_MODEL, 64, true, &[label, (second, &[64])]),
                Family::StableDiffusionXlRefiner,
            ),
        ] {
            assert_eq!(found, Kind::Model(right));
        }
        let control: (&str, &[usize]) = ("control_model.middle_block_out.0.bias", &[64]);
        assert!(matches!(model("control_model.", 768, false, &[control]), Kind::ControlNet(_)));
    }

    #[test]
    fn other_files_are_named() {
        let autoencoder: [(&str, &[usize]); 2] =
            [("encoder.mid.block_1.norm1.bias", &[4]), ("decoder.mid.block_1.norm1.bias", &[4])];
        assert_eq!(of(&autoencoder), Kind::Autoencoder);
        for (name, right) in [
            ("lora_unet_mid_block.lora_up.weight", Kind::Lora),
            ("emb_params", Kind::Embedding),
            ("clip_g", Kind::Embedding),
            ("text_encoders_0", Kind::Embedding),
        ] {
            assert_eq!(of(&[(name, &[4, 4])]), right);
        }
        for (name, what) in [
            ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
            ("double_blocks.0.img_attn.norm.key_norm.scale", "FLUX"),
            ("edm_mean", "EDM"),
            ("lllite_unet_input_blocks_4_1.conditioning1.0.bias", "LLLite"),
            ("control_add_embedding.linear_1.bias", "Union"),
            ("something.else", "without any model"),
        ] {
            let kind = of(&[(name, &[4])]);
            assert!(matches!(kind, Kind::Other(_)) && kind.name().contains(what), "{name}");
        }
    }
}
