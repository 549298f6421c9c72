//! Models that were distilled to paint in a few steps, known by their configurations, and the
//! settings that they want.

use serde_json::{Map, Value};

use super::Recommended;

/// How a model was distilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FewSteps {
    /// A latent consistency model whose U-Net takes the guidance scale as an input.
    GuidedConsistency,
    /// A latent consistency model, or an ordinary one with an LCM adapter merged in.
    Consistency,
    /// Trajectory consistency (TCD, Hyper).
    Trajectory,
    /// Adversarial diffusion and its kin: Turbo, Lightning.
    Adversarial,
}

impl FewSteps {
    /// What `unet/config.json` and `scheduler_config.json` say; nothing for an ordinary model.
    pub(super) fn of(unet: &Map<String, Value>, scheduler: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| scheduler.get(key).and_then(Value::as_str).unwrap_or_default();
        if unet.get("time_cond_proj_dim").is_some_and(|width| !width.is_null()) {
            return Some(Self::GuidedConsistency);
        }
        match text("_class_name") {
            "LCMScheduler" => Some(Self::Consistency),
            "TCDScheduler" => Some(Self::Trajectory),
            // The combination that models for few steps ship with. Others with trailing timesteps
            // predict the velocity or go to zero terminal signal.
            "EulerDiscreteScheduler" | "EulerAncestralDiscreteScheduler"
                if text("timestep_spacing") == "trailing"
                    && matches!(text("prediction_type"), "" | "epsilon" | "sample")
                    && scheduler.get("rescale_betas_zero_snr") != Some(&Value::Bool(true)) =>
            {
                Some(Self::Adversarial)
            }
            _ => None,
        }
    }

    /// Steps, guidance and eta as the models' cards have them.
    pub fn recommended(self) -> Recommended {
        let (guidance_scale, eta) = match self {
            Self::GuidedConsistency => (8.0, None),
            Self::Trajectory => (1.0, Some(0.3)),
            Self::Consistency | Self::Adversarial => (1.0, None),
        };
        Recommended {
            steps: Some(4),
            guidance_scale: Some(guidance_scale),
            eta,
            ..Recommended::default()
        }
    }
}

/// What the name of a file says that says no more itself, a single-file model or a LoRA; nothing
/// where it does not sound made for few steps.
pub fn recommended_by_name(name: &str) -> Option<Recommended> {
    let name = name.to_lowercase();
    let has = |beginning: &str| {
        name.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(beginning))
    };
    let (scheduler, eta) = match () {
        () if has("lcm") => ("lcm", None),
        () if has("tcd") => ("tcd", Some(0.3)),
        () if has("lightning") || has("turbo") => ("euler trailing", None),
        // Not all that is called hyper... is meant.
        () if has("hypersd") || name.contains("hyper-sd") || name.contains("hyper_sd") => {
            ("ddim trailing", None)
        }
        () => return None,
    };
    let steps = Some(steps_in(&name).unwrap_or(4));
    let scheduler = Some(scheduler);
    Some(Recommended { steps, scheduler, guidance_scale: Some(1.0), eta, ..Recommended::default() })
}

/// As in `4step` or `8-steps`.
fn steps_in(name: &str) -> Option<usize> {
    let before = name[..name.find("step")?].trim_end_matches(['-', '_', ' ']);
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().ok().filter(|steps| (1..=16).contains(steps))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_files_say_what_they_are_made_for() {
        for (name, expected) in [
            ("sdxl_lightning_8step_lora", Some(("euler trailing", 8))),
            ("dreamshaperXL_lightningDPMSDE", Some(("euler trailing", 4))),
            ("sd_xl_turbo_1.0_fp16", Some(("euler trailing", 4))),
            ("Hyper-SDXL-2steps-lora", Some(("ddim trailing", 2))),
            ("lcm-lora-sdv1-5", Some(("lcm", 4))),
            ("hyperrealism_v3", None),
            ("steppenwolf-12", None),
        ] {
            let found = recommended_by_name(name);
            assert_eq!(found.map(|r| (r.scheduler.unwrap(), r.steps.unwrap())), expected, "{name}");
        }
    }

    fn of(unet: Value, scheduler: Value) -> Option<FewSteps> {
        FewSteps::of(unet.as_object().unwrap(), scheduler.as_object().unwrap())
    }

    #[test]
    fn models_for_few_steps_are_known_by_their_files() {
        let plain = || json!({ "time_cond_proj_dim": null });
        let euler = |spacing: &str, prediction: &str| {
            json!({ "_class_name": "EulerDiscreteScheduler", "timestep_spacing": spacing,
                    "prediction_type": prediction })
        };
        let lcm = json!({ "_class_name": "LCMScheduler" });
        assert_eq!(
            of(json!({ "time_cond_proj_dim": 256 }), lcm.clone()),
            Some(FewSteps::GuidedConsistency)
        );
        assert_eq!(of(plain(), lcm), Some(FewSteps::Consistency));
        assert_eq!(of(plain(), euler("trailing", "epsilon")), Some(FewSteps::Adversarial));
        assert_eq!(of(plain(), euler("leading", "epsilon")), None);
        assert_eq!(of(plain(), euler("trailing", "v_prediction")), None);
        let tcd = of(plain(), json!({ "_class_name": "TCDScheduler" })).unwrap();
        assert_eq!(tcd.recommended().eta, Some(0.3));
        assert_eq!(of(plain(), json!({ "_class_name": "PNDMScheduler" })), None);
        assert_eq!(of(plain(), json!({})), None);
    }
}
