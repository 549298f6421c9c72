//! `unet/config.json`, with the defaults of `UNet2DConditionModel`.

mod addition;
mod depths;
mod levels;

use std::path::Path;

use serde_json::json;

use crate::networks::{
    Result,
    config::{ConfigReader, OneOrMany},
    layers::{Activation, TimeShift},
};

use self::levels::WayUp;
pub use self::{
    addition::AdditionConfig,
    levels::{BlockKind, Level},
};

/// Everything about a U-Net but its weights.
#[derive(Clone, Debug)]
pub struct UNetConfig {
    /// 4 for plain models, 9 for those made for inpainting (latents, mask, masked picture).
    pub in_channels: usize,
    pub out_channels: usize,
    /// Maps the sample from [0, 1] to [-1, 1] first.
    pub center_input_sample: bool,
    pub time: TimeConfig,
    /// What it is told besides prompt and timestep.
    pub addition: Option<AdditionConfig>,
    /// Width of the picture's embedding that stands in for the prompt.
    pub image_prompt: Option<usize>,
    /// Resolutions from the finest down; the up path mirrors them.
    pub levels: Vec<Level>,
    pub mid_block: MidBlock,
    pub mid_block_scale_factor: f64,
    pub downsample_padding: usize,
    pub activation: Activation,
    pub time_shift: TimeShift,
    pub norm_num_groups: usize,
    pub norm_eps: f64,
    pub use_linear_projection: bool,
    pub upcast_attention: bool,
    pub conv_in_kernel: usize,
    pub conv_out_kernel: usize,
}

/// How a timestep becomes an embedding.
#[derive(Clone, Debug)]
pub struct TimeConfig {
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    /// Width of the embedding.
    pub width: usize,
    /// After the embedding's second layer.
    pub post_activation: Option<Activation>,
    /// Once more, before the blocks.
    pub embedding_activation: Option<Activation>,
    /// Width of the guidance embedding of models distilled with guidance.
    pub condition: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MidBlock {
    CrossAttention,
    /// Single attention layers, as [`BlockKind::SimpleCrossAttention`] has them.
    SimpleCrossAttention {
        only_cross_attention: bool,
    },
    Plain,
    None,
}

impl UNetConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    /// As [`open`](Self::open) for `text`, the content of `file`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        Self::read(ConfigReader::parse(file, text)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        let config = Self::read_keys(&mut json, WayUp::AsNamed)?;
        json.finish()?;
        Ok(config)
    }

    /// What a ControlNet's file says of the U-Net that its down path and middle are a copy of. The
    /// way up, which is not there, mirrors the way down.
    pub(in crate::networks) fn read_way_down(json: &mut ConfigReader) -> Result<Self> {
        Self::read_keys(json, WayUp::Mirrored)
    }

    fn read_keys(json: &mut ConfigReader, way_up: WayUp) -> Result<Self> {
        let levels = levels::read(json, way_up)?;
        let time = TimeConfig::read(json, levels[0].channels)?;
        let image_prompt = image_prompt(json)?;
        let config = Self {
            in_channels: json.take_positive("in_channels", 4)?,
            out_channels: json.take_positive("out_channels", 4)?,
            center_input_sample: json.take_switch("center_input_sample", false)?,
            time,
            addition: addition::read(json, image_prompt)?,
            image_prompt,
            mid_block: mid_block(json)?,
            mid_block_scale_factor: json.take("mid_block_scale_factor", 1.0)?,
            downsample_padding: json.take("downsample_padding", 1)?,
            activation: activation(json, "act_fn", Some("silu"))?.unwrap_or(Activation::Silu),
            time_shift: time_shift(json)?,
            norm_num_groups: json.take_positive("norm_num_groups", 32)?,
            norm_eps: json.take("norm_eps", 1e-5)?,
            use_linear_projection: json.take_switch("use_linear_projection", false)?,
            upcast_attention: json.take_switch("upcast_attention", false)?,
            conv_in_kernel: json.take_positive("conv_in_kernel", 3)?,
            conv_out_kernel: json.take_positive("conv_out_kernel", 3)?,
            levels,
        };
        refuse(json)?;
        config.check(json)?;
        Ok(config)
    }

    /// Channels of the states that the way down leaves for the way up, from the first convolution's.
    pub fn skip_channels(&self) -> Vec<usize> {
        let mut channels = vec![self.levels[0].channels];
        for (i, level) in self.levels.iter().enumerate() {
            let downsampler = usize::from(i + 1 < self.levels.len());
            channels.extend(vec![level.channels; level.layers + downsampler]);
        }
        channels
    }

    /// Pixels a side of the finest level for one of the coarsest.
    pub fn downsampling(&self) -> usize {
        1 << (self.levels.len() - 1)
    }

    /// Whether only multiples of [`downsampling`](Self::downsampling) lead back to the same size.
    pub fn needs_whole_sizes(&self) -> bool {
        let between = self.levels.len() - 1;
        let down = self.levels.iter().take(between).any(|level| level.down.resamples_by_resnet());
        down || self.levels.iter().skip(1).any(|level| level.up.resamples_by_resnet())
    }

    /// Numbers that must divide each other.
    fn check(&self, json: &ConfigReader) -> Result<()> {
        for level in &self.levels {
            if level.channels % self.norm_num_groups != 0 {
                let why = format!("does not divide the {} channels of a block", level.channels);
                return Err(json.error("norm_num_groups", why));
            }
            let simple = BlockKind::SimpleCrossAttention;
            let is_simple = level.down == simple || level.up == simple;
            if is_simple && level.channels % level.heads != 0 {
                let why = format!("does not divide the {} channels of a block", level.channels);
                return Err(json.error("attention_head_dim", why));
            }
            if level.heads > level.channels {
                let why = format!("more heads than the {} channels of a block", level.channels);
                return Err(json.error("attention_head_dim", why));
            }
        }
        Ok(())
    }
}

