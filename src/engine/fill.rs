//! Inpainting: what is sampled and how it goes back, in two ways.
//!
//! *Exact* does what the reference's pipeline does for the same arguments. *Product* (the default)
//! samples the mask's surroundings only, covers everything that the mask touches, and puts the
//! result back through the composite mask (`pixels/blend`), so that bytes outside it stay as they are.

use std::{ops::ControlFlow, sync::Arc};

use super::{
    EngineError, FillMode, Monitor, Request,
    compositing::{Composite, Through},
    context_area::{around, sampling_size},
    control::{ControlPicture, Pictures, made_of_whole},
    kandinsky,
    plan::{ModelFacts, Plan},
    source,
    tensors::opaque,
    transform::whole_latents,
    validate::check_mask_size,
};
use crate::{
    geometry::{Bounds, Extent},
    pixels::{
        Mask, Picture,
        blend::{Hole, InnerSides},
        blur::gaussian_blur_mask,
        content_fill::{FillError, FillOptions, content_fill},
        crop_region::crop_region,
        fit::{resize_and_fill, resize_mask_and_fill},
        resize::{Filter, resize_mask, resize_picture},
    },
};

/// Reads a fill request.
pub fn plan(
    request: &Request,
    model: ModelFacts,
    monitor: &mut dyn Monitor,
) -> Result<Plan, EngineError> {
    let input = Input::read(request)?;
    if request.exact {
        exact(request, model, &input)
    } else {
        product(request, model, &input, monitor)
    }
}

/// Picture and blurred mask.
pub struct Input {
    pub picture: Arc<Picture>,
    pub mask: Arc<Mask>,
}

impl Input {
    /// Reads both and blurs the mask. In exact mode sizes may differ, as in the reference.
    pub fn read(request: &Request) -> Result<Self, EngineError> {
        let (Some(image), Some(mask)) = (&request.image, &request.mask) else {
            return Err(EngineError::invalid("a fill needs a picture and a mask"));
        };
        let (picture, mask) = (source::picture(image)?, source::mask(mask)?);
        if !request.exact || request.overlay || request.padding_mask_crop.is_some() {
            check_mask_size(picture.extent(), mask.extent())?;
        }
        Ok(Self { picture, mask: blurred(mask, request.mask_blur) })
    }

    /// What the part of the picture inside `bounds` is blended through.
    pub fn through(&self, request: &Request, bounds: Bounds) -> Through {
        let hole = Hole {
            painted: Arc::new(self.mask.crop(bounds)),
            strength: request.strength(),
            inner_sides: InnerSides::of(bounds, self.picture.extent()),
        };
        Through::new(hole, request.blend)
    }

    /// The box of everything that the mask touches.
    ///
    /// # Errors
    /// When it touches nothing.
    pub fn mask_box(&self) -> Result<Bounds, EngineError> {
        self.mask.bounding_box().ok_or_else(|| {
            EngineError::invalid("the mask is empty: nothing is marked to be repainted")
        })
    }
}

/// A mask as it is used: blurred by `radius` pixels.
pub fn blurred(mask: Arc<Mask>, radius: f32) -> Arc<Mask> {
    if radius > 0.0 { Arc::new(gaussian_blur_mask(&mask, radius)) } else { mask }
}

fn exact(request: &Request, model: ModelFacts, input: &Input) -> Result<Plan, EngineError> {
    let pictures = Pictures::read(request)?;
    let size = exact_size(request, model, input, &pictures)?;
    let crop = match request.padding_mask_crop {
        Some(padding) => Some(reference_crop(input, size, padding)?),
        None => None,
    };
    let fit = |picture: &Picture| match crop {
        Some(crop) => resize_and_fill(&opaque(&picture.crop(crop)), size),
        None if model.is_kandinsky => kandinsky::resized(&opaque(picture), size),
        None => resize_picture(&opaque(picture), size, Filter::Lanczos),
    };
    let picture = fit(&input.picture);
    let mask = match crop {
        Some(crop) => resize_mask_and_fill(&input.mask.crop(crop), size),
        None => resize_mask(&input.mask, size, Filter::Lanczos),
    };
    let controls = pictures.fitted(fit, || match crop {
        Some(_) => Ok(ControlPicture::made(&picture, &mask)),
        None => made_of_whole(&input.picture, &input.mask, size),
    })?;
    let composite = exact_composite(request, input, size, crop)?;
    Ok(Plan { size, picture: Some(picture), masks: vec![Some(mask)], controls, composite })
}

fn exact_size(
    request: &Request,
    model: ModelFacts,
    input: &Input,
    controls: &Pictures,
) -> Result<Extent, EngineError> {
    if model.is_kandinsky {
        return kandinsky::exact_size(request, model);
    }
    // The reference's pipelines differ: with ControlNets the picture's own size is the default.
    let default = match controls.is_empty() {
        true => Extent::new(model.reference, model.reference),
        false => whole_latents(input.picture.extent(), model.latent_pixels)?,
    };
    let width = request.width.unwrap_or(default.width);
    Ok(Extent::new(width, request.height.unwrap_or(default.height)))
}

fn reference_crop(input: &Input, size: Extent, padding: u32) -> Result<Bounds, EngineError> {
    input.mask_box()?;
    let crop = crop_region(&input.mask, size, padding).filter(|crop| !crop.is_empty());
    crop.ok_or_else(|| EngineError::invalid("the mask's surroundings are empty at this size"))
}

