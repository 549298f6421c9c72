//! Image to image: a whole picture, changed as far as the strength goes.

use super::{
    EngineError, Request,
    compositing::Composite,
    context_area::sampling_size,
    control::Pictures,
    kandinsky,
    plan::{ModelFacts, Plan},
    source,
    tensors::opaque,
};
use crate::{
    geometry::Extent,
    pixels::{
        Picture,
        resize::{Filter, resize_picture},
    },
};

/// Exact: at the picture's own size, cut down to whole latents, and so is the result. Otherwise
/// near the model's own area, and the result is resized to the picture.
pub fn plan(request: &Request, model: ModelFacts) -> Result<Plan, EngineError> {
    let Some(image) = &request.image else {
        return Err(EngineError::invalid("there is no picture"));
    };
    let original = source::picture(image)?;
    let own = original.extent();
    let kandinsky = request.exact && model.is_kandinsky;
    let size = match request.size() {
        _ if kandinsky => kandinsky::exact_size(request, model)?,
        Some(size) => size,
        None if request.exact => whole_latents(own, model.latent_pixels)?,
        None => sampling_size(own, model.native, model.side_unit),
    };
    let fit = |picture: &Picture| match kandinsky {
        true => kandinsky::resized(&opaque(picture), size),
        false => resize_picture(&opaque(picture), size, Filter::Lanczos),
    };
    let picture = fit(&original);
    let controls = Pictures::read(request)?.all_fitted(fit)?;
    let extent = if request.exact { size } else { own };
    let composite = Composite::Whole { extent };
    Ok(Plan { size, picture: Some(picture), masks: vec![None], controls, composite })
}

/// An extent cut down to whole latents, of `unit` pixels a side.
///
/// # Errors
/// If nothing is left.
pub fn whole_latents(extent: Extent, unit: u32) -> Result<Extent, EngineError> {
    let size = Extent::new(extent.width / unit * unit, extent.height / unit * unit);
    if size.is_empty() {
        let text = format!("the picture is {extent} pixels, too small: at least {unit} a side");
        return Err(EngineError::invalid(text));
    }
    Ok(size)
}