impl TimeConfig {
    fn read(json: &mut ConfigReader, channels: usize) -> Result<Self> {
        json.only("time_embedding_type", json!("positional"))?;
        let width: Option<usize> = json.take("time_embedding_dim", None)?;
        Ok(Self {
            flip_sin_to_cos: json.take("flip_sin_to_cos", true)?,
            freq_shift: json.take("freq_shift", 0.0)?,
            width: width.filter(|width| *width > 0).unwrap_or(4 * channels),
            post_activation: activation(json, "timestep_post_act", None)?,
            embedding_activation: activation(json, "time_embedding_act_fn", None)?,
            condition: json.take("time_cond_proj_dim", None)?,
        })
    }
}

fn mid_block(json: &mut ConfigReader) -> Result<MidBlock> {
    let key = "mid_block_type";
    // Unless it has its own setting it follows the blocks, if they all have the same.
    let blocks: OneOrMany<bool> = json.take("only_cross_attention", OneOrMany::One(false))?;
    let own: Option<bool> = json.take("mid_block_only_cross_attention", None)?;
    let only_cross_attention = own.unwrap_or(matches!(blocks, OneOrMany::One(true)));
    let name: Option<String> = json.take(key, Some("UNetMidBlock2DCrossAttn".to_owned()))?;
    match name.as_deref() {
        None => Ok(MidBlock::None),
        Some("UNetMidBlock2DCrossAttn") => Ok(MidBlock::CrossAttention),
        Some("UNetMidBlock2DSimpleCrossAttn") => {
            Ok(MidBlock::SimpleCrossAttention { only_cross_attention })
        }
        Some("UNetMidBlock2D") => Ok(MidBlock::Plain),
        Some(_) => Err(json.error(
            key,
            "only UNetMidBlock2DCrossAttn, UNetMidBlock2DSimpleCrossAttn, UNetMidBlock2D and null \
             are supported",
        )),
    }
}

/// Width of the embedding that is projected to what stands for a prompt.
fn image_prompt(json: &mut ConfigReader) -> Result<Option<usize>> {
    let (kind, width) = ("encoder_hid_dim_type", "encoder_hid_dim");
    let name: Option<String> = json.take(kind, None)?;
    match name.as_deref() {
        None => json.only(width, json!(null)).map(|()| None),
        Some("image_proj") => match json.take(width, None)? {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(json.error(width, "image_proj needs a number of 1 or more here")),
        },
        Some(_) => Err(json.error(kind, "only \"image_proj\" and null are supported")),
    }
}

fn time_shift(json: &mut ConfigReader) -> Result<TimeShift> {
    let key = "resnet_time_scale_shift";
    match json.take(key, "default".to_owned())?.as_str() {
        "default" => Ok(TimeShift::Default),
        "scale_shift" => Ok(TimeShift::ScaleShift),
        _ => Err(json.error(key, "only \"default\" and \"scale_shift\" are supported")),
    }
}

fn activation(
    json: &mut ConfigReader,
    key: &str,
    default: Option<&str>,
) -> Result<Option<Activation>> {
    match json.take(key, default.map(str::to_owned))? {
        None => Ok(None),
        Some(name) => match Activation::from_diffusers(&name) {
            Some(activation) => Ok(Some(activation)),
            None => Err(json.error(key, "this activation is not known")),
        },
    }
}

