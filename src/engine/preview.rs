//! Pictures of latents while they form.

use candle_core::{Result, Tensor};

use super::tensors::{picture_from_rgb, pictures};
use crate::{
    diffusion::{Decoder, LinearPreview, StepInfo, decode},
    geometry::Extent,
    pixels::{
        Picture,
        resize::{Filter, resize_picture},
    },
};

/// How previews are made, when somebody wants them.
pub struct Previewer<'a> {
    method: Method<'a>,
    interval: usize,
    size: Extent,
}

/// How latents become a picture.
pub enum Method<'a> {
    Linear(LinearPreview),
    Decoded(&'a dyn Decoder),
}

impl<'a> Previewer<'a> {
    /// `size` is the sampling size; a preview every `interval` steps.
    pub fn new(method: Method<'a>, interval: usize, size: Extent) -> Self {
        Self { method, interval: interval.max(1), size }
    }

    /// The first picture of the batch at the sampling size, if this step is to be shown.
    pub fn picture(&self, info: StepInfo<'_>) -> Result<Option<Picture>> {
        if !(info.index + 1).is_multiple_of(self.interval) {
            return Ok(None);
        }
        let latents = info.predicted_x0.unwrap_or(info.latents).narrow(0, 0, 1)?;
        match &self.method {
            Method::Linear(map) => linear(map, &latents, self.size),
            Method::Decoded(decoder) => decoded(*decoder, &latents),
        }
    }
}

fn linear(map: &LinearPreview, latents: &Tensor, size: Extent) -> Result<Option<Picture>> {
    let (_, _, height, width) = latents.dims4()?;
    let small = Extent::new(width as u32, height as u32);
    let bytes = map.bytes(latents)?;
    let picture = bytes.first().and_then(|rgb| picture_from_rgb(small, rgb));
    Ok(picture.map(|picture| resize_picture(&picture, size, Filter::Bilinear)))
}

fn decoded(decoder: &dyn Decoder, latents: &Tensor) -> Result<Option<Picture>> {
    let picture = decode(decoder, latents).map_err(candle_core::Error::wrap)?;
    Ok(pictures(&picture)?.into_iter().next())
}
