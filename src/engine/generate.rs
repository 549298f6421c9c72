//! Text to image.

use super::{
    EngineError, Request,
    compositing::Composite,
    context_area::sampling_size,
    control::Pictures,
    kandinsky,
    plan::{ModelFacts, Plan},
    tensors::opaque,
    transform::whole_latents,
};
use crate::{
    geometry::Extent,
    pixels::resize::{Filter, resize_picture},
};

/// At the size asked for, otherwise in the proportions of the canvas or the control picture, otherwise
/// at the model's own size.
pub fn plan(request: &Request, model: ModelFacts) -> Result<Plan, EngineError> {
    let pictures = Pictures::read(request)?;
    let canvas = request.canvas.filter(|canvas| !request.exact && !canvas.is_empty());
    let default = match canvas.or(pictures.first_extent()) {
        _ if request.exact && model.is_kandinsky => kandinsky::exact_size(request, model)?,
        Some(extent) if request.exact => whole_latents(extent, model.latent_pixels)?,
        Some(extent) => sampling_size(extent, model.native, model.side_unit),
        None if request.exact => Extent::new(model.reference, model.reference),
        None => Extent::new(model.native, model.native),
    };
    let size = match request.exact && model.is_kandinsky {
        // Its named sides are rounded up already.
        true => default,
        false => {
            let width = request.width.unwrap_or(default.width);
            Extent::new(width, request.height.unwrap_or(default.height))
        }
    };
    let controls =
        pictures.all_fitted(|picture| resize_picture(&opaque(picture), size, Filter::Lanczos))?;
    let composite = Composite::Whole { extent: canvas.unwrap_or(size) };
    Ok(Plan { size, picture: None, masks: vec![None], controls, composite })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Task;

    #[test]
    fn a_canvas_gives_proportions_and_the_final_size() {
        let model = ModelFacts {
            native: 512,
            reference: 512,
            latent_pixels: 8,
            side_unit: 8,
            is_kandinsky: false,
        };
        let canvas = Some(Extent::new(3000, 1500));
        let mut request = Request { task: Task::Generate, canvas, ..Request::default() };
        let made = plan(&request, model).unwrap();
        assert!(made.size.width > made.size.height && made.size.width < 1000);
        assert!(matches!(made.composite, Composite::Whole { extent } if Some(extent) == canvas));
        (request.width, request.height) = (Some(64), Some(72));
        assert_eq!(plan(&request, model).unwrap().size, Extent::new(64, 72));
        request.exact = true;
        let exact = plan(&request, model).unwrap().composite;
        assert!(matches!(exact, Composite::Whole { extent } if extent == Extent::new(64, 72)));
    }
}
