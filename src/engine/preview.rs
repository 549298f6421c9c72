//! Pictures of latents while they form.

use candle_core::{Result, Tensor};

use super::{
    PreviewMethod, Request,
    tensors::{picture_from_rgb, pictures},
};
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

enum Method<'a> {
    Linear(LinearPreview),
    Full(&'a dyn Decoder),
}

impl<'a> Previewer<'a> {
    /// `size` is the sampling size; `linear` is there when the request asks for it.
    pub fn new(
        request: &Request,
        size: Extent,
        linear: Option<LinearPreview>,
        decoder: &'a dyn Decoder,
    ) -> Option<Self> {
        let method = match request.preview {
            PreviewMethod::Off => return None,
            PreviewMethod::Linear => Method::Linear(linear?),
            PreviewMethod::Full => Method::Full(decoder),
        };
        Some(Self { method, interval: request.preview_interval.max(1), size })
    }

    /// The first picture of the batch at the sampling size, if this step is to be shown.
    pub fn picture(&self, info: StepInfo<'_>) -> Result<Option<Picture>> {
        if !(info.index + 1).is_multiple_of(self.interval) {
            return Ok(None);
        }
        let latents = info.predicted_x0.unwrap_or(info.latents).narrow(0, 0, 1)?;
        match &self.method {
            Method::Linear(map) => linear(map, &latents, self.size),
            Method::Full(decoder) => full(*decoder, &latents),
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

fn full(decoder: &dyn Decoder, latents: &Tensor) -> Result<Option<Picture>> {
    let decoded = decode(decoder, latents).map_err(candle_core::Error::wrap)?;
    Ok(pictures(&decoded)?.into_iter().next())
}
