//! A ControlNet's `config.json`, with the defaults of `ControlNetModel`.

use std::path::Path;

use serde_json::json;

use crate::networks::{
    Result,
    config::ConfigReader,
    unet::{MidBlock, UNetConfig},
};

/// Everything about a ControlNet but its weights.
#[derive(Clone, Debug)]
pub struct ControlNetConfig {
    /// Of the U-Net that its down path and middle are a copy of; there is no way up.
    pub unet: UNetConfig,
    /// Channels of the control picture.
    pub conditioning_channels: usize,
    pub channel_order: ChannelOrder,
    /// Widths of the layers that bring the control picture to the size of the latents; each but the
    /// first halves it.
    pub embedding_channels: Vec<usize>,
    /// Each residual is its mean over the picture.
    pub global_pool_conditions: bool,
}

/// How the network expects the control picture's channels
/// (`controlnet_conditioning_channel_order`); pictures come as red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    Rgb,
    Bgr,
}

/// Settings of U-Nets that no ControlNet has, with the only value that they stand for here.
fn refuse(json: &mut ConfigReader) -> Result<()> {
    for key in [
        "encoder_hid_dim_type",
        "time_cond_proj_dim",
        "time_embedding_act_fn",
        "time_embedding_dim",
        "timestep_post_act",
        "up_block_types",
    ] {
        json.only(key, json!(null))?;
    }
    json.only("center_input_sample", json!(false))?;
    json.only("conv_in_kernel", json!(3))
}

impl ControlNetConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is unreadable, or asks for something that is not supported.
    pub fn open(file: &Path) -> Result<Self> {
        Self::read(ConfigReader::open(file)?)
    }

    fn read(mut json: ConfigReader) -> Result<Self> {
        refuse(&mut json)?;
        let unet = UNetConfig::read_way_down(&mut json)?;
        if unet.mid_block == MidBlock::None {
            return Err(json.error("mid_block_type", "a ControlNet needs a middle"));
        }
        let config = Self {
            unet,
            conditioning_channels: json.take_positive("conditioning_channels", 3)?,
            channel_order: channel_order(&mut json)?,
            embedding_channels: embedding_channels(&mut json)?,
            global_pool_conditions: json.take("global_pool_conditions", false)?,
        };
        json.finish()?;
        Ok(config)
    }

    /// Pixels of the control picture a latent.
    pub fn downsampling(&self) -> usize {
        1 << (self.embedding_channels.len() - 1)
    }
}

fn channel_order(json: &mut ConfigReader) -> Result<ChannelOrder> {
    let key = "controlnet_conditioning_channel_order";
    match json.take(key, "rgb".to_owned())?.as_str() {
        "rgb" => Ok(ChannelOrder::Rgb),
        "bgr" => Ok(ChannelOrder::Bgr),
        _ => Err(json.error(key, "only \"rgb\" and \"bgr\" are supported")),
    }
}

fn embedding_channels(json: &mut ConfigReader) -> Result<Vec<usize>> {
    let key = "conditioning_embedding_out_channels";
    let channels = json.take(key, vec![16, 32, 96, 256])?;
    if channels.is_empty() || channels.len() > 8 || channels.contains(&0) {
        return Err(json.error(key, "needs 1 to 8 widths above 0"));
    }
    Ok(channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ControlNetConfig> {
        ControlNetConfig::read(ConfigReader::parse(Path::new("canny/config.json"), text)?)
    }

    #[test]
    fn defaults_are_the_reference_class() {
        let config = read("{}").unwrap();
        assert_eq!((config.conditioning_channels, config.downsampling()), (3, 8));
        assert_eq!(config.unet.levels.len(), 4);
        assert_eq!(config.channel_order, ChannelOrder::Rgb);
        assert!(!config.global_pool_conditions);
    }

    #[test]
    fn the_way_up_is_not_asked_for() {
        let config = read(
            r#"{"block_out_channels": [8, 16], "norm_num_groups": 4, "attention_head_dim": [2, 4],
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}"#,
        );
        assert_eq!(config.unwrap().unet.levels.len(), 2);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, key) in [
            (r#"{"up_block_types": ["UpBlock2D"]}"#, "up_block_types"),
            (r#"{"controlnet_conditioning_channel_order": "grb"}"#, "channel_order"),
            (r#"{"conditioning_embedding_out_channels": []}"#, "conditioning_embedding"),
            (r#"{"conditioning_channels": 0}"#, "conditioning_channels"),
            (r#"{"mid_block_type": null}"#, "mid_block_type"),
            (r#"{"class_embed_type": "timestep"}"#, "class_embed_type"),
            (r#"{"encoder_hid_dim_type": "image_proj"}"#, "encoder_hid_dim_type"),
            (r#"{"num_control_type": 6}"#, "num_control_type"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("canny/config.json") && error.contains(key), "{error}");
        }
    }
}
