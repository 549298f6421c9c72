//! Configurations of U-Nets and of ControlNets.

use serde_json::{Value, json};

use super::depths::Depths;
use super::{Config, HEAD_WIDTH, groups, largest, largest_of, object};
use crate::catalog::{Family, single_file::parts::Component};

/// Heads of Stable Diffusion 1, at every resolution.
const HEADS: usize = 8;

/// `UNet2DConditionModel`, or the part of it that a `ControlNetModel` has.
///
/// # Errors
/// What about the network is not as in any of its family.
pub fn unet(unet: &Component, family: Family, sample_size: usize) -> Result<Config, String> {
    let levels = unet.count("down_blocks");
    let side = |name: &str, side| unet.side(name, side).ok_or_else(|| format!("it lacks {name}"));
    let mut channels = Vec::new();
    for level in 0..levels {
        channels.push(side(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0)?);
    }
    let first = *channels.first().ok_or("it has no blocks")?;
    let layers: Vec<usize> =
        (0..levels).map(|level| unet.count(&format!("down_blocks.{level}.resnets"))).collect();
    let mut config = object(json!({
        "sample_size": sample_size,
        "in_channels": side("conv_in.weight", 1)?,
        "block_out_channels": channels,
        "layers_per_block": one_or_many(&layers),
        "norm_num_groups": groups(unet),
    }));
    if unet.has("conv_out") {
        config.insert("out_channels".into(), json!(side("conv_out.weight", 0)?));
    }
    let depths = Depths::of(unet, levels)?;
    config.extend(depths.settings());
    attention(unet, family, &mut config, &channels, &depths.attends())?;
    if let Some(width) = unet.side("time_embedding.linear_1.weight", 0).filter(|w| *w != 4 * first)
    {
        config.insert("time_embedding_dim".into(), json!(width));
    }
    if let Some(width) = unet.side("time_embedding.cond_proj.weight", 1) {
        config.insert("time_cond_proj_dim".into(), json!(width));
    }
    Ok(config)
}

/// `ControlNetModel`, but for its added conditions.
///
/// # Errors
/// As [`unet`].
pub fn controlnet(net: &Component, family: Family) -> Result<Config, String> {
    let mut config = unet(net, family, 64)?;
    config.remove("sample_size");
    let embedding = "controlnet_cond_embedding";
    let side = |name: String, side| net.side(&name, side).ok_or_else(|| format!("it lacks {name}"));
    // Two layers a width, of which the second halves the picture and widens it.
    let mut widths = vec![side(format!("{embedding}.conv_in.weight"), 0)?];
    for layer in (1..net.count(&format!("{embedding}.blocks"))).step_by(2) {
        widths.push(side(format!("{embedding}.blocks.{layer}.weight"), 0)?);
    }
    config.extend(object(json!({
        "_class_name": "ControlNetModel",
        "conditioning_channels": side(format!("{embedding}.conv_in.weight"), 1)?,
        "conditioning_embedding_out_channels": widths,
    })));
    Ok(config)
}

/// What the text attends through.
fn attention(
    unet: &Component,
    family: Family,
    config: &mut Config,
    channels: &[usize],
    attends: &[bool],
) -> Result<(), String> {
    let attended = channels.iter().zip(attends).filter(|(_, attends)| **attends);
    let attended: Vec<usize> = attended.map(|(channels, _)| *channels).collect();
    let of =
        |end: &str| unet.names().find(|name| name.ends_with(end)).and_then(|name| unet.shape(name));
    let context = of("attn2.to_k.weight").ok_or("it has no attention to text")?;
    let projection = of("proj_in.weight").ok_or("it has no transformer blocks")?;
    let heads = match family {
        Family::StableDiffusion1 => json!(largest(HEADS, &attended)),
        _ => {
            let width = largest_of(&[HEAD_WIDTH, 16], &attended);
            json!(channels.iter().map(|channels| (channels / width).max(1)).collect::<Vec<_>>())
        }
    };
    config.insert("cross_attention_dim".into(), json!(context.get(1)));
    config.insert("use_linear_projection".into(), json!(projection.len() == 2));
    config.insert("attention_head_dim".into(), heads);
    Ok(())
}

