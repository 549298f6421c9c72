//! ControlNets, from arguments.

use std::path::Path;

use super::{Failure, arguments::Controls};
use crate::engine::{ControlNet, ImageSource, Request};

/// In place of a file: a picture made of the picture and the mask of a fill.
const FROM_MASK: &str = "from-mask";

/// Puts what was named over what the request has. Options without `--controlnet` change those of
/// the request.
pub fn apply(request: &mut Request, controls: &Controls) -> Result<(), Failure> {
    if !controls.controlnet.is_empty() {
        let named = |model: &String| ControlNet { model: model.clone(), ..ControlNet::default() };
        request.controlnets = controls.controlnet.iter().map(named).collect();
    }
    let count = request.controlnets.len();
    let images = &controls.control_image;
    if !images.is_empty() && images.len() != count {
        return Err(Failure::Bad(format!(
            "--control-image is given {} times for {}; name one for each, in the same order \
             ({FROM_MASK} for one made of picture and mask)",
            images.len(),
            ControlNets(count)
        )));
    }
    for (control, image) in request.controlnets.iter_mut().zip(images) {
        let made = image == Path::new(FROM_MASK);
        control.image = (!made).then(|| ImageSource::File(image.clone()));
    }
    let scales =
        each("controlnet-conditioning-scale", &controls.controlnet_conditioning_scale, count)?;
    let starts = each("control-guidance-start", &controls.control_guidance_start, count)?;
    let ends = each("control-guidance-end", &controls.control_guidance_end, count)?;
    for (i, control) in request.controlnets.iter_mut().enumerate() {
        control.conditioning_scale = scales.get(i).copied().or(control.conditioning_scale);
        control.guidance_start = starts.get(i).copied().unwrap_or(control.guidance_start);
        control.guidance_end = ends.get(i).copied().unwrap_or(control.guidance_end);
    }
    request.guess_mode |= controls.guess_mode;
    Ok(())
}

/// One value for each of `count`; none where none was named.
fn each(option: &str, values: &[f64], count: usize) -> Result<Vec<f64>, Failure> {
    match values {
        [one] if count > 0 => Ok(vec![*one; count]),
        many if many.is_empty() || many.len() == count => Ok(many.to_vec()),
        many => Err(Failure::Bad(format!(
            "--{option} is given {} times for {}; give it once for all, or once for each",
            many.len(),
            ControlNets(count)
        ))),
    }
}

/// How many, in words.
struct ControlNets(usize);

impl std::fmt::Display for ControlNets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("no --controlnet"),
            1 => f.write_str("one --controlnet"),
            more => write!(f, "{more} times --controlnet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Cli, Command};

    fn applied(arguments: &[&str]) -> Result<Request, String> {
        let all = ["overpaint", "generate"].iter().chain(arguments);
        let Some(Command::Generate(generate)) = Cli::try_parse_from(all).unwrap().command else {
            panic!("another command");
        };
        let mut request = Request::default();
        match apply(&mut request, &generate.common.controls) {
            Ok(()) => Ok(request),
            Err(Failure::Bad(text)) => Err(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_go_to_all_or_to_each() {
        let request = applied(&[
            "--controlnet=a",
            "--controlnet=b",
            "--control-image=one.png",
            "--control-image=from-mask",
            "--controlnet-conditioning-scale=0.5",
            "--control-guidance-end=0.7",
            "--control-guidance-end=0.9",
            "--guess-mode",
        ])
        .unwrap();
        let [a, b] = &request.controlnets[..] else { panic!("two ControlNets") };
        assert_eq!(a.image, Some(ImageSource::File("one.png".into())));
        assert_eq!(b.image, None);
        assert_eq!((a.conditioning_scale, b.conditioning_scale), (Some(0.5), Some(0.5)));
        assert_eq!((a.guidance_end, b.guidance_end, a.guidance_start), (0.7, 0.9, 0.0));
        assert!(request.guess_mode);
    }

    #[test]
    fn numbers_that_do_not_fit_are_told() {
        let text = applied(&["--control-image=a.png"]).unwrap_err();
        assert!(text.contains("no --controlnet"), "{text}");
        let text = applied(&[
            "--controlnet=a",
            "--control-guidance-start=0",
            "--control-guidance-start=1",
        ]);
        assert!(text.unwrap_err().contains("2 times for one"));
        assert!(applied(&["--controlnet-conditioning-scale=1"]).is_err());
    }
}
