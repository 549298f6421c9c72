//! Loaded ControlNets, and the U-Net with them.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::{
    catalog,
    diffusion::{Denoiser, DenoiserInput},
    engine::{
        EngineError, Monitor, Request, Task,
        networks::{Networks, Part, Unet},
    },
    networks::{
        AddedConditions, Conditioning, ControlNetConfig, ControlNetModel, Residuals, UNetConfig,
        controlnet::Control,
    },
};

/// The ControlNets that were used last with a model, in memory.
#[derive(Default)]
pub struct ControlNetworks(Vec<(PathBuf, ControlNetModel)>);

impl ControlNetworks {
    /// Loads those of a request that are not loaded yet, and lets go of the others.
    ///
    /// # Errors
    /// When one is not found, cannot be read, or was made for another family of models. They stay in memory as
    /// far as the U-Net does.
    pub fn load(
        &mut self,
        request: &Request,
        networks: &Networks,
        latent_pixels: u32,
        (device, dtype): (&Device, DType),
        monitor: &mut dyn Monitor,
    ) -> Result<(), EngineError> {
        let find = |control: &super::ControlNet| {
            catalog::find_controlnet(&control.model).map_err(EngineError::invalid)
        };
        let wanted: Vec<_> =
            request.controlnets.iter().map(find).collect::<Result<_, EngineError>>()?;
        self.0.retain(|(path, _)| wanted.iter().any(|folder| folder.path == *path));
        for folder in &wanted {
            if self.get(&folder.path).is_none() {
                let config = ControlNetConfig::open(&folder.path.join("config.json"))?;
                check_family(&folder.path, &config, networks.unet.config(), latent_pixels)?;
                let mut part = Part { folder: &folder.path, device, monitor: &mut *monitor };
                let residency = &networks.residencies.unet;
                let network = part.load_from(
                    &folder.path,
                    "Loading the ControlNet",
                    dtype,
                    residency,
                    |weights| ControlNetModel::load(config, weights),
                )?;
                self.0.push((folder.path.clone(), network));
            }
        }
        Ok(())
    }

    fn get(&self, path: &Path) -> Option<&ControlNetModel> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, network)| network)
    }

    /// The U-Net with the ControlNets of a request and what they see; `None` where there are none.
    ///
    /// # Errors
    /// If a picture does not fit its network.
    pub fn beside<'a>(
        &'a self,
        unet: &'a Unet,
        request: &Request,
        pictures: &[Tensor],
    ) -> Result<Option<Controlled<'a>>, EngineError> {
        let takes_sizes = unet.config().addition.is_some();
        let mut steering = Vec::new();
        for (control, picture) in request.controlnets.iter().zip(pictures) {
            let folder = catalog::find_controlnet(&control.model).map_err(EngineError::invalid)?;
            let network = self.get(&folder.path);
            let network =
                network.ok_or_else(|| EngineError::failed("a ControlNet was not loaded"))?;
            steering.push(Steering {
                network,
                picture: network.embed(picture).map_err(EngineError::failed)?,
                scale: control.scale(request, takes_sizes),
                start: control.guidance_start,
                end: control.guidance_end,
            });
        }
        let Some(first) = steering.first() else { return Ok(None) };
        // One of the reference's pipelines leaves this out.
        let pooled = first.network.config().global_pool_conditions
            && !(takes_sizes && request.task == Task::Fill);
        // The reference's other pipelines with ControlNets leave out the embedded guidance scale.
        let embeds_guidance = request.task == Task::Generate || !request.exact;
        Ok(Some(Controlled {
            guess_mode: request.guess_mode || pooled,
            unet,
            steering,
            embeds_guidance,
        }))
    }
}