/// `addition_embed_type` and what belongs to it; `pooled` is the width of the pooled text.
pub fn added(unet: &Component, family: Family, pooled: Option<usize>) -> Result<Config, String> {
    let Some(inputs) = unet.side("add_embedding.linear_1.weight", 1) else {
        return Ok(Config::new());
    };
    let numbers = if family == Family::StableDiffusionXlRefiner { 5 } else { 6 };
    let rest = inputs.checked_sub(pooled.unwrap_or(POOLED)).filter(|rest| rest % numbers == 0);
    let width = rest.filter(|rest| *rest > 0).ok_or_else(|| {
        format!("its added conditions are {inputs} wide, which no {} is", family.name())
    })? / numbers;
    Ok(object(json!({
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": width,
        "projection_class_embeddings_input_dim": inputs,
    })))
}

/// The width of Stable Diffusion XL's pooled text.
const POOLED: usize = 1280;

fn one_or_many(values: &[usize]) -> Value {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => json!(first),
        _ => json!(values),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::{
        header::{Entry, Header},
        single_file::parts::Parts,
    };

    const CHANNELS: [usize; 3] = [320, 640, 1280];

    /// Tensors of Stable Diffusion XL's proportions, by name and shape.
    #[derive(Default)]
    struct Tensors(BTreeMap<String, Vec<usize>>);

    impl Tensors {
        fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
            self.0.insert(name.into(), shape.to_vec());
        }

        /// A residual block for each of the depths, and attention where it is not 0.
        fn block(&mut self, path: &str, channels: usize, depths: &[usize]) {
            for (layer, depth) in depths.iter().enumerate() {
                let conv = format!("{path}.resnets.{layer}.conv1.weight");
                self.add(conv, &[channels, channels, 3, 3]);
                let attention = format!("{path}.attentions.{layer}");
                for block in 0..*depth {
                    let to_k = format!("{attention}.transformer_blocks.{block}.attn2.to_k.weight");
                    self.add(to_k, &[channels, 2048]);
                    self.add(format!("{attention}.proj_in.weight"), &[channels; 2]);
                }
            }
        }

        fn down(down: [[usize; 2]; 3]) -> Self {
            let mut tensors = Self::default();
            tensors.add("conv_in.weight", &[320, 4, 3, 3]);
            tensors.add("time_embedding.linear_1.weight", &[1280, 320]);
            tensors.add("add_embedding.linear_1.weight", &[1280, 2816]);
            for (level, depths) in down.iter().enumerate() {
                tensors.block(&format!("down_blocks.{level}"), CHANNELS[level], depths);
            }
            tensors
        }

        /// From the coarsest.
        fn up(mut self, up: [[usize; 3]; 3]) -> Self {
            self.add("conv_out.weight", &[4, 320, 3, 3]);
            for (block, depths) in up.iter().enumerate() {
                self.block(&format!("up_blocks.{block}"), CHANNELS[2 - block], depths);
            }
            self
        }

        fn parts(self) -> Parts {
            let entry = |(name, shape): (String, Vec<usize>)| {
                (name, Entry { dtype: safetensors::Dtype::F16, shape, begin: 0, end: 0 })
            };
            Parts::of(&Header::of_tensors(self.0.into_iter().map(entry).collect()))
        }
    }

    fn depths(tensors: Tensors) -> Result<[Value; 3], String> {
        let config = unet(&tensors.parts().unet, Family::StableDiffusionXl, 128)?;
        let keys = [
            "transformer_layers_per_block",
            "reverse_transformer_layers_per_block",
            "mid_block_type",
        ];
        Ok(keys.map(|key| config.get(key).cloned().unwrap_or(json!("usual"))))
    }

    #[test]
    fn published_networks_have_the_depths_of_their_configurations() {
        let mut whole = Tensors::down([[0; 2], [2; 2], [10; 2]]).up([[10; 3], [2; 3], [0; 3]]);
        whole.block("mid_block", 1280, &[10, 0]);
        assert_eq!(depths(whole).unwrap(), [json!([1, 2, 10]), json!("usual"), json!("usual")]);
        // Segmind's.
        let mut pruned =
            Tensors::down([[0; 2], [2; 2], [4; 2]]).up([[4, 4, 10], [2, 1, 1], [0; 3]]);
        pruned.block("mid_block", 1280, &[0]);
        let reverse = json!([[4, 4, 10], [2, 1, 1], 1]);
        assert_eq!(
            depths(pruned).unwrap(),
            [json!([1, 2, 4]), reverse, json!("UNetMidBlock2D")],
            "SSD-1B"
        );
        let mut pruned = Tensors::down([[0; 2], [1; 2], [2; 2]]).up([[2; 3], [1; 3], [0; 3]]);
        pruned.block("mid_block", 1280, &[0]);
        assert_eq!(
            depths(pruned).unwrap(),
            [json!([1, 1, 2]), json!("usual"), json!("UNetMidBlock2D")],
            "Vega"
        );
        let gone = Tensors::down([[0; 2], [2; 2], [5; 2]]).up([[5; 3], [2; 3], [0; 3]]);
        assert_eq!(depths(gone).unwrap(), [json!([1, 2, 5]), json!("usual"), Value::Null]);
    }

    #[test]
    fn what_no_configuration_can_say_is_refused() {
        let some = Tensors::down([[0; 2], [2; 2], [4, 0]]).up([[4; 3], [2; 3], [0; 3]]);
        assert!(depths(some).unwrap_err().contains("of the 2 layers in down_blocks.2 only 1"));
        let mut deeper = Tensors::down([[0; 2], [2; 2], [4; 2]]).up([[4; 3], [2; 3], [0; 3]]);
        deeper.block("mid_block", 1280, &[10, 0]);
        assert!(depths(deeper).unwrap_err().contains("must be the same"));
        let mut odd = Tensors::down([[0; 2], [2; 2], [4; 2]]).up([[4; 3], [2; 3], [0; 3]]);
        odd.block("mid_block", 1280, &[0, 0]);
        assert!(depths(odd).unwrap_err().contains("its middle is neither"));
    }

    #[test]
    fn a_controlnet_for_stable_diffusion_xl_says_everything_itself() {
        let mut tensors = Tensors::down([[0; 2], [2; 2], [10; 2]]);
        tensors.block("mid_block", 1280, &[10, 0]);
        let embedding = "controlnet_cond_embedding";
        tensors.add(format!("{embedding}.conv_in.weight"), &[16, 3, 3, 3]);
        for (block, width) in [16, 32, 32, 96, 96, 256].into_iter().enumerate() {
            tensors.add(format!("{embedding}.blocks.{block}.weight"), &[width, width, 3, 3]);
        }
        tensors.add("controlnet_mid_block.weight", &[1280, 1280, 1, 1]);
        let parts = tensors.parts();
        let family = Family::StableDiffusionXl;
        let mut config = controlnet(&parts.controlnet, family).unwrap();
        config.extend(added(&parts.controlnet, family, None).unwrap());
        // As in the published config.json; what is not here has the usual value.
        for (key, value) in [
            ("addition_embed_type", json!("text_time")),
            ("addition_time_embed_dim", json!(256)),
            ("attention_head_dim", json!([5, 10, 20])),
            ("block_out_channels", json!(CHANNELS)),
            ("conditioning_channels", json!(3)),
            ("conditioning_embedding_out_channels", json!([16, 32, 96, 256])),
            ("cross_attention_dim", json!(2048)),
            (
                "down_block_types",
                json!(["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]),
            ),
            ("layers_per_block", json!(2)),
            ("projection_class_embeddings_input_dim", json!(2816)),
            ("transformer_layers_per_block", json!([1, 2, 10])),
            ("use_linear_projection", json!(true)),
        ] {
            assert_eq!(config.get(key), Some(&value), "{key}");
        }
        assert!(!config.contains_key("mid_block_type") && !config.contains_key("up_block_types"));
    }
}
