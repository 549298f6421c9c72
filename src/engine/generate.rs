//! Text to image.

use super::{
    EngineError, Request,
    compositing::Composite,
    plan::{ModelFacts, Plan},
};
use crate::geometry::Extent;

/// At the size asked for, otherwise the model's own.
pub fn plan(request: &Request, model: ModelFacts) -> Result<Plan, EngineError> {
    let native = if request.exact { model.reference } else { model.native };
    let size = Extent::new(request.width.unwrap_or(native), request.height.unwrap_or(native));
    Ok(Plan { size, picture: None, mask: None, composite: Composite::Whole { extent: size } })
}
