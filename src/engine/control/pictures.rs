//! Control pictures at the sampling size.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::{
    engine::{EngineError, Request, Task, source, tensors::opaque},
    geometry::Extent,
    pixels::{
        Mask, Picture,
        resize::{subsample_mask, subsample_picture},
    },
};

/// What one ControlNet sees, at the sampling size.
pub struct ControlPicture {
    pub picture: Picture,
    /// What counts as absent (-1), from 128 on.
    pub hole: Option<Mask>,
}

impl ControlPicture {
    /// Of a picture and its mask at the sampling size, as ControlNets for inpainting see them.
    pub fn made(picture: &Picture, mask: &Mask) -> Self {
        Self { picture: picture.clone(), hole: Some(mask.clone()) }
    }

    /// [1, 3, H, W] in [0, 1], -1 in the hole.
    pub fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        let Extent { width, height } = self.picture.extent();
        let area = self.picture.extent().area();
        let mut values = vec![0f32; 3 * area];
        for (i, pixel) in self.picture.bytes().chunks_exact(4).enumerate() {
            let absent = self.hole.as_ref().is_some_and(|hole| hole.bytes()[i] >= 128);
            for channel in 0..3 {
                let value = f32::from(pixel[channel]) / 255.0;
                values[channel * area + i] = if absent { -1.0 } else { value };
            }
        }
        Tensor::from_vec(values, (1, 3, height as usize, width as usize), device)
    }
}

/// The pictures that a request names for its ControlNets, as they were opened.
pub struct Pictures(Vec<Option<Arc<Picture>>>);

impl Pictures {
    /// # Errors
    /// When a file cannot be read, or one is missing that cannot be made.
    pub fn read(request: &Request) -> Result<Self, EngineError> {
        let read = |control: &super::ControlNet| match &control.image {
            Some(image) => source::picture(image).map(Some),
            None if request.task == Task::Fill => Ok(None),
            None => Err(EngineError::invalid(format!(
                "the ControlNet {} has no picture to look at: name one (--control-image)",
                control.model
            ))),
        };
        request.controlnets.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The size of the first, if there is one that was named.
    pub fn first_extent(&self) -> Option<Extent> {
        self.0.first()?.as_ref().map(|picture| picture.extent())
    }

    /// All at the sampling size: those that were named through `fit`, the others by `make`.
    ///
    /// # Errors
    /// What `make` fails with.
    pub fn fitted(
        &self,
        fit: impl Fn(&Picture) -> Picture,
        make: impl Fn() -> Result<ControlPicture, EngineError>,
    ) -> Result<Vec<ControlPicture>, EngineError> {
        let one = |picture: &Option<Arc<Picture>>| match picture {
            Some(picture) => Ok(ControlPicture { picture: fit(picture), hole: None }),
            None => make(),
        };
        self.0.iter().map(one).collect()
    }

    /// All of them for tasks that have no mask to make one from.
    ///
    /// # Errors
    /// If one is missing.
    pub fn all_fitted(
        &self,
        fit: impl Fn(&Picture) -> Picture,
    ) -> Result<Vec<ControlPicture>, EngineError> {
        self.fitted(fit, || Err(EngineError::invalid("a control picture is missing: name one")))
    }
}

/// `make_inpaint_condition` of the reference's documentation, then what its pipeline does to a
/// tensor: to the sampling size by the nearest pixel.
///
/// # Errors
/// If picture and mask differ in size.
pub fn made_of_whole(
    picture: &Picture,
    mask: &Mask,
    size: Extent,
) -> Result<ControlPicture, EngineError> {
    if picture.extent() != mask.extent() {
        return Err(EngineError::invalid(format!(
            "the picture is {} pixels, the mask {}: a control picture is made only where they \
             have one size; name one with --control-image",
            picture.extent(),
            mask.extent()
        )));
    }
    let picture = subsample_picture(&opaque(picture), size);
    Ok(ControlPicture { picture, hole: Some(subsample_mask(mask, size)) })
}
