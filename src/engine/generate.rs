//! Text to image.

use super::{
    EngineError, Request,
    compositing::Composite,
    context_area::sampling_size,
    plan::{ModelFacts, Plan},
};
use crate::geometry::Extent;

/// At the size asked for, otherwise in the canvas's proportions, otherwise at the model's own size.
pub fn plan(request: &Request, model: ModelFacts) -> Result<Plan, EngineError> {
    let native = if request.exact { model.reference } else { model.native };
    let canvas = request.canvas.filter(|canvas| !request.exact && !canvas.is_empty());
    let size = match (request.size(), canvas) {
        (None, Some(canvas)) => sampling_size(canvas, native),
        _ => Extent::new(request.width.unwrap_or(native), request.height.unwrap_or(native)),
    };
    let composite = Composite::Whole { extent: canvas.unwrap_or(size) };
    Ok(Plan { size, picture: None, mask: None, composite })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Task;

    #[test]
    fn a_canvas_gives_proportions_and_the_final_size() {
        let model = ModelFacts { native: 512, reference: 512, latent_pixels: 8 };
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
