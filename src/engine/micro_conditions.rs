//! What Stable Diffusion XL is told about sizes and quality besides the prompt ("micro-conditions",
//! Podell et al. 2023), and the numbers that follow.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::geometry::Extent;

/// See the module. Other families pay no attention. In pixels; `None` is the size that is sampled,
/// or for a negative one what the positive one is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MicroConditions {
    /// The size that the picture had before it was made smaller: small ones look soft.
    pub original_size: Option<Extent>,
    /// Left and top of the crop: not 0, and things are cut off at those sides.
    pub crops_coords_top_left: (i32, i32),
    pub target_size: Option<Extent>,
    pub negative_original_size: Option<Extent>,
    /// Heeded by text-to-image, where both negative sizes are named, and by refiners.
    pub negative_crops_coords_top_left: (i32, i32),
    pub negative_target_size: Option<Extent>,
    /// How good a picture should look, about 1 to 10, for refiners.
    pub aesthetic_score: f64,
    pub negative_aesthetic_score: f64,
}

impl Default for MicroConditions {
    fn default() -> Self {
        Self {
            original_size: None,
            crops_coords_top_left: (0, 0),
            target_size: None,
            negative_original_size: None,
            negative_crops_coords_top_left: (0, 0),
            negative_target_size: None,
            aesthetic_score: 6.0,
            negative_aesthetic_score: 2.5,
        }
    }
}

/// The numbers that go to the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub positive: Vec<f32>,
    pub negative: Vec<f32>,
}

impl MicroConditions {
    /// For a picture sampled at `size`; `scores` where the model asks for aesthetic scores instead
    /// of the target size. Heights stand before widths, tops before lefts, as the networks were
    /// trained. Which crop the negative numbers take is the reference's choice.
    pub fn numbers(&self, task: Task, size: Extent, scores: bool) -> Numbers {
        let original = self.original_size.unwrap_or(size);
        let target = self.target_size.unwrap_or(size);
        let (crop, negative_crop) =
            (self.crops_coords_top_left, self.negative_crops_coords_top_left);
        let positive = if scores {
            scored(original, crop, self.aesthetic_score)
        } else {
            sized(original, crop, target)
        };
        let both = self.negative_original_size.zip(self.negative_target_size);
        let negative = match (task, both) {
            (Task::Generate, Some((original, target))) => sized(original, negative_crop, target),
            (Task::Generate, None) => positive.clone(),
            _ => {
                let original = self.negative_original_size.unwrap_or(original);
                if scores {
                    scored(original, negative_crop, self.negative_aesthetic_score)
                } else {
                    sized(original, crop, self.negative_target_size.unwrap_or(target))
                }
            }
        };
        Numbers { positive, negative }
    }
}

fn sized(original: Extent, crop: (i32, i32), target: Extent) -> Vec<f32> {
    let mut numbers = placed(original, crop);
    numbers.extend([target.height as f32, target.width as f32]);
    numbers
}

fn scored(original: Extent, crop: (i32, i32), score: f64) -> Vec<f32> {
    let mut numbers = placed(original, crop);
    numbers.push(score as f32);
    numbers
}

fn placed(original: Extent, (left, top): (i32, i32)) -> Vec<f32> {
    vec![original.height as f32, original.width as f32, top as f32, left as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> MicroConditions {
        MicroConditions {
            original_size: Some(Extent::new(96, 64)),
            crops_coords_top_left: (12, 5),
            negative_original_size: Some(Extent::new(32, 48)),
            negative_crops_coords_top_left: (3, 9),
            ..MicroConditions::default()
        }
    }

    #[test]
    fn sizes_that_are_not_named_are_what_is_sampled() {
        let size = Extent::new(40, 30);
        let numbers = MicroConditions::default().numbers(Task::Fill, size, false);
        assert_eq!(numbers.positive, [30.0, 40.0, 0.0, 0.0, 30.0, 40.0]);
        assert_eq!(numbers.negative, numbers.positive);
    }

    #[test]
    fn negative_numbers_follow_the_reference_s_pipelines() {
        let size = Extent::new(40, 30);
        let text = conditions().numbers(Task::Generate, size, false);
        assert_eq!(text.positive, [64.0, 96.0, 5.0, 12.0, 30.0, 40.0]);
        assert_eq!(text.negative, text.positive, "one negative size alone is not heeded");
        let both = MicroConditions { negative_target_size: Some(size), ..conditions() };
        let text = both.numbers(Task::Generate, size, false);
        assert_eq!(text.negative, [48.0, 32.0, 9.0, 3.0, 30.0, 40.0]);
        let image = conditions().numbers(Task::Transform, size, false);
        assert_eq!(image.negative, [48.0, 32.0, 5.0, 12.0, 30.0, 40.0], "the positive crop");
        let refiner = conditions().numbers(Task::Fill, size, true);
        assert_eq!(refiner.positive, [64.0, 96.0, 5.0, 12.0, 6.0]);
        assert_eq!(refiner.negative, [48.0, 32.0, 9.0, 3.0, 2.5]);
    }
}
