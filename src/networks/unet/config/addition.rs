//! What the network is told besides prompt and timestep (`addition_embed_type`).

use serde_json::json;

use crate::networks::{Result, config::ConfigReader};

/// The kind of added condition, and the widths of its embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdditionConfig {
    /// The pooled text, and numbers (sizes, crops, scores) as sinusoids: Stable Diffusion XL.
    TextTime {
        /// Sinusoids for each number.
        time_width: usize,
        /// Pooled text and all sinusoids together.
        inputs: usize,
    },
    /// The embedding of a picture: Kandinsky 2.2.
    Image {
        /// Its width.
        inputs: usize,
    },
}

const TIME_WIDTH: &str = "addition_time_embed_dim";
const INPUTS: &str = "projection_class_embeddings_input_dim";

/// Reads the three keys; they must agree. `image` is the width of a picture's embedding, where
/// there is one.
pub fn read(json: &mut ConfigReader, image: Option<usize>) -> Result<Option<AdditionConfig>> {
    let kind: Option<String> = json.take("addition_embed_type", None)?;
    if kind.as_deref() != Some("text_time") {
        json.only(TIME_WIDTH, json!(null))?;
        json.only(INPUTS, json!(null))?;
    }
    match kind.as_deref() {
        None => Ok(None),
        Some("image") => match image {
            Some(inputs) => Ok(Some(AdditionConfig::Image { inputs })),
            None => Err(json.error("addition_embed_type", "needs encoder_hid_dim as well")),
        },
        Some("text_time") => {
            let width = |json: &mut ConfigReader, key| match json.take(key, None::<usize>)? {
                Some(width) if width > 0 => Ok(width),
                _ => Err(json.error(key, "text_time needs a number of 1 or more here")),
            };
            let time_width = width(json, TIME_WIDTH)?;
            Ok(Some(AdditionConfig::TextTime { time_width, inputs: width(json, INPUTS)? }))
        }
        Some(_) => Err(json
            .error("addition_embed_type", "only \"text_time\", \"image\" and null are supported")),
    }
}
