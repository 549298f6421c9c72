//! How fast this machine is: the networks of published architectures with random weights, the parts of
//! a generation one by one. Nothing is downloaded, and what is timed is what runs.

mod architecture;
mod ceiling;
mod stages;
mod timing;

use candle_core::DType;

use self::stages::Bench;
pub use self::{architecture::names, stages::Stage, timing::Timing};
use super::{Device, Dtype, EngineError, device};

/// Sides that can be measured, in pixels, are multiples of this.
const SIDE_UNIT: usize = 64;
const LARGEST_SIDE: usize = 4096;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One of [`names`].
    pub architecture: String,
    pub device: Device,
    /// Of the U-Net; `None` as for a run.
    pub dtype: Option<Dtype>,
    /// Of the picture, in pixels: a multiple of 64, 64 to 4096; `None` is the architecture's own.
    pub side: Option<usize>,
    /// Runs of each stage after the warm-up, 1 or more.
    pub repeat: usize,
    /// Empty: all of them.
    pub only: Vec<Stage>,
}

/// A stage and what was measured of it.
#[derive(Clone, Debug)]
pub struct Measured {
    pub stage: Stage,
    pub timing: Timing,
    /// Of one run, where it is networks that run.
    pub multiply_adds: Option<u64>,
}

impl Measured {
    /// Floating-point operations a second, two for a multiply-add, by the median.
    pub fn flops_per_second(&self) -> Option<f64> {
        let seconds = self.timing.median().as_secs_f64();
        Some(2.0 * self.multiply_adds? as f64 / seconds).filter(|rate| rate.is_finite())
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    pub architecture: String,
    /// As a person calls it.
    pub device: String,
    /// Of the U-Net.
    pub dtype: &'static str,
    /// In pixels.
    pub side: usize,
    /// What one large product of matrices reaches here, in floating-point operations a second: in the
    /// U-Net's format, and in f32, in which the other networks run.
    pub ceiling: f64,
    pub ceiling_f32: f64,
    pub stages: Vec<Measured>,
}

impl Report {
    /// The ceiling of the format that a stage computes in.
    pub fn ceiling_of(&self, stage: Stage) -> f64 {
        if stage.is_of_unet() { self.ceiling } else { self.ceiling_f32 }
    }
}

/// Measures; `told` hears of every stage when it is done.
///
/// # Errors
/// [`EngineError::Invalid`] for settings out of range or a device that is not there; otherwise what
/// went wrong while running.
pub fn run(settings: &Settings, told: &mut dyn FnMut(&Measured)) -> Result<Report, EngineError> {
    let architecture = architecture::find(&settings.architecture)?;
    let side = settings.side.unwrap_or(architecture.side);
    check(settings, side)?;
    let device = device::open(settings.device)?;
    let dtype = device::dtype(settings.dtype, &device);
    let ceiling_f32 = ceiling::flops_per_second(&device, DType::F32)?;
    let ceiling = match dtype {
        DType::F32 => ceiling_f32,
        dtype => ceiling::flops_per_second(&device, dtype)?,
    };
    let mut bench = Bench { settings, device, dtype, side, told, done: Vec::new() };
    bench.all(&architecture)?;
    Ok(Report {
        architecture: architecture.name,
        device: device::device_name(settings.device),
        dtype: dtype.as_str(),
        side,
        ceiling,
        ceiling_f32,
        stages: bench.done,
    })
}

fn check(settings: &Settings, side: usize) -> Result<(), EngineError> {
    if settings.repeat == 0 {
        return Err(EngineError::invalid("0 runs measure nothing: repeat 1 or more"));
    }
    if side == 0 || side > LARGEST_SIDE || !side.is_multiple_of(SIDE_UNIT) {
        return Err(EngineError::invalid(format!(
            "the side is {side}; it must be a multiple of {SIDE_UNIT}, {SIDE_UNIT} to {LARGEST_SIDE}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::autoencoder::{
        memory::PictureSize,
        work::{decoding_work, encoding_work},
    };

    fn settings() -> Settings {
        Settings {
            architecture: "tiny".into(),
            device: Device::Cpu,
            dtype: None,
            side: None,
            repeat: 1,
            only: Vec::new(),
        }
    }

    #[test]
    fn every_stage_is_measured_once_and_told() {
        let mut told = Vec::new();
        let report = run(&settings(), &mut |measured| told.push(measured.stage)).unwrap();
        assert_eq!(told, Stage::ALL);
        assert_eq!((report.side, report.dtype), (64, "f32"));
        for measured in &report.stages {
            assert_eq!(measured.timing.runs.len(), 1);
            let is_network = !matches!(measured.stage, Stage::Preview | Stage::Composite);
            assert_eq!(measured.flops_per_second().is_some(), is_network, "{measured:?}");
        }
        let adds = |stage| report.stages.iter().find(|m| m.stage == stage).unwrap().multiply_adds;
        assert_eq!(adds(Stage::UnetGuided), adds(Stage::Unet).map(|adds| 2 * adds));
        assert!(report.ceiling > 0.0);
    }

    /// What `tests/reference/bench.py --count` prints: torch counts them while diffusers runs.
    #[test]
    fn multiply_adds_are_those_that_torch_counts() {
        for (name, text, encode, decode, unet) in [
            ("tiny", 2_020_480, 119_230_464, 256_582_656, 23_068_672),
            ("sd15", 6_649_251_840, 558_329_233_408, 1_257_259_466_752, 401_636_720_640),
            ("sd2-inpaint", 22_563_616_768, 558_329_233_408, 1_257_259_466_752, 402_187_714_560),
            (
                "sdxl-inpaint",
                55_580_805_120,
                2_439_475_363_840,
                5_235_196_297_216,
                3_380_854_128_640,
            ),
        ] {
            let of = architecture::find(name).unwrap();
            assert_eq!(stages::text_work(&of), text, "{name}");
            let size = PictureSize { width: of.side, height: of.side };
            assert_eq!(encoding_work(&of.autoencoder, size), encode, "{name}");
            assert_eq!(decoding_work(&of.autoencoder, size), decode, "{name}");
            assert_eq!(stages::unet_work(&of, of.side / 8, 1), Some(unet), "{name}");
        }
    }

    #[test]
    fn only_what_is_named_is_measured() {
        let some = Settings { only: vec![Stage::Decode], repeat: 2, ..settings() };
        let report = run(&some, &mut |_| {}).unwrap();
        assert_eq!(report.stages.len(), 1);
        assert_eq!(report.stages[0].timing.runs.len(), 2);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |settings: &Settings| match run(settings, &mut |_| {}) {
            Err(EngineError::Invalid(text)) => text,
            other => panic!("{other:?}"),
        };
        for side in [0, 100, 4160] {
            assert!(refused(&Settings { side: Some(side), ..settings() }).contains("64"));
        }
        assert!(refused(&Settings { repeat: 0, ..settings() }).contains("repeat"));
        assert!(refused(&Settings { architecture: "x".into(), ..settings() }).contains("tiny"));
    }
}
