//! `overpaint bench`: how fast this machine is.

use serde_json::{Value, json};

use super::{Failure, arguments, threads};
use crate::engine::{
    EngineError,
    bench::{self, Measured, Report, Settings},
    memory,
};

/// Giga, for rates.
const GIGA: f64 = 1e9;

/// Measures, and prints a table or one line of JSON.
pub fn run(arguments: &arguments::Bench) -> Result<(), Failure> {
    threads::use_threads(arguments.threads);
    let settings = Settings {
        architecture: arguments.architecture.clone(),
        device: arguments.device.unwrap_or_default(),
        dtype: arguments.dtype,
        side: arguments.side,
        repeat: arguments.repeat,
        only: arguments.only.clone(),
    };
    let mut told = |measured: &Measured| {
        if !arguments.json {
            eprintln!("{}: {:.3} s", measured.stage.name(), measured.timing.median().as_secs_f64());
        }
    };
    let report = bench::run(&settings, &mut told).map_err(failure)?;
    if arguments.json {
        println!("{}", as_json(&report));
    } else {
        print!("{}", table(&report));
    }
    Ok(())
}

fn failure(error: EngineError) -> Failure {
    match error {
        EngineError::Invalid(text) => Failure::Bad(text),
        EngineError::Failed(text) => Failure::Failed(text),
        EngineError::Cancelled => Failure::Cancelled,
    }
}

/// Whether the program was built to be fast, which a measurement should say.
fn build() -> &'static str {
    if cfg!(debug_assertions) { "dev" } else { "release" }
}

/// Where the number of threads is asked for, that of the processor's kernels.
fn thread_count() -> usize {
    rayon::current_num_threads()
}

fn table(report: &Report) -> String {
    let Report { architecture, device, dtype, side, ceiling, .. } = report;
    let mut text = format!(
        "{architecture}, {side} px, {device}, {dtype}, {} threads, {} build; a product of matrices \
         reaches {:.0} GFLOP/s\n\n",
        thread_count(),
        build(),
        ceiling / GIGA
    );
    text += &format!(
        "{:12} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>8} {:>9}\n",
        "part", "median s", "fastest", "slowest", "CPU s", "GFLOP", "GFLOP/s", "of that", "memory"
    );
    for measured in &report.stages {
        text += &row(report, measured);
    }
    text
}

fn row(report: &Report, measured: &Measured) -> String {
    let Measured { stage, timing, multiply_adds } = measured;
    let (fastest, slowest) = timing.spread();
    let [median, fastest, slowest] =
        [timing.median(), fastest, slowest].map(|time| time.as_secs_f64());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let flop = multiply_adds.map(|adds| format!("{:.1}", 2.0 * adds as f64 / GIGA));
    let rate = measured.flops_per_second();
    let share = rate.map(|rate| format!("{:.0} %", 100.0 * rate / report.ceiling_of(*stage)));
    let rate = rate.map(|rate| format!("{:.0}", rate / GIGA));
    format!(
        "{:12} {median:9.4} {fastest:9.4} {slowest:9.4} {:>9} {:>8} {:>9} {:>8} {:>9}\n",
        stage.name(),
        or_dash(timing.cpu_median().map(|time| format!("{:.4}", time.as_secs_f64()))),
        or_dash(flop),
        or_dash(rate),
        or_dash(share),
        or_dash(timing.peak_bytes.map(memory::in_words))
    )
}

fn as_json(report: &Report) -> Value {
    let stages = report.stages.iter().map(|measured| stage_as_json(report, measured));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "build": build(),
        "architecture": report.architecture,
        "side": report.side,
        "device": report.device,
        "dtype": report.dtype,
        "threads": thread_count(),
        "matmul_flops_per_second": report.ceiling,
        "matmul_flops_per_second_f32": report.ceiling_f32,
        "stages": stages.collect::<Vec<_>>(),
    })
}

fn stage_as_json(report: &Report, measured: &Measured) -> Value {
    let Measured { stage, timing, multiply_adds } = measured;
    let (fastest, slowest) = timing.spread();
    let rate = measured.flops_per_second();
    json!({
        "stage": stage.name(),
        "warm_up_s": timing.warm_up.as_secs_f64(),
        "median_s": timing.median().as_secs_f64(),
        "fastest_s": fastest.as_secs_f64(),
        "slowest_s": slowest.as_secs_f64(),
        "cpu_median_s": timing.cpu_median().map(|time| time.as_secs_f64()),
        "runs_s": timing.runs.iter().map(|run| run.as_secs_f64()).collect::<Vec<_>>(),
        "multiply_adds": multiply_adds,
        "flops_per_second": rate,
        "of_matmul": rate.map(|rate| rate / report.ceiling_of(*stage)),
        "peak_bytes": timing.peak_bytes,
    })
}
