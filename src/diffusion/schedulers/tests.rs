//! Full loops against numbers of the reference (`tests/reference/schedulers.py`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ALL, PipelineKind, SchedulerConfig, StepContext, build, find, registry};
use crate::diffusion::{Error, NoiseSource, noise::TorchNoise};

#[derive(Deserialize)]
struct Case {
    scheduler: String,
    config: Map<String, Value>,
    steps: usize,
    begin: Option<usize>,
    eta: f64,
    repaint: bool,
    timesteps: Vec<f64>,
    init_noise_sigma: f64,
    magnitudes: Vec<f64>,
    latents: Vec<f32>,
}

const SHAPE: (usize, usize, usize, usize) = (1, 2, 3, 4);

/// The stand-in for a network, as in the script.
fn network(sample: &Tensor, t: f64) -> Tensor {
    let wave = ((sample * 1.7).unwrap() + 0.002 * t).unwrap().sin().unwrap();
    ((wave * 0.8).unwrap() + (sample * 0.1).unwrap()).unwrap()
}

fn clean() -> Tensor {
    Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap().cos().unwrap().reshape(SHAPE).unwrap()
}

/// The first two columns of `kept`, the rest of `latents`.
fn repainted(kept: &Tensor, latents: &Tensor) -> Tensor {
    let parts = [kept.narrow(3, 0, 2).unwrap(), latents.narrow(3, 2, 2).unwrap()];
    Tensor::cat(&parts, 3).unwrap()
}