/// What other kinds of U-Net have.
fn refuse(json: &mut ConfigReader) -> Result<()> {
    for key in ["class_embed_type", "cross_attention_norm", "num_class_embeds"] {
        json.only(key, json!(null))?;
    }
    json.only("attention_type", json!("default"))?;
    json.only("class_embeddings_concat", json!(false))?;
    json.only("dual_cross_attention", json!(false))?;
    json.only("resnet_out_scale_factor", json!(1.0))?;
    json.only("resnet_pre_temb_non_linearity", json!(false))?;
    json.only("resnet_skip_time_act", json!(false))?;
    json.ignore(&["addition_embed_type_num_heads", "dropout", "sample_size"]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<UNetConfig> {
        UNetConfig::read(ConfigReader::parse(Path::new("unet/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read("{}").unwrap();
        assert_eq!((config.in_channels, config.time.width), (4, 1280));
        let channels: Vec<_> = config.levels.iter().map(|level| level.channels).collect();
        assert_eq!(channels, [320, 640, 1280, 1280]);
        let down: Vec<_> = config.levels.iter().map(|level| level.down).collect();
        let up: Vec<_> = config.levels.iter().map(|level| level.up).collect();
        assert_eq!(down[..3], [BlockKind::CrossAttention; 3]);
        assert_eq!(down[3], BlockKind::Plain);
        assert_eq!(up, down);
        assert_eq!(config.mid_block, MidBlock::CrossAttention);
    }

    #[test]
    fn a_switch_that_is_null_is_off() {
        let config = read(r#"{"upcast_attention": null, "use_linear_projection": true}"#).unwrap();
        assert!(!config.upcast_attention && config.use_linear_projection);
    }

    #[test]
    fn up_blocks_mirror_the_levels() {
        let config = read(
            r#"{"block_out_channels": [32, 64], "attention_head_dim": [2, 4], "mid_block_type": null,
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
                "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "sample_size": [8, 12]}"#,
        )
        .unwrap();
        let kinds = [BlockKind::Plain, BlockKind::CrossAttention];
        assert_eq!([config.levels[0].down, config.levels[1].down], kinds);
        assert_eq!([config.levels[1].up, config.levels[0].up], kinds);
        assert_eq!(config.levels[1].heads, 4);
        assert_eq!(config.mid_block, MidBlock::None);
    }

    #[test]
    fn added_conditions_have_their_widths() {
        let config = read(
            r#"{"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": 2816}"#,
        );
        let right = AdditionConfig::TextTime { time_width: 256, inputs: 2816 };
        assert_eq!(config.unwrap().addition, Some(right));
        assert_eq!(read("{}").unwrap().addition, None);
    }

    #[test]
    fn pictures_embeddings_may_stand_for_prompts() {
        let read = |more: &str| {
            let text = r#"{"down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
                "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
                "mid_block_type": "UNetMidBlock2DSimpleCrossAttn", "attention_head_dim": 64,
                "block_out_channels": [384, 768], "addition_embed_type": "image","#;
            read(&format!("{text}{more}}}"))
        };
        let projected = r#""encoder_hid_dim_type": "image_proj", "encoder_hid_dim": 1280"#;
        let config = read(projected).unwrap();
        assert_eq!(config.image_prompt, Some(1280));
        assert_eq!(config.addition, Some(AdditionConfig::Image { inputs: 1280 }));
        assert_eq!(config.levels[1].up, BlockKind::SimpleCrossAttention);
        assert!(config.levels[0].down.resamples_by_resnet());
        let middle = |only| MidBlock::SimpleCrossAttention { only_cross_attention: only };
        assert_eq!(config.mid_block, middle(false));
        let only = |setting: &str| read(&format!("{projected}, {setting}")).unwrap().mid_block;
        assert_eq!(only(r#""only_cross_attention": true"#), middle(true));
        assert_eq!(only(r#""only_cross_attention": [true, true]"#), middle(false));
        assert_eq!(only(r#""mid_block_only_cross_attention": true"#), middle(true));
        for (more, key) in [
            (r#""encoder_hid_dim": 1280"#, "encoder_hid_dim"),
            (r#""encoder_hid_dim_type": "image_proj""#, "encoder_hid_dim"),
            (r#""encoder_hid_dim_type": "text_proj""#, "encoder_hid_dim_type"),
            (r#""encoder_hid_dim_type": null"#, "addition_embed_type"),
        ] {
            let error = read(more).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(read(&format!(r#"{projected}, "norm_num_groups": 5"#)).is_err());
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"addition_embed_type": "image_hint"}"#, "addition_embed_type"),
            (r#"{"addition_embed_type": "text_time"}"#, "addition_time_embed_dim"),
            (r#"{"addition_time_embed_dim": 256}"#, "addition_time_embed_dim"),
            (r#"{"num_attention_heads": 8}"#, "num_attention_heads"),
            (r#"{"dual_cross_attention": true}"#, "dual_cross_attention"),
            (r#"{"down_block_types": ["AttnDownBlock2D", "x", "y", "z"]}"#, "down_block_types"),
            (r#"{"act_fn": "snake"}"#, "act_fn"),
            (r#"{"norm_num_groups": 7}"#, "norm_num_groups"),
            (r#"{"attention_head_dim": [1, 2]}"#, "attention_head_dim"),
            (r#"{"attention_head_dim": 0}"#, "attention_head_dim"),
            (r#"{"transformer_layers_per_block": [[1], 1, 1, 1]}"#, "transformer_layers_per_block"),
            (r#"{"transformer_layers_per_block": [[[1]], 1, 1, 1]}"#, "not understood"),
            (r#"{"norm_num_groups": null}"#, "norm_num_groups"),
            (r#"{"brand_new_switch": true}"#, "brand_new_switch"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("unet/config.json") && error.contains(key), "{error}");
        }
    }
}
