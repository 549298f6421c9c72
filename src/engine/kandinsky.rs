//! What the reference's pipelines of Kandinsky 2.2 do that its others do not: their sizes, how they
//! resize pictures, and what they have no arguments for.

use super::{EngineError, Request, Task, pass::Pass, plan::ModelFacts, validate::check_side};
use crate::{
    diffusion::{SchedulerConfig, schedulers},
    geometry::Extent,
    pixels::{
        Picture,
        resize::{Filter, resize_picture_by_blocks},
    },
};

/// What an exact run samples at. New pictures: the named sides rounded up, and so is the result.
/// Inpainting: the named sides, which must not need that. Image-to-image: cut down to whole latents,
/// with width and height in each other's place.
///
/// # Errors
/// If a side does not suit the pipeline or the network.
pub fn exact_size(request: &Request, model: ModelFacts) -> Result<Extent, EngineError> {
    let named = |side: Option<u32>| side.unwrap_or(model.reference);
    let (width, height) = (named(request.width), named(request.height));
    let latent = model.latent_pixels;
    // The reference squares the autoencoder's factor; that is 64 for one of 8.
    let unit = latent * latent;
    let size = match request.task {
        Task::Generate => Extent::new(width.div_ceil(unit) * unit, height.div_ceil(unit) * unit),
        Task::Fill => {
            check_side("width", width, unit)?;
            check_side("height", height, unit)?;
            Extent::new(width, height)
        }
        Task::Transform => Extent::new(height / latent * latent, width / latent * latent),
    };
    for (what, side) in [("width", size.width), ("height", size.height)] {
        check_side(&format!("the {what} that is sampled"), side, model.side_unit)?;
    }
    Ok(size)
}

/// A picture at the sampling size, as these pipelines bring it there.
pub fn resized(picture: &Picture, size: Extent) -> Picture {
    resize_picture_by_blocks(picture, size, Filter::Bicubic)
}

/// Its decoders' files say that the variance is learned. Only DDPM has a use for that; others are given
/// the prediction alone, which the reference cannot do.
pub fn without_learned_variance(config: &mut SchedulerConfig, named: Option<&str>) {
    let id = |name: &str| schedulers::find(name).map(|info| info.id);
    if named.is_some_and(|name| id(name) != id("DDPM")) {
        config.values.remove("variance_type");
    }
}

/// Refuses what Kandinsky cannot do, and in exact mode what its pipelines have no argument for.
///
/// # Errors
/// The first of such settings, by name.
pub fn check(Pass { request: pass, folder, .. }: &Pass) -> Result<(), EngineError> {
    let refuse = |what: &str, instead: &str| {
        let name = &folder.name;
        Err(EngineError::invalid(format!("{name} is of Kandinsky 2.2, which {what}; {instead}")))
    };
    if !pass.lora.is_empty() {
        return refuse("takes no LoRA", "leave --lora out");
    }
    if !pass.embeddings.is_empty() {
        return refuse("takes no words of textual inversion", "leave --embedding out");
    }
    if !pass.controlnets.is_empty() {
        return refuse("takes no ControlNet", "leave --controlnet out");
    }
    if pass.long_prompts {
        return refuse("reads one row of 75 tokens", "leave --long-prompts out");
    }
    if pass.clip_skip.is_some() {
        return refuse("reads the prompt through a prior", "leave clip skip out");
    }
    let fill_strength = pass.task == Task::Fill && pass.strength() < 1.0;
    let settings = [
        (fill_strength, "inpainting has no strength"),
        (pass.eta > 0.0, "pipelines have no eta"),
        (pass.guidance_rescale > 0.0, "pipelines have no guidance rescale"),
        (pass.padding_mask_crop.is_some(), "inpainting has no padding of the mask's crop"),
        (pass.denoising_start.is_some(), "pipelines run the whole schedule"),
        (pass.denoising_end.is_some(), "pipelines run the whole schedule"),
    ];
    match settings.iter().find(|(named, _)| pass.exact && *named) {
        Some((_, what)) => Err(EngineError::invalid(format!(
            "{}: Kandinsky's {what} in the reference; leave it out, or leave out --exact",
            folder.name
        ))),
        None => Ok(()),
    }
}
