//! What can be said about a request before anything is loaded.

use super::{EngineError, Request, Task};
use crate::geometry::Extent;

/// The longest side that is sampled, in pixels.
const MAX_SIDE: u32 = 4096;

impl Request {
    /// Checks ranges and what belongs together.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], naming the setting, its value and its range.
    pub fn check(&self) -> Result<(), EngineError> {
        self.check_inputs()?;
        self.check_sizes()?;
        let count = self.chain.len() + 1;
        self.check_settings().map_err(|error| error.in_pass(0, count))?;
        for (index, stage) in self.chain.iter().enumerate() {
            let pass = stage.request(self);
            let checked = match stage.task {
                Task::Generate => invalid("a new picture cannot follow; use transform or fill"),
                Task::Fill if pass.mask.is_none() => invalid("a fill needs a mask"),
                _ => pass.check_settings(),
            };
            checked.map_err(|error| error.in_pass(index + 1, count))?;
        }
        Ok(())
    }

    /// Ranges of numbers.
    fn check_settings(&self) -> Result<(), EngineError> {
        self.check_prompts()?;
        at_least_one("number of steps", self.num_inference_steps)?;
        at_least_one("number of images", self.num_images_per_prompt)?;
        at_least_one("preview interval", self.preview_interval)?;
        within("number of the prior's steps", self.prior.num_inference_steps as f64, 2.0, 1000.0)?;
        within("strength", self.strength(), 0.0, 1.0)?;
        within("eta", self.eta, 0.0, 1.0)?;
        within("guidance rescale", self.guidance_rescale, 0.0, 1.0)?;
        within("guidance scale", self.guidance_scale, 0.0, 1000.0)?;
        for lora in &self.lora {
            within(&format!("the scale of {}", lora.path.display()), lora.scale, -100.0, 100.0)?;
        }
        within("memory budget", self.memory_budget.unwrap_or(1.0), 0.1, 65536.0)?;
        within("mask blur", f64::from(self.mask_blur), 0.0, 1000.0)?;
        within("blend opacity", f64::from(self.blend.opacity), 0.0, 1.0)?;
        let scores = self.micro_conditions;
        within("the prior's guidance scale", self.prior.guidance_scale, 0.0, 1000.0)?;
        within("aesthetic score", scores.aesthetic_score, -1000.0, 1000.0)?;
        within("negative aesthetic score", scores.negative_aesthetic_score, -1000.0, 1000.0)?;
        self.check_controls()?;
        self.check_part()
    }

    /// Which part of the schedule runs.
    fn check_part(&self) -> Result<(), EngineError> {
        let named = [("start", self.denoising_start), ("end", self.denoising_end)];
        for (what, value) in named {
            let Some(value) = value else { continue };
            if !(value > 0.0 && value < 1.0) {
                return invalid(format!(
                    "denoising {what} is {value}, but must be above 0 and below 1"
                ));
            }
        }
        match (self.denoising_start, self.denoising_end) {
            (Some(start), Some(end)) if start >= end => {
                invalid(format!("denoising start is {start}, but must be below its end, {end}"))
            }
            (Some(_), _) if self.task == Task::Generate => {
                invalid("a new picture cannot start in the middle; leave denoising start out")
            }
            _ => Ok(()),
        }
    }

    fn check_inputs(&self) -> Result<(), EngineError> {
        if self.task != Task::Generate && self.image.is_none() {
            return invalid("there is no picture: name one");
        }
        if self.task == Task::Fill && self.mask.is_none() {
            return invalid("there is no mask: paint one, or name a file with --mask");
        }
        if self.task != Task::Fill && self.mask.is_some() {
            return invalid("a mask belongs to fill; leave it out here");
        }
        Ok(())
    }

    /// What can be said about prompts before their wildcards are resolved.
    fn check_prompts(&self) -> Result<(), EngineError> {
        let texts = self.texts();
        for text in [&texts.prompt, &texts.prompt_2, &texts.negative, &texts.negative_2] {
            self.syntax().parse(text).map_err(EngineError::invalid)?;
        }
        Ok(())
    }

