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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
