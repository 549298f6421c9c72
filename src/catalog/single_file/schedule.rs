//! The scheduler that a family's published models come with, and what a file says about what its
//! network predicts.

use std::path::Path;

use serde_json::{Value, json};

use super::{config::Config, parts::Component};
use crate::catalog::{Family, header::Header};

/// What the network was trained to predict, and whether to the end of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The velocity instead of the noise.
    pub velocity: bool,
    /// Trained with a schedule that ends in noise without any signal.
    pub zero_terminal: bool,
}

/// The tensors by which trainers mark their files; their contents do not matter.
const VELOCITY_MARK: &str = "v_pred";
const ZERO_MARK: &str = "ztsnr";
/// What the `modelspec` standard calls it, among the file's notes.
const NOTE: &str = "modelspec.prediction_type";
/// Among the tensors of files that were saved in training, where they have it: how far it was.
const TRAINED: &str = "global_step";
/// After so many steps Stable Diffusion 2's base was published, which predicts the noise.
const BASE_STEPS: f32 = 875_000.0;

/// A normalisation of Stable Diffusion 2's U-Net whose biases were spread further by training on
/// velocities; where to draw the line is ComfyUI's finding.
const TELLTALE: &str = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias";
const TELLTALE_WIDTH: usize = 320;
const TELLTALE_DEVIATION: f64 = 0.09;

/// As `said` by a configuration beside the file; by marks and notes; for Stable Diffusion 2 in its published size, where both kinds are
/// unmarked, by what training left behind.
pub fn prediction(
    file: &Path,
    header: &Header,
    unet: &Component,
    family: Family,
    said: Option<&str>,
) -> Prediction {
    let has = |mark: &str| {
        header.tensors.keys().any(|key| key == mark || key.ends_with(&format!(".{mark}")))
    };
    let zero_terminal = has(ZERO_MARK);
    let note = said.or(header.metadata.get(NOTE).map(String::as_str));
    let velocity = match note.map(str::to_lowercase) {
        Some(_) if said.is_some() => said == Some("v"),
        _ if has(VELOCITY_MARK) => true,
        Some(note) => note.starts_with('v'),
        None if family == Family::StableDiffusion2 => second_predicts_velocity(file, header, unet),
        None => false,
    };
    Prediction { velocity, zero_terminal }
}

fn second_predicts_velocity(file: &Path, header: &Header, unet: &Component) -> bool {
    if let Some([steps]) = header.numbers(file, TRAINED).as_deref() {
        return *steps != BASE_STEPS;
    }
    let plain = unet.side("conv_in.weight", 1) == Some(4);
    let published = plain && unet.side(TELLTALE, 0) == Some(TELLTALE_WIDTH);
    let numbers =
        unet.key(TELLTALE).filter(|_| published).and_then(|key| header.numbers(file, key));
    numbers.is_some_and(|numbers| deviation(&numbers) > TELLTALE_DEVIATION)
}

fn deviation(numbers: &[f32]) -> f64 {
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().map(|&n| f64::from(n)).sum::<f64>() / count;
    (numbers.iter().map(|&n| (f64::from(n) - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// `scheduler_config.json` as the family's published folders have it.
pub fn scheduler(family: Family, inpainting: bool, prediction: Prediction) -> Config {
    let class = match family {
        Family::StableDiffusionXl | Family::StableDiffusionXlRefiner => "EulerDiscreteScheduler",
        Family::StableDiffusion2 => "DDIMScheduler",
        _ if inpainting => "DDIMScheduler",
        _ => "PNDMScheduler",
    };
    let mut config = Config::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    set("_class_name", json!(class));
    set("num_train_timesteps", json!(1000));
    set("beta_start", json!(0.00085));
    set("beta_end", json!(0.012));
    set("beta_schedule", json!("scaled_linear"));
    set("steps_offset", json!(1));
    set("prediction_type", json!(if prediction.velocity { "v_prediction" } else { "epsilon" }));
    match class {
        "EulerDiscreteScheduler" => {
            set("interpolation_type", json!("linear"));
            set("timestep_spacing", json!("leading"));
            set("use_karras_sigmas", json!(false));
        }
        _ => {
            set("clip_sample", json!(false));
            set("set_alpha_to_one", json!(false));
        }
    }
    // Kept for the schedulers that a person may name instead.
    set("skip_prk_steps", json!(true));
    if prediction.zero_terminal {
        set("rescale_betas_zero_snr", json!(true));
    }
    config
}

/// The side of the latents that the family was trained at.
pub fn sample_size(family: Family, prediction: Prediction, inpainting: bool) -> usize {
    match family {
        Family::StableDiffusionXl | Family::StableDiffusionXlRefiner => 128,
        Family::StableDiffusion2 if prediction.velocity && !inpainting => 96,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of two tensors, of which one is of this name, and a note.
    fn told(mark: &str, note: &str, said: Option<&str>) -> Prediction {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.safetensors");
        let header = format!(
            r#"{{"__metadata__": {{"{NOTE}": "{note}"}}, "a": {{"dtype": "F32", "shape": [1],
                "data_offsets": [0, 4]}}, "{mark}": {{"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}}}"#
        );
        let header = header.replace(&format!(r#""__metadata__": {{"{NOTE}": ""}}, "#), "");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0.0f32.to_le_bytes(), 7.0f32.to_le_bytes()].concat());
        std::fs::write(&file, bytes).unwrap();
        let header = Header::read(&file).unwrap();
        prediction(&file, &header, &Component::default(), Family::StableDiffusion2, said)
    }

    #[test]
    fn what_is_predicted_is_told_in_order() {
        let velocity = |mark, note, said| told(mark, note, said).velocity;
        assert!(!velocity("b", "", None));
        assert!(velocity("v_pred", "", None) && velocity("v_pred", "epsilon", None));
        assert!(velocity("b", "v", None) && !velocity("b", "epsilon", None));
        assert!(!velocity("v_pred", "v", Some("eps")) && velocity("b", "", Some("v")));
        // Saved in training, and not the base.
        assert!(velocity(TRAINED, "", None));
        assert!(told("ztsnr", "", None).zero_terminal && !told("b", "", None).zero_terminal);
    }

    #[test]
    fn deviations_are_of_the_whole() {
        assert_eq!(deviation(&[1.0, 3.0]), 1.0);
        assert_eq!(deviation(&[]), 0.0);
    }
}