fn run(case: &Case) -> (Vec<f64>, Vec<f32>) {
    let config = SchedulerConfig { origin: "case".into(), values: case.config.clone() };
    let mut scheduler = registry::uncorrected(&config).unwrap();
    assert_eq!(scheduler.class_name(), case.scheduler);
    scheduler.set_timesteps(case.steps).unwrap();
    assert_eq!(scheduler.timesteps().len(), case.timesteps.len());
    for (ours, theirs) in scheduler.timesteps().iter().zip(&case.timesteps) {
        assert!((ours - theirs).abs() < 2e-3, "timestep {ours}, reference {theirs}");
    }
    let sigma = scheduler.init_noise_sigma();
    assert!((sigma / case.init_noise_sigma - 1.0).abs() < 1e-6, "{sigma}");

    let mut source = TorchNoise::new(1234);
    let noise = source.randn(SHAPE.into(), &Device::Cpu, DType::F32).unwrap();
    let begin = case.begin.unwrap_or(0);
    let timesteps = scheduler.timesteps()[begin..].to_vec();
    let mut latents = match case.begin {
        None => (&noise * sigma).unwrap(),
        Some(begin) => {
            scheduler.set_begin_index(begin);
            scheduler.add_noise(&clean(), &noise, timesteps[0]).unwrap()
        }
    };
    let mut magnitudes = Vec::new();
    for (i, &t) in timesteps.iter().enumerate() {
        let output = network(&scheduler.scale_model_input(&latents).unwrap(), t);
        let context = StepContext { eta: case.eta, noise: &mut source };
        latents = scheduler.step(&output, t, &latents, context).unwrap().prev_sample;
        if case.repaint {
            let kept = match timesteps.get(i + 1) {
                Some(&next) => scheduler.add_noise(&clean(), &noise, next).unwrap(),
                None => clean(),
            };
            latents = repainted(&kept, &latents);
        }
        let mean = latents.abs().unwrap().mean_all().unwrap();
        magnitudes.push(f64::from(mean.to_scalar::<f32>().unwrap()));
    }
    (magnitudes, latents.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn loops_end_where_the_reference_ends() {
    let text = include_str!("../../../tests/fixtures/schedulers.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert!(cases.len() > 100);
    let mut failures = Vec::new();
    for case in &cases {
        let (magnitudes, latents) = run(case);
        let scale = case.latents.iter().fold(1f32, |m, v| m.max(v.abs()));
        let worst = latents
            .iter()
            .zip(&case.latents)
            .map(|(a, b)| if a.is_finite() { (a - b).abs() / scale } else { f32::INFINITY })
            .fold(0.0, f32::max);
        let name = format!("{} {} steps {:?}", case.scheduler, case.steps, case.config);
        if worst > 1e-5 {
            let close = |(a, b): &(&f64, &f64)| (*a - *b).abs() < 1e-4 * b.abs().max(1.0);
            let good = magnitudes.iter().zip(&case.magnitudes).take_while(close).count();
            failures.push(format!("{name}: off by {worst:e}, good for {good} steps"));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn sd1() -> SchedulerConfig {
    let text = r#"{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "skip_prk_steps": true, "clip_sample": false,
        "lambda_min_clipped": -Infinity, "note": "-Infinity \" NaN"}"#;
    SchedulerConfig::parse("scheduler_config.json", text).unwrap()
}

fn options(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn message(name: Option<&str>, pairs: &[(&str, Value)]) -> String {
    match build(&sd1(), name, &options(pairs), PipelineKind::Inpaint) {
        Ok(scheduler) => panic!("{} was built", scheduler.class_name()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pythons_infinity_is_read_and_strings_are_left_alone() {
    let config = sd1();
    assert_eq!(config.values["lambda_min_clipped"], Value::Null);
    assert_eq!(config.values["note"], "-Infinity \" NaN");
    assert!(SchedulerConfig::parse("x.json", "[1]").unwrap_err().to_string().contains("x.json"));
}

#[test]
fn every_listed_scheduler_builds_and_runs_by_all_its_names() {
    for info in ALL {
        for name in [info.id.to_owned(), info.id.to_uppercase(), info.label.to_owned()] {
            let found = find(&name).unwrap_or_else(|| panic!("{name} is not found"));
            assert_eq!(found.id, info.id);
        }
        let mut scheduler =
            build(&sd1(), Some(info.id), &BTreeMap::new(), PipelineKind::TextToImage).unwrap();
        scheduler.set_timesteps(8).unwrap();
        // Whole steps fall; the midpoints of DPM2 ancestral may lie below the step's end.
        let whole: Vec<_> = scheduler.timesteps().iter().step_by(scheduler.order()).collect();
        assert!(whole.windows(2).all(|pair| pair[0] >= pair[1]), "{}", info.id);
        let class = scheduler.class_name();
        for name in [class.to_owned(), class.replace("Scheduler", "").to_lowercase()] {
            let again = build(&sd1(), Some(&name), &BTreeMap::new(), PipelineKind::Inpaint);
            assert_eq!(again.unwrap().class_name(), class);
        }
    }
}

#[test]
fn the_model_s_own_scheduler_is_corrected_as_its_pipeline_does() {
    let first = |name, kind| {
        let mut scheduler = build(&sd1(), name, &BTreeMap::new(), kind).unwrap();
        scheduler.set_timesteps(10).unwrap();
        scheduler.timesteps()[0]
    };
    // steps_offset 1 although the file has none; defaults are not handed on to another class.
    assert_eq!(first(None, PipelineKind::Inpaint), 901.0);
    assert_eq!(first(Some("ddim"), PipelineKind::Inpaint), 900.0);
}

#[test]
fn a_count_of_steps_that_no_model_has_is_refused() {
    let text = r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 9223372036854775807}"#;
    let config = SchedulerConfig::parse("x.json", text).unwrap();
    let built = build(&config, None, &BTreeMap::new(), PipelineKind::TextToImage);
    assert!(built.err().unwrap().to_string().contains("num_train_timesteps"));
}

#[test]
fn options_reach_the_scheduler() {
    let spacing = [("timestep_spacing", json!("trailing"))];
    let mut plain =
        build(&sd1(), Some("euler"), &options(&spacing), PipelineKind::Inpaint).unwrap();
    plain.set_timesteps(10).unwrap();
    assert_eq!(plain.timesteps()[0], 999.0);
}

#[test]
fn errors_say_what_where_and_what_there_is() {
    let text = message(None, &[("beta_schedule", json!("sigmoid"))]);
    assert!(text.contains("scheduler_config.json") && text.contains("`beta_schedule`"), "{text}");
    assert!(text.contains("sigmoid") && text.contains("scaled_linear"), "{text}");
    let text = message(None, &[("num_train_timesteps", json!(-3))]);
    assert!(text.contains("-3"), "{text}");
    let text = message(Some("dpm++ 2m"), &[("use_flow_sigmas", json!(true))]);
    assert!(text.contains("use_flow_sigmas"), "{text}");
    let text = message(Some("euler"), &[("solver_order", json!(2))]);
    assert!(text.contains("`solver_order`") && text.contains("timestep_spacing"), "{text}");
    let both = [("use_karras_sigmas", json!(true)), ("use_beta_sigmas", json!(true))];
    assert!(message(Some("euler"), &both).contains("only one"));
    assert!(message(Some("EDMEuler"), &[]).contains("not here yet"));
    assert!(message(Some("eular"), &[]).contains("euler a"));
}

#[test]
fn impossible_step_counts_are_errors() {
    for info in ALL {
        let mut scheduler =
            build(&sd1(), Some(info.id), &BTreeMap::new(), PipelineKind::Inpaint).unwrap();
        for steps in [0, 1001] {
            let error = scheduler.set_timesteps(steps).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{}: {error}", info.id);
        }
    }
}
