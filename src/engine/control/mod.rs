//! ControlNets in a request: networks that steer a picture by another one.

mod networks;
mod pictures;

use serde::{Deserialize, Serialize};

pub use self::{
    networks::{ControlNetworks, Controlled},
    pictures::{ControlPicture, Pictures, made_of_whole},
};
use super::{ImageSource, Request, Task};
use crate::pixels::Picture;

/// A ControlNet of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlNet {
    /// A folder, or an id of the catalogue.
    pub model: String,
    /// The picture that it sees. `None` is made from the picture and the mask of a fill, as
    /// ControlNets for inpainting are trained: what is to be repainted is -1.
    pub image: Option<ImageSource<Picture>>,
    /// How much it counts. `None` is 1, in exact mode the default of the reference's pipeline.
    pub conditioning_scale: Option<f64>,
    /// The parts of the steps, 0 to 1, between which it counts.
    pub guidance_start: f64,
    pub guidance_end: f64,
}

impl Default for ControlNet {
    fn default() -> Self {
        Self {
            model: String::new(),
            image: None,
            conditioning_scale: None,
            guidance_start: 0.0,
            guidance_end: 1.0,
        }
    }
}

impl ControlNet {
    /// The conditioning scale that applies in `request`, with a model that `takes_sizes` (Stable
    /// Diffusion XL) or not.
    fn scale(&self, request: &Request, takes_sizes: bool) -> f64 {
        self.conditioning_scale.unwrap_or(match request.task {
            _ if !request.exact => 1.0,
            Task::Generate => 1.0,
            Task::Transform => 0.8,
            Task::Fill if takes_sizes => 1.0,
            Task::Fill => 0.5,
        })
    }
}