/// With a crop the reference's pipeline pastes the original back by itself; `overlay` asks for it
/// (once more).
fn exact_composite(
    request: &Request,
    input: &Input,
    size: Extent,
    crop: Option<Bounds>,
) -> Result<Composite, EngineError> {
    let times = usize::from(crop.is_some()) + usize::from(request.overlay);
    if times == 0 {
        return Ok(Composite::Whole { extent: size });
    }
    let extent = input.picture.extent();
    if crop.is_none() && extent != size {
        return Err(EngineError::invalid(format!(
            "the result is {size} pixels, the picture {extent}, so it cannot be laid over exactly; \
             name --width {} --height {}, or leave out --overlay",
            extent.width, extent.height
        )));
    }
    let (original, mask) = (input.picture.as_ref().clone(), input.mask.as_ref().clone());
    Ok(Composite::Overlay { original, mask, crop, times })
}

fn product(
    request: &Request,
    model: ModelFacts,
    input: &Input,
    monitor: &mut dyn Monitor,
) -> Result<Plan, EngineError> {
    let bounds = sampled_part(request, model, input)?;
    let original = input.picture.crop(bounds);
    let through = input.through(request, bounds);
    let size = request
        .size()
        .unwrap_or_else(|| sampling_size(bounds.extent(), model.native, model.side_unit));
    let prepared = match request.fill_mode {
        FillMode::Original => None,
        FillMode::ContentAware => {
            Some(prefilled(request, &original, through.denoise_mask(), monitor)?)
        }
    };
    let seen = opaque(prepared.as_ref().unwrap_or(&original));
    let picture = resize_picture(&seen, size, Filter::Lanczos);
    let mask = repainted(through.denoise_mask(), size, model.latent_pixels);
    let controls = Pictures::read(request)?.fitted(
        |control| {
            let whole = resize_picture(control, input.picture.extent(), Filter::Lanczos);
            resize_picture(&opaque(&whole.crop(bounds)), size, Filter::Lanczos)
        },
        || Ok(ControlPicture::made(&picture, &mask)),
    )?;
    let through = request.overlay.then_some(through);
    let composite = Composite::Region { original, bounds, through };
    Ok(Plan { size, picture: Some(picture), masks: vec![Some(mask)], controls, composite })
}

/// The whole picture where it is not much larger than what the model was trained at; otherwise,
/// or when a margin was named, the mask's surroundings.
fn sampled_part(
    request: &Request,
    model: ModelFacts,
    input: &Input,
) -> Result<Bounds, EngineError> {
    let mask = input.mask_box()?;
    let extent = input.picture.extent();
    let margin = request.padding_mask_crop;
    if margin.is_none() && extent.width.max(extent.height) <= model.native {
        return Ok(extent.bounds());
    }
    let sampled = mask.grow(request.blend.edge.px(mask, request.strength()).reach().ceil() as u32);
    let part = around(mask, extent, margin, request.strength(), model.native);
    Ok(part.union(sampled.intersect(extent.bounds())))
}

/// What a mask means for latents of `latent_pixels` a side, when it is sampled at `size`.
pub fn repainted(mask: &Mask, size: Extent, latent_pixels: u32) -> Mask {
    covering(&resize_mask(&touched(mask), size, Filter::Lanczos), latent_pixels)
}

/// Everything that the mask touches, fully: what lies under its soft edge is sampled too, so that
/// the edge blends between two finished pictures.
fn touched(mask: &Mask) -> Mask {
    let mut touched = mask.clone();
    touched.bytes_mut().iter_mut().for_each(|v| *v = if *v > 0 { 255 } else { 0 });
    touched
}

/// Whole blocks of latents: any that the mask touches is repainted.
fn covering(mask: &Mask, block: u32) -> Mask {
    let extent = mask.extent();
    let mut covering = Mask::new(extent);
    for y in (0..extent.height).step_by(block as usize) {
        for x in (0..extent.width).step_by(block as usize) {
            let rows = y..(y + block).min(extent.height);
            let columns = x as usize..(x + block).min(extent.width) as usize;
            if rows.clone().any(|y| mask.row(y)[columns.clone()].iter().any(|&v| v >= 128)) {
                rows.for_each(|y| covering.row_mut(y)[columns.clone()].fill(255));
            }
        }
    }
    covering
}

/// The hole filled from the rest of the picture, for the sampling to set out from.
fn prefilled(
    request: &Request,
    picture: &Picture,
    mask: &Mask,
    monitor: &mut dyn Monitor,
) -> Result<Picture, EngineError> {
    let options = FillOptions { seed: request.seed.unwrap_or(0), ..FillOptions::default() };
    let mut observe = |progress: crate::pixels::content_fill::FillProgress<'_>| match monitor
        .loading("Filling from the surroundings", Some(progress.fraction))
    {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    content_fill(picture, mask, &options, &mut observe).map_err(|error| match error {
        FillError::Cancelled => EngineError::Cancelled,
        other => EngineError::invalid(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_covered_as_soon_as_the_mask_touches_it() {
        let mut mask = Mask::new(Extent::new(20, 16));
        mask.row_mut(3)[7] = 128;
        mask.row_mut(9)[17] = 255;
        mask.row_mut(9)[3] = 127;
        let covering = covering(&mask, 8);
        assert_eq!(covering.bounding_box(), Some(Bounds::new(0, 0, 20, 16)));
        assert_eq!(covering.bytes().iter().filter(|&&v| v == 255).count(), 64 + 4 * 8);
        assert_eq!(covering.pixel(0, 8), [0]);
        assert_eq!(covering.pixel(19, 15), [255]);
    }

    #[test]
    fn the_faintest_touch_counts() {
        let mask = Mask::from_raw(Extent::new(3, 1), vec![0, 1, 255]).unwrap();
        assert_eq!(touched(&mask).bytes(), [0, 255, 255]);
    }
}
