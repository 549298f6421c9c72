//! The pipelines with a scripted network: which noise is drawn when, what the network is shown,
//! and what comes out. Agreement of whole pictures with the reference is tested in `tests/`.

use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow};

use candle_core::{DType, Device, IndexOp, Tensor};

use super::{
    Cancelled, Conditions, Denoiser, DenoiserInput, Error, ImageToImage, Inpaint, NoiseSource,
    Posterior, Prompt, Result, Run, Sampling, Scheduler, SchedulerConfig, Source, StepInfo,
    TextToImage, image_to_image, inpaint,
    noise::TorchNoise,
    schedulers::{self, PipelineKind},
    text_to_image,
};

const CPU: Device = Device::Cpu;

/// Remembers what it is shown; predicts a tenth of the latents plus the prompt's first number.
struct Script {
    in_channels: usize,
    seen: RefCell<Vec<(Tensor, f64)>>,
}

impl Denoiser for Script {
    fn in_channels(&self) -> usize {
        self.in_channels
    }

    fn predict(&self, input: DenoiserInput<'_>) -> candle_core::Result<Tensor> {
        self.seen.borrow_mut().push((input.sample.clone(), input.timestep));
        let prompt = input.context.i((.., 0, 0))?.reshape((input.sample.dim(0)?, 1, 1, 1))?;
        (input.sample.narrow(1, 0, 4)? * 0.1)?.broadcast_add(&prompt)
    }
}

/// Remembers the shapes of the draws.
struct Recorder {
    noise: TorchNoise,
    draws: Vec<Vec<usize>>,
}

impl NoiseSource for Recorder {
    fn seed(&self) -> u64 {
        self.noise.seed()
    }

    fn fill(&mut self, count: usize) -> Vec<f32> {
        self.noise.fill(count)
    }

    fn randn(
        &mut self,
        shape: candle_core::Shape,
        device: &Device,
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        self.draws.push(shape.dims().to_vec());
        let values = self.fill(shape.elem_count());
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }
}

/// Everything that a run needs, with pictures of 16 by 16 pixels and latents of 2 by 2.
struct Bench {
    network: Script,
    scheduler: Box<dyn Scheduler>,
    recorder: Recorder,
    prompt: Prompt,
}

impl Bench {
    fn new(in_channels: usize, scheduler: &str) -> Self {
        let text = r#"{"beta_schedule": "scaled_linear", "clip_sample": false}"#;
        let config = SchedulerConfig::parse("test", text).unwrap();
        let none = BTreeMap::new();
        let scheduler =
            schedulers::build(&config, Some(scheduler), &none, PipelineKind::Inpaint).unwrap();
        let embedding =
            |value: f32| Conditions::from(Tensor::full(value, (1, 3, 2), &CPU).unwrap());
        Self {
            network: Script { in_channels, seen: RefCell::default() },
            scheduler,
            recorder: Recorder { noise: TorchNoise::new(11), draws: Vec::new() },
            prompt: Prompt { cond: embedding(0.3), uncond: Some(embedding(0.1)) },
        }
    }