/// A ControlNet adds to the states of one kind of U-Net only.
fn check_family(
    path: &Path,
    config: &ControlNetConfig,
    unet: &UNetConfig,
    latent_pixels: u32,
) -> Result<(), EngineError> {
    let refuse = |what: String| {
        Err(EngineError::invalid(format!(
            "{}: this ControlNet was made for another family of models ({what}); choose one that \
             was made for this model's",
            path.display()
        )))
    };
    let (own, right) = (config.unet.levels[0].context, unet.levels[0].context);
    if own != right {
        return refuse(format!("prompts of width {own}, here {right}"));
    }
    if config.unet.skip_channels() != unet.skip_channels() {
        return refuse("its states have other widths".into());
    }
    if config.unet.addition != unet.addition {
        return refuse("it is told other things besides the prompt".into());
    }
    if config.downsampling() != latent_pixels as usize || config.conditioning_channels != 3 {
        return refuse("its pictures have another size or form".into());
    }
    Ok(())
}

/// A U-Net that ControlNets steer. Where its steps say so they are not even run.
pub struct Controlled<'a> {
    unet: &'a Unet,
    steering: Vec<Steering<'a>>,
    guess_mode: bool,
    embeds_guidance: bool,
}

struct Steering<'a> {
    network: &'a ControlNetModel,
    /// Embedded.
    picture: Tensor,
    scale: f64,
    /// Parts of the steps.
    start: f64,
    end: f64,
}

/// Whether all of step `index` of `total` lies between two parts of the steps.
fn lies_between(start: f64, end: f64, index: usize, total: usize) -> bool {
    let part = |step: usize| step as f64 / total as f64;
    part(index) >= start && part(index + 1) <= end
}

impl Denoiser for Controlled<'_> {
    fn in_channels(&self) -> usize {
        self.unet.in_channels()
    }

    fn guidance_embedding_dim(&self) -> Option<usize> {
        self.unet.guidance_embedding_dim().filter(|_| self.embeds_guidance)
    }

    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor> {
        let mut sum: Option<Residuals> = None;
        for steering in &self.steering {
            let Steering { start, end, .. } = *steering;
            if steering.scale != 0.0 && lies_between(start, end, input.index, input.total) {
                let residuals = self.residuals(steering, &input)?;
                sum = Some(match sum {
                    Some(sum) => sum.plus(&residuals)?,
                    None => residuals,
                });
            }
        }
        self.unet.predict_with(input, sum.as_ref())
    }
}

impl Controlled<'_> {
    /// What one ControlNet adds to the states of the whole batch. In guess mode only the half with
    /// the prompt is steered.
    fn residuals(
        &self,
        steering: &Steering<'_>,
        input: &DenoiserInput<'_>,
    ) -> candle_core::Result<Residuals> {
        let network = steering.network;
        // Behind the latents a U-Net made for inpainting sees the mask and the masked picture.
        let mut sample = input.sample.narrow(1, 0, network.config().unet.in_channels)?;
        let (mut context, mut added) = (input.context.clone(), input.added.clone());
        let half = self.guess_mode && input.doubled;
        if half {
            let prompted = |tensor: &Tensor| tensor.chunk(2, 0).map(|halves| halves[1].clone());
            (sample, context) = (prompted(&sample)?, prompted(&context)?);
            added = AddedConditions::try_map(&added, prompted)?;
        }
        let conditioning = Conditioning { added: Some(&added), ..Conditioning::new(&context) };
        let control = Control {
            picture: &steering.picture,
            scale: steering.scale,
            guess_mode: self.guess_mode,
        };
        let residuals = network.forward(&sample, input.timestep, conditioning, control)?;
        if half { residuals.after_zeros() } else { Ok(residuals) }
    }
}

#[cfg(test)]
mod tests {
    use super::lies_between;

    #[test]
    fn steps_count_that_lie_between_start_and_end_as_a_whole() {
        let counted =
            |start, end| (0..10).filter(|&i| lies_between(start, end, i, 10)).collect::<Vec<_>>();
        assert_eq!(counted(0.0, 1.0).len(), 10);
        // 3 / 10 is not below 0.3; 7 / 10 is not above 0.7.
        assert_eq!(counted(0.3, 0.7), [3, 4, 5, 6]);
        assert_eq!(counted(0.31, 0.69), [4, 5]);
        assert_eq!(counted(0.9, 1.0), [9]);
    }
}
