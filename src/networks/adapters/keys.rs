//! The names of tensors in LoRA files, read: which network, which layer, which of its matrices.
//!
//! | written by | a name |
//! |---|---|
//! | diffusers, PEFT | `unet.mid_block.attentions.0.proj_in.lora_A.weight` |
//! | diffusers before PEFT | `text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_linear_layer.up.weight` |
//! | diffusers, attention processors | `unet.mid_block.[...].attn1.processor.to_q_lora.down.weight` |
//! | kohya | `lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`, `.alpha` |

/// The networks that can be adapted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Unet,
    TextEncoder,
    /// The second text encoder of Stable Diffusion XL.
    TextEncoder2,
}

/// A layer, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The path of the module: `mid_block.attentions.0.proj_in`.
    Path(String),
    /// With underscores for the dots, as kohya's trainers write it.
    Flat(String),
}

impl Layer {
    /// As the file has it, without the network.
    pub fn text(&self) -> &str {
        match self {
            Self::Path(text) | Self::Flat(text) => text,
        }
    }
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A, [rank, inputs, ...].
    Down,
    /// B, [outputs, rank, ...].
    Up,
    /// Of B, [outputs].
    UpBias,
    /// The scale is alpha / rank.
    Alpha,
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub part: Part,
    pub layer: Layer,
    pub role: Role,
}

const PREFIXES: [(&str, Part); 3] = [
    ("unet.", Part::Unet),
    ("text_encoder.", Part::TextEncoder),
    ("text_encoder_2.", Part::TextEncoder2),
];

const KOHYA_PREFIXES: [(&str, Part); 4] = [
    ("lora_unet_", Part::Unet),
    ("lora_te_", Part::TextEncoder),
    ("lora_te1_", Part::TextEncoder),
    ("lora_te2_", Part::TextEncoder2),
];

const ROLES: [(&str, Role); 12] = [
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_B.bias", Role::UpBias),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

/// Attention processors call the text encoders' projections as the U-Net's.
const OF_PROCESSORS: [(&str, &str); 4] = [
    (".self_attn.to_q", ".self_attn.q_proj"),
    (".self_attn.to_k", ".self_attn.k_proj"),
    (".self_attn.to_v", ".self_attn.v_proj"),
    (".self_attn.to_out", ".self_attn.out_proj"),
];

/// Parts of names that belong to other kinds of adapters, and what those are.
const OTHER_KINDS: [(&str, &str); 9] = [
    ("dora_scale", "a DoRA (LoRA with a magnitude for each output)"),
    ("lora_magnitude_vector", "a DoRA (LoRA with a magnitude for each output)"),
    ("hada_w", "a LoHa (LyCORIS, Hadamard products)"),
    ("lokr_", "a LoKr (LyCORIS, Kronecker products)"),
    ("lora_mid", "a LoCon in Tucker form (LyCORIS, with a third matrix)"),
    ("oft_", "an OFT (orthogonal fine-tuning)"),
    (".on_input", "an (IA)^3 (LyCORIS)"),
    (".diff", "a file of whole weights' differences (LyCORIS, full)"),
    ("lora_embedding_", "a LoRA of token embeddings"),
];

/// What kind of adapter has a tensor of this name, if it is none that is read here.
pub fn other_kind(name: &str) -> Option<&'static str> {
    OTHER_KINDS.iter().find(|(part, _)| name.contains(part)).map(|(_, what)| *what)
}

/// `None` for a name of no known form.
pub fn parse(name: &str) -> Option<Key> {
    let (layer, role) =
        ROLES.iter().find_map(|(end, role)| Some((name.strip_suffix(end)?, *role)))?;
    let kohya = KOHYA_PREFIXES.iter().find_map(|(p, part)| Some((layer.strip_prefix(p)?, *part)));
    if let Some((flat, part)) = kohya {
        let flat = flat.strip_prefix("text_model_").unwrap_or(flat);
        return Some(Key { part, layer: Layer::Flat(flat.to_owned()), role });
    }
    let layer = layer.strip_prefix("base_model.model.").unwrap_or(layer);
    let (path, part) = PREFIXES
        .iter()
        .find_map(|(prefix, part)| Some((layer.strip_prefix(prefix)?, *part)))
        .unwrap_or((layer, Part::Unet));
    Some(Key { part, layer: Layer::Path(module(path)), role })
}

/// The path of the module that a dotted name means.
fn module(path: &str) -> String {
    let path = path.strip_prefix("text_model.").unwrap_or(path).replace(".processor.", ".");
    for (old, new) in OF_PROCESSORS {
        if let Some(start) = path.strip_suffix(old) {
            return format!("{start}{new}");
        }
    }
    if path.ends_with(".to_out") { format!("{path}.0") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> (Part, String, Role) {
        let key = parse(name).unwrap();
        (key.part, key.layer.text().to_owned(), key.role)
    }

    #[test]
    fn every_way_to_name_a_layer() {
        let q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q".to_owned();
        let unet =
            |rest: &str| format!("unet.down_blocks.0.attentions.0.transformer_blocks.0.{rest}");
        assert_eq!(path(&unet("attn1.to_q.lora_A.weight")), (Part::Unet, q.clone(), Role::Down));
        assert_eq!(path(&unet("attn1.to_q.lora.up.weight")), (Part::Unet, q.clone(), Role::Up));
        let processor = unet("attn1.processor.to_q_lora.down.weight");
        assert_eq!(path(&processor), (Part::Unet, q.clone(), Role::Down));
        assert_eq!(path(processor.strip_prefix("unet.").unwrap()), (Part::Unet, q, Role::Down));
        let out = path(&unet("attn2.processor.to_out_lora.up.weight")).1;
        assert!(out.ends_with("attn2.to_out.0"), "{out}");
        let layer = "text_encoder_2.text_model.encoder.layers.1";
        let fc1 = path(&format!("{layer}.mlp.fc1.lora_linear_layer.up.weight"));
        assert_eq!(fc1, (Part::TextEncoder2, "encoder.layers.1.mlp.fc1".into(), Role::Up));
        let out = path(&format!("{layer}.self_attn.to_out_lora.down.weight"));
        let right = "encoder.layers.1.self_attn.out_proj".to_owned();
        assert_eq!(out, (Part::TextEncoder2, right, Role::Down));
    }

    #[test]
    fn kohyas_names_keep_their_underscores() {
        let key = parse("lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha").unwrap();
        let layer = Layer::Flat("encoder_layers_0_self_attn_q_proj".into());
        assert_eq!(key, Key { part: Part::TextEncoder, layer, role: Role::Alpha });
        assert_eq!(parse("lora_unet_conv_in.lora_down.weight").unwrap().part, Part::Unet);
    }

    #[test]
    fn what_is_no_lora_is_told_apart() {
        assert_eq!(parse("unet.conv_in.weight"), None);
        assert!(other_kind("lora_unet_mid_block.hada_w1_a").unwrap().contains("LoHa"));
        assert!(other_kind("unet.conv_in.lora_magnitude_vector").unwrap().contains("DoRA"));
        assert_eq!(other_kind("unet.conv_in.lora_A.weight"), None);
    }
}