    fn check_controls(&self) -> Result<(), EngineError> {
        for control in &self.controlnets {
            within("control guidance start", control.guidance_start, 0.0, 1.0)?;
            within("control guidance end", control.guidance_end, 0.0, 1.0)?;
            if control.guidance_start >= control.guidance_end {
                return invalid(format!(
                    "control guidance starts at {} and ends at {}: the start must lie before the end",
                    control.guidance_start, control.guidance_end
                ));
            }
            let scale = control.conditioning_scale.unwrap_or(1.0);
            within("control conditioning scale", scale, -10.0, 10.0)?;
            if control.image.is_none() && self.task != Task::Fill {
                return invalid(format!(
                    "the ControlNet {} has no picture to look at: name one (--control-image)",
                    control.model
                ));
            }
        }
        if self.guess_mode && self.controlnets.is_empty() {
            return invalid("guess mode belongs to ControlNets; name one, or leave it out");
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), EngineError> {
        for (what, value) in [("width", self.width), ("height", self.height)] {
            let Some(value) = value else { continue };
            // What an exact run takes is for its model to say.
            let unit = if self.exact { 1 } else { 8 };
            check_side(what, value, unit)?;
        }
        if self.width.is_some() != self.height.is_some() && !self.exact {
            return invalid("name both width and height, or neither");
        }
        Ok(())
    }
}

/// Checks one side of the sampling size, in pixels.
pub fn check_side(what: &str, value: u32, unit: u32) -> Result<(), EngineError> {
    if value > 0 && value.is_multiple_of(unit) && value <= MAX_SIDE {
        return Ok(());
    }
    invalid(format!(
        "{what} is {value}, but must be a multiple of {unit} from {unit} to {MAX_SIDE}"
    ))
}

/// A mask must have its picture's size, or every pixel of it would be a guess.
pub fn check_mask_size(picture: Extent, mask: Extent) -> Result<(), EngineError> {
    if picture == mask {
        return Ok(());
    }
    invalid(format!("the mask is {mask} pixels, the picture {picture}: they must have one size"))
}

fn at_least_one(what: &str, value: usize) -> Result<(), EngineError> {
    if value >= 1 { Ok(()) } else { invalid(format!("the {what} is 0, but must be 1 or more")) }
}

fn within(what: &str, value: f64, low: f64, high: f64) -> Result<(), EngineError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    invalid(format!("{what} is {value}, but must be from {low} to {high}"))
}

fn invalid<T>(text: impl std::fmt::Display) -> Result<T, EngineError> {
    Err(EngineError::invalid(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stage;

    fn refusal(change: impl FnOnce(&mut Request)) -> String {
        let mut request = Request { task: Task::Generate, ..Request::default() };
        change(&mut request);
        request.check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_plain_request_is_fine() {
        assert_eq!(refusal(|_| {}), "");
        assert_eq!(refusal(|r| (r.width, r.height) = (Some(64), Some(72))), "");
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_range() {
        assert_eq!(refusal(|r| r.strength = Some(1.5)), "strength is 1.5, but must be from 0 to 1");
        assert!(refusal(|r| r.guidance_scale = f64::NAN).contains("guidance scale is NaN"));
        assert!(refusal(|r| r.num_inference_steps = 0).contains("number of steps is 0"));
        assert!(refusal(|r| (r.width, r.height) = (Some(100), Some(64))).contains("width is 100"));
        assert!(refusal(|r| r.width = Some(64)).contains("both"));
        assert!(refusal(|r| r.task = Task::Fill).contains("no picture"));
        assert!(refusal(|r| r.eta = -0.1).contains("eta is -0.1"));
        assert!(refusal(|r| r.denoising_end = Some(1.0)).contains("denoising end is 1"));
        assert!(refusal(|r| r.denoising_start = Some(0.5)).contains("new picture"));
    }

    #[test]
    fn a_chain_is_checked_pass_by_pass() {
        let chain = |stage: Stage| refusal(|r| r.chain = vec![Stage::default(), stage]);
        assert_eq!(chain(Stage::ensemble("x".into(), 0.8)), "");
        let text = chain(Stage { task: Task::Generate, ..Stage::default() });
        assert!(text.starts_with("pass 3 of the chain") && text.contains("transform"), "{text}");
        assert!(chain(Stage { task: Task::Fill, ..Stage::default() }).contains("mask"));
        assert!(chain(Stage { strength: Some(2.0), ..Stage::default() }).contains("strength is 2"));
        let ends = Stage { denoising_end: Some(0.3), ..Stage::ensemble("x".into(), 0.8) };
        assert!(chain(ends).contains("below its end, 0.3"));
    }
}
