//! Watches a sampling: reports steps, shows previews, keeps latents, stops at numbers that are
//! none.

use std::ops::ControlFlow;

use candle_core::{DType, Tensor};

use super::{
    EngineError, Monitor, Recorded, compositing::Composite, pass::Pass, preview::Previewer,
};
use crate::diffusion::{self, Cancelled, Observer, StepInfo};

/// Where a pass stands in the count of all steps of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Those of the passes before.
    pub before: usize,
    pub total: usize,
}

impl Steps {
    /// Of pass `index`.
    pub fn of(passes: &[Pass], index: usize) -> Self {
        let count = |passes: &[Pass]| passes.iter().map(|pass| pass.evaluations).sum();
        Self { before: count(&passes[..index]), total: count(passes) }
    }
}

/// The observer of one pass.
pub struct Watcher<'a> {
    monitor: &'a mut dyn Monitor,
    composite: &'a Composite,
    /// `None` when nobody wants previews.
    previewer: Option<Previewer<'a>>,
    steps: Steps,
    keep_latents: bool,
    pub latents: Vec<Recorded>,
    /// Why the run was broken off, where that is known better here than in the pipeline.
    error: Option<EngineError>,
}

impl<'a> Watcher<'a> {
    pub fn new(
        monitor: &'a mut dyn Monitor,
        composite: &'a Composite,
        previewer: Option<Previewer<'a>>,
        steps: Steps,
        keep_latents: bool,
    ) -> Self {
        let latents = Vec::new();
        Self { monitor, composite, previewer, steps, keep_latents, latents, error: None }
    }

    /// The error to report when the pipeline ended with `error`.
    pub fn ended_by(&mut self, error: diffusion::Error) -> EngineError {
        self.error.take().unwrap_or_else(|| error.into())
    }

    fn watch(&mut self, info: StepInfo<'_>) -> Result<(), EngineError> {
        let step = self.steps.before + info.index + 1;
        check_finite(info.latents, step)?;
        if self.keep_latents {
            self.latents.push(recorded(info.latents)?);
        }
        if let Some(previewer) = &self.previewer
            && let Some(picture) = previewer.picture(info).map_err(EngineError::failed)?
        {
            let made = self.composite.apply(picture);
            self.monitor.preview(step, made.bounds, made.picture);
        }
        self.monitor.step(step, self.steps.total)
    }
}

impl Observer for Watcher<'_> {
    fn step(&mut self, info: StepInfo<'_>) -> ControlFlow<Cancelled> {
        match self.watch(info) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(Cancelled)
            }
        }
    }

    fn check(&mut self) -> ControlFlow<Cancelled> {
        if self.monitor.is_cancelled() {
            ControlFlow::Break(Cancelled)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// A tensor as plain numbers.
pub fn recorded(tensor: &Tensor) -> Result<Recorded, EngineError> {
    let values = tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1());
    let values = values.map_err(EngineError::failed)?;
    Ok(Recorded { shape: tensor.dims().to_vec(), values: values.into() })
}

/// Infinities and numbers that are none make their sum one too.
fn check_finite(latents: &Tensor, step: usize) -> Result<(), EngineError> {
    let sum = latents.sum_all().and_then(|sum| sum.to_dtype(DType::F32)?.to_scalar::<f32>());
    if sum.map_err(EngineError::failed)?.is_finite() {
        return Ok(());
    }
    Err(EngineError::failed(format!(
        "step {step} gave numbers that are not finite: the weights may be damaged, or too large \
         for this number format (try f32), or the guidance too strong"
    )))
}