    fn run<T>(
        &mut self,
        observer: &mut dyn super::Observer,
        task: impl FnOnce(&mut Run<'_>, &Prompt) -> Result<T>,
    ) -> Result<T> {
        let mut run = Run {
            denoiser: &self.network,
            scheduler: &mut *self.scheduler,
            noise: &mut self.recorder,
            observer,
            device: &CPU,
        };
        task(&mut run, &self.prompt)
    }

    fn inpaint(&mut self, mask: &Tensor, sampling: &Sampling) -> Result<Tensor> {
        let (picture, masked) = (posterior(1.0), posterior(2.0));
        self.run(&mut (), |run, prompt| {
            let input = Inpaint {
                prompt,
                picture: Some(Source::Posterior(&picture)),
                masked_picture: Some(&masked),
                mask,
                scaling_factor: 0.5,
            };
            inpaint(run, &input, sampling)
        })
    }

    fn seen(&self, index: usize) -> Tensor {
        self.network.seen.borrow()[index].0.clone()
    }
}

/// The same everywhere, with next to no spread.
fn posterior(mean: f32) -> Posterior {
    let full = |value: f32| Tensor::full(value, (1, 4, 2, 2), &CPU).unwrap();
    Posterior { mean: full(mean), std: Some(full(1e-12)) }
}

/// The right half repaints.
fn half_mask() -> Tensor {
    let row = |_| [0f32; 8].into_iter().chain([1.0; 8]);
    Tensor::from_iter((0..16).flat_map(row), &CPU).unwrap().reshape((1, 1, 16, 16)).unwrap()
}

fn sampling(steps: usize, strength: f64, guidance_scale: f64) -> Sampling {
    Sampling { num_inference_steps: steps, strength, guidance_scale, ..Sampling::default() }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

const ONE: [usize; 4] = [1, 4, 2, 2];

#[test]
fn draws_come_in_the_reference_s_order() {
    // (channels, strength, pictures) to draws before the steps.
    let two = [2, 4, 2, 2];
    let cases: [(usize, f64, usize, &[[usize; 4]]); 4] = [
        (9, 1.0, 2, &[two, ONE]),
        (9, 0.5, 2, &[ONE, two, ONE]),
        (4, 1.0, 2, &[ONE, two, ONE]),
        (4, 0.5, 1, &[ONE, ONE, ONE]),
    ];
    for (channels, strength, pictures, draws) in cases {
        let mut bench = Bench::new(channels, "euler a");
        let settings = Sampling { num_images_per_prompt: pictures, ..sampling(4, strength, 2.0) };
        bench.inpaint(&half_mask(), &settings).unwrap();
        let steps = (4.0 * strength) as usize;
        assert_eq!(bench.recorder.draws[..draws.len()], *draws);
        let rest = &bench.recorder.draws[draws.len()..];
        assert_eq!(rest, vec![[pictures, 4, 2, 2]; steps], "one draw a step");
    }
}

#[test]
fn strength_one_starts_from_pure_noise_and_less_from_the_noised_picture() {
    let mut bench = Bench::new(9, "ddim");
    bench.inpaint(&half_mask(), &sampling(4, 1.0, 1.0)).unwrap();
    let latents = values(&bench.seen(0).narrow(1, 0, 4).unwrap());
    assert_eq!(latents, TorchNoise::new(11).fill(16));

    let mut bench = Bench::new(9, "ddim");
    bench.inpaint(&half_mask(), &sampling(4, 0.5, 1.0)).unwrap();
    let mut noise = TorchNoise::new(11);
    noise.fill(16);
    let noise = noise.fill(16);
    bench.scheduler.set_timesteps(4).unwrap();
    let t = bench.scheduler.timesteps()[2];
    assert_eq!(bench.network.seen.borrow()[0].1, t);
    let clean = Tensor::full(0.5f32, &ONE, &CPU).unwrap();
    let noise = Tensor::from_vec(noise, &ONE, &CPU).unwrap();
    let expected = values(&bench.scheduler.add_noise(&clean, &noise, t).unwrap());
    let latents = values(&bench.seen(0).narrow(1, 0, 4).unwrap());
    assert!(latents.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn nine_channels_are_latents_mask_and_masked_picture() {
    let mut bench = Bench::new(9, "euler");
    bench.inpaint(&half_mask(), &sampling(3, 1.0, 5.0)).unwrap();
    let seen = bench.seen(0);
    assert_eq!(seen.dims(), [2, 9, 2, 2], "without and with the prompt");
    assert_eq!(values(&seen.i((0, 4)).unwrap()), [0.0, 1.0, 0.0, 1.0]);
    assert!(values(&seen.i((1, 5..)).unwrap()).iter().all(|v| (v - 1.0).abs() < 1e-6));
    // Only the latents are scaled to unit variance.
    let first = seen.i((0, 0, 0, 0)).unwrap().to_scalar::<f32>().unwrap();
    assert!((first - TorchNoise::new(11).fill(16)[0]).abs() < 1e-2);
    bench.inpaint(&half_mask(), &sampling(3, 1.0, 1.0)).unwrap();
    assert_eq!(bench.seen(3).dims(), [1, 9, 2, 2], "no guidance, no second half");
}

#[test]
fn four_channels_put_back_what_the_mask_keeps() {
    for name in ["ddim", "euler", "dpm++ 2m", "unipc", "heun", "plms", "lcm"] {
        let mut bench = Bench::new(4, name);
        let latents = bench.inpaint(&half_mask(), &sampling(6, 1.0, 3.0)).unwrap();
        let kept = values(&latents.i((.., .., .., 0)).unwrap());
        assert!(kept.iter().all(|v| (v - 0.5).abs() < 1e-6), "{name}: {kept:?}");
        let repainted = values(&latents.i((.., .., .., 1)).unwrap());
        assert!(repainted.iter().any(|v| (v - 0.5).abs() > 1e-2), "{name}: {repainted:?}");
    }
}

#[test]
fn the_prompt_moves_the_result_with_guidance() {
    let result = |scale| {
        let mut bench = Bench::new(9, "ddim");
        values(&bench.inpaint(&half_mask(), &sampling(5, 1.0, scale)).unwrap())
    };
    let (plain, guided) = (result(1.0), result(9.0));
    assert!(plain.iter().zip(&guided).all(|(a, b)| (a - b).abs() > 1e-2));
    assert_eq!(plain, result(0.3), "any scale up to 1 is none");
}

#[test]
fn second_order_schedulers_skip_whole_steps() {
    let mut bench = Bench::new(9, "heun");
    bench.inpaint(&half_mask(), &sampling(10, 0.5, 1.0)).unwrap();
    assert_eq!(bench.network.seen.borrow().len(), 9, "five steps, the last needs one evaluation");
}

#[test]
fn whole_pictures_draw_the_picture_then_the_noise() {
    let mut bench = Bench::new(4, "ddim");
    let picture = posterior(1.0);
    let settings = Sampling { num_images_per_prompt: 3, ..sampling(4, 1.0, 2.0) };
    let latents = bench.run(&mut (), |run, prompt| {
        let input =
            ImageToImage { prompt, picture: Source::Posterior(&picture), scaling_factor: 0.5 };
        image_to_image(run, &input, &settings)
    });
    assert_eq!(latents.unwrap().dims(), [3, 4, 2, 2]);
    assert_eq!(bench.recorder.draws, [ONE, [3, 4, 2, 2]]);
    let pure = TorchNoise::new(11).fill(16)[0];
    let first = bench.seen(0).i((0, 0, 0, 0)).unwrap().to_scalar::<f32>().unwrap();
    assert!((first - pure).abs() > 1e-3, "even at strength 1 the picture shines through");
}

#[test]
fn pictures_from_nothing_are_one_draw() {
    let mut bench = Bench::new(4, "euler");
    let settings = Sampling { num_images_per_prompt: 2, ..sampling(4, 1.0, 2.0) };
    let latents = bench.run(&mut (), |run, prompt| {
        text_to_image(run, &TextToImage { prompt, height: 3, width: 5 }, &settings)
    });
    assert_eq!(latents.unwrap().dims(), [2, 4, 3, 5]);
    assert_eq!(bench.recorder.draws, [[2, 4, 3, 5]]);
}

#[test]
fn cancelling_acts_within_one_step() {
    let mut bench = Bench::new(4, "euler");
    let mut indices = Vec::new();
    let mut stop_after_two = |info: StepInfo<'_>| {
        assert!(info.predicted_x0.is_some() && info.total == 20);
        indices.push(info.index);
        if info.index == 1 { ControlFlow::Break(Cancelled) } else { ControlFlow::Continue(()) }
    };
    let result = bench.run(&mut stop_after_two, |run, prompt| {
        let input = TextToImage { prompt, height: 2, width: 2 };
        text_to_image(run, &input, &sampling(20, 1.0, 2.0))
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!((indices, bench.network.seen.borrow().len()), (vec![0, 1], 2));
}

/// Wants nothing from the beginning.
struct Unwilling;

impl super::Observer for Unwilling {
    fn step(&mut self, _: StepInfo<'_>) -> ControlFlow<Cancelled> {
        ControlFlow::Break(Cancelled)
    }

    fn check(&mut self) -> ControlFlow<Cancelled> {
        ControlFlow::Break(Cancelled)
    }
}

#[test]
fn cancelling_before_the_first_step_runs_none() {
    let mut bench = Bench::new(4, "euler");
    let result = bench.run(&mut Unwilling, |run, prompt| {
        let input = TextToImage { prompt, height: 2, width: 2 };
        text_to_image(run, &input, &sampling(20, 1.0, 2.0))
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(bench.network.seen.borrow().is_empty());
}

#[test]
fn what_does_not_fit_is_said() {
    let refused = |channels: usize, settings: Sampling| {
        let error = Bench::new(channels, "ddim").inpaint(&half_mask(), &settings).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
        error.to_string()
    };
    assert!(refused(5, sampling(4, 1.0, 2.0)).contains("5 channels"));
    assert!(refused(9, sampling(0, 1.0, 2.0)).contains("steps"));
    assert!(refused(9, sampling(4, 0.1, 2.0)).contains("strength"));
    assert!(refused(9, sampling(4, 1.0, f64::NAN)).contains("guidance"));
    assert!(refused(9, Sampling { eta: 2.0, ..sampling(4, 1.0, 2.0) }).contains("eta"));
    let mut bench = Bench::new(9, "ddim");
    bench.prompt.uncond = None;
    let error = bench.inpaint(&half_mask(), &sampling(4, 1.0, 2.0)).unwrap_err();
    assert!(error.to_string().contains("negative prompt"));
    let mut bench = Bench::new(9, "ddim");
    let error = bench.run(&mut (), |run, prompt| {
        let input = TextToImage { prompt, height: 2, width: 2 };
        text_to_image(run, &input, &sampling(4, 1.0, 2.0))
    });
    assert!(error.unwrap_err().to_string().contains("inpainting"));
}
