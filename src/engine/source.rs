//! Pictures and masks of a request, read where they are needed.

use std::sync::Arc;

use super::{EngineError, ImageSource};
use crate::pixels::{
    Mask, Picture,
    codec::{load_mask, load_picture},
};

/// The picture that a source stands for.
pub fn picture(source: &ImageSource<Picture>) -> Result<Arc<Picture>, EngineError> {
    match source {
        ImageSource::File(path) => load_picture(path).map(Arc::new).map_err(EngineError::invalid),
        ImageSource::Memory(picture) => Ok(Arc::clone(picture)),
        ImageSource::Deferred(deferred) => Ok(Arc::new(deferred.make())),
    }
}

/// The mask that a source stands for.
pub fn mask(source: &ImageSource<Mask>) -> Result<Arc<Mask>, EngineError> {
    match source {
        ImageSource::File(path) => load_mask(path).map(Arc::new).map_err(EngineError::invalid),
        ImageSource::Memory(mask) => Ok(Arc::clone(mask)),
        ImageSource::Deferred(deferred) => Ok(Arc::new(deferred.make())),
    }
}
