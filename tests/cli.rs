//! The command line from outside: what it writes, what it refuses, and with which exit code.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use overpaint::pixels::{
    Mask, Picture,
    blur::gaussian_blur_mask,
    codec::{load_mask, load_picture, read_text},
    morphology::grow,
};

fn fixture(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    root.join(path).display().to_string()
}

/// The program, with no display and nothing of this user's models or caches.
fn overpaint(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overpaint"));
    command.current_dir(folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command.env("OVERPAINT_MODELS", fixture("models")).env("HF_HUB_CACHE", folder);
    command.env("XDG_CACHE_HOME", folder);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    overpaint(folder).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

/// Every byte where the mask is 0 is the picture's; gives how many pixels differ elsewhere.
fn changed_inside(original: &Picture, mask: &Mask, result: &Picture) -> usize {
    assert_eq!(original.extent(), result.extent());
    let pixels = original.bytes().chunks_exact(4).zip(result.bytes().chunks_exact(4));
    let mut changed = 0;
    for ((old, new), &coverage) in pixels.zip(mask.bytes()) {
        if coverage == 0 {
            assert_eq!(old, new, "a byte outside the mask changed");
        } else {
            changed += usize::from(old != new);
        }
    }
    changed
}

#[test]
fn a_content_aware_fill_changes_the_hole_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (fixture("inputs/wide.png"), fixture("inputs/wide-disc.png"));
    let output = run(
        folder.path(),
        &["fill", &image, "--mask", &mask, "--model", "content-aware", "--output", "out.png"],
    );
    assert_done(&output);
    let result = load_picture(&folder.path().join("out.png")).unwrap();
    let original = load_picture(Path::new(&image)).unwrap();
    let mask = load_mask(Path::new(&mask)).unwrap();
    assert!(changed_inside(&original, &mask, &result) > 100);
}

#[test]
fn bench_measures_a_small_architecture_part_by_part() {
    let folder = tempfile::tempdir().unwrap();
    let bench = ["bench", "tiny", "--device", "cpu", "--repeat", "2", "--threads", "1"];
    let output = run(folder.path(), &[&bench[..], &["--json"]].concat());
    assert_done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["side"].as_u64(), report["threads"].as_u64()), (Some(64), Some(1)));
    assert!(report["matmul_flops_per_second"].as_f64().unwrap() > 0.0);
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    let all = ["text", "encode", "decode", "unet-guided", "unet", "preview", "composite"];
    assert_eq!(names, all);
    for stage in stages {
        assert_eq!(stage["runs_s"].as_array().unwrap().len(), 2, "{stage}");
        assert!(stage["fastest_s"].as_f64() <= stage["median_s"].as_f64(), "{stage}");
    }
    let only = ["--only", "unet", "--only", "preview", "--side", "128"];
    let output = run(folder.path(), &[&bench[..], &only].concat());
    assert_done(&output);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("tiny, 128 px, CPU, f32, 1 threads"), "{table}");
    assert!(table.contains("unet ") && table.contains("preview") && !table.contains("decode"));
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let folder = tempfile::tempdir().unwrap();
    for (words, says) in [
        (&["sd16"][..], "sdxl-inpaint"),
        (&["tiny", "--only", "encoder"], "unet-guided"),
        (&["tiny", "--repeat", "0"], "--repeat"),
        (&["tiny", "--threads", "none"], "--threads"),
        (&["tiny", "--side", "100"], "64"),
        (&["tiny", "--side", "8192"], "4096"),
        (&["tiny", "--dtype", "f8"], "bf16"),
        (&["tiny", "--device", "gpu"], "cuda:N"),
        (&["tiny", "extra"], "extra"),
    ] {
        let output = run(folder.path(), &[&["bench"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(says), "{words:?}: {}", stderr(&output));
    }
}

/// A fresh machine, no options: the starter model where the source tree has it.
#[test]
fn without_a_name_a_prompt_takes_the_starter_and_none_the_content_aware_fill() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (fixture("inputs/wide.png"), fixture("inputs/wide-disc.png"));
    for (words, expected) in [(&[][..], "content-aware"), (&["--prompt", "blue sky"], "starter")] {
        let output = overpaint(folder.path())
            .args(["fill", &image, "--mask", &mask, "--steps", "2", "--output", "out.png"])
            .args(["--json", "--seed", "1"])
            .args(words)
            .output()
            .unwrap();
        assert_done(&output);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["request"]["model"], expected);
        let result = load_picture(&folder.path().join("out.png")).unwrap();
        let original = load_picture(Path::new(&image)).unwrap();
        let mask = load_mask(Path::new(&mask)).unwrap();
        // Also asserts that no byte outside the mask changed.
        assert!(changed_inside(&original, &mask, &result) > 100);
    }
}

#[test]
fn a_diffusion_fill_keeps_bytes_outside_the_blurred_mask_and_repeats_by_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (fixture("inputs/wide.png"), fixture("inputs/wide-small.png"));
    let fill = |seed: &str, name: &str| {
        let output = run(
            folder.path(),
            &[
                "fill",
                &image,
                "--mask",
                &mask,
                "--model",
                "inpaint-pndm",
                "--mask-blur",
                "3",
                "--steps",
                "2",
                "--seed",
                seed,
                "--output",
                name,
            ],
        );
        assert_done(&output);
        load_picture(&folder.path().join(name)).unwrap()
    };
    let first = fill("1", "1.png");
    let original = load_picture(Path::new(&image)).unwrap();
    let blurred = gaussian_blur_mask(&load_mask(Path::new(&mask)).unwrap(), 3.0);
    assert!(changed_inside(&original, &blurred, &first) > 50);
    assert_eq!(first, fill("1", "again.png"));
    assert_ne!(first, fill("2", "2.png"));
}

#[test]
fn an_automatic_edge_reaches_beyond_the_mask_and_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (fixture("inputs/wide.png"), fixture("inputs/wide-small.png"));
    let fill = ["fill", &image, "--mask", &mask, "--model", "content-aware", "--output", "out.png"];
    let widths =
        ["--mask-grow", "6", "--mask-feather", "8", "--mask-fade", "4", "--color-match=false"];
    assert_done(&run(folder.path(), &[&fill[..], &widths[..], &["--seam", "feather"]].concat()));
    let result = load_picture(&folder.path().join("out.png")).unwrap();
    let original = load_picture(Path::new(&image)).unwrap();
    let mask = load_mask(Path::new(&mask)).unwrap();
    let (painted, reached) = (mask.bounding_box().unwrap(), grow(&mask, 11.0));
    assert!(changed_inside(&original, &reached, &result) > 50);
    let beyond = (painted.y..painted.bottom()).filter(|y| {
        let (x, y) = ((painted.right() + 4) as u32, *y as u32);
        x < original.extent().width && original.pixel(x, y) != result.pixel(x, y)
    });
    assert!(beyond.count() > 0, "nothing changed beyond the mask");
}

#[test]
fn the_settings_in_a_picture_make_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["generate", "--model", "base-sharded", "--prompt", "a fox", "--steps", "2", "--output"];
    assert_done(&run(folder.path(), &[&arguments[..], &["a.png"]].concat()));
    let text = read_text(&folder.path().join("a.png")).unwrap();
    let chunk = |key: &str| &text.iter().find(|(k, _)| k == key).expect(key).1;
    assert!(chunk("parameters").starts_with("a fox\nSteps: 2, "), "{}", chunk("parameters"));
    fs::write(folder.path().join("request.json"), chunk("overpaint")).unwrap();
    let again = ["generate", "--request", "request.json", "--output", "b.png"];
    assert_done(&run(folder.path(), &again));
    let load = |name: &str| load_picture(&folder.path().join(name)).unwrap();
    assert_eq!(load("a.png"), load("b.png"));
}

#[test]
fn recordings_previews_and_numbered_pictures_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(
        folder.path(),
        &[
            "generate",
            "--model",
            "base-sharded",
            "--exact",
            "--steps",
            "3",
            "--seed",
            "5",
            "--scheduler",
            "DDIM",
            "--num-images-per-prompt",
            "2",
            "--output",
            "x.png",
            "--output-float",
            "x.npy",
            "--trace",
            "x.safetensors",
            "--preview-dir",
            "previews",
            "--json",
        ],
    );
    assert_done(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "done");
    assert_eq!(report["seed"], 5);
    assert_eq!(report["outputs"], serde_json::json!(["x-0.png", "x-1.png"]));
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_ne!(read("x-0.png"), read("x-1.png"));
    let array = read("x.npy");
    assert!(String::from_utf8_lossy(&array[..128]).contains("'shape': (2, 3, 64, 64,)"));
    let file = read("x.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    assert_eq!(names, ["latents_000", "latents_001", "latents_002"]);
    for step in 1..=3 {
        assert!(folder.path().join(format!("previews/step-00{step}.png")).exists());
    }
}

#[test]
fn bad_arguments_and_inputs_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let image = fixture("inputs/square.png");
    let mask = fixture("inputs/square-disc.png");
    let other = fixture("inputs/wide-disc.png");
    fs::copy(&image, folder.path().join("mine.png")).unwrap();
    let fill = ["fill", &image, "--mask", &mask, "--model", "inpaint-pndm"];
    let with = |more: &[&'static str]| -> Vec<String> {
        fill.iter().chain(more).map(ToString::to_string).collect()
    };
    let plain = |all: &[&str]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
    let cases: Vec<(Vec<String>, &str)> = vec![
        (plain(&["fill", &image, "--model", "inpaint-pndm"]), "no mask"),
        (plain(&["fill", &image, "--mask", "gone.png", "--model", "content-aware"]), "gone.png"),
        (plain(&["fill", "gone.png", "--mask", &mask, "--model", "content-aware"]), "gone.png"),
        (plain(&["fill", &image, "--mask", &other, "--model", "content-aware"]), "one size"),
        (plain(&["fill", &image, "--mask", &mask, "--model", "nowhere"]), "no model `nowhere`"),
        (plain(&["generate", "--model", "inpaint-pndm"]), "needs a mask"),
        (plain(&["generate", "--model", "content-aware"]), "content-aware fills a mask"),
        (with(&["--width", "100", "--height", "64"]), "multiple of 8"),
        (with(&["--width", "64"]), "both width and height"),
        (with(&["--strength", "1.5"]), "strength is 1.5"),
        (with(&["--strength", "0.01"]), "strength"),
        (with(&["--steps", "0"]), "number of steps is 0"),
        (with(&["--scheduler", "Nonsense"]), "Nonsense"),
        (with(&["--scheduler-option", "nonsense=1"]), "nonsense"),
        (with(&["--device", "cuda:7", "--steps", "1"]), "CUDA device 7"),
        (with(&["--dtype", "f8"]), "f32, f16, bf16"),
        (with(&["--mask-grow", "wide"]), "auto, or pixels from 0 to 512"),
        (with(&["--seam", "sewn"]), "match, feather"),
        (with(&["--blend-opacity", "2"]), "blend opacity is 2"),
        (with(&["--output", "out.gif"]), "out.gif"),
        (with(&["--output", "nowhere/out.png"]), "no folder nowhere"),
        (with(&["--output-float", "nowhere/out.npy"]), "no folder nowhere"),
        (with(&["--request", "gone.json"]), "gone.json"),
        (with(&["--lora", "x.safetensors:0.5"]), "no LoRA `x.safetensors`"),
        (with(&["--lora", "x.safetensors:900"]), "the scale of x.safetensors is 900"),
        (with(&["--controlnet", "x", "--guess-mode"]), "no ControlNet `x`"),
        (with(&["--control-image", "x.png"]), "no --controlnet"),
        (with(&["--guess-mode"]), "guess mode belongs to ControlNets"),
        (with(&["--prompt-syntax", "comfy"]), "plain, a1111, compel"),
        (with(&["--prompt-syntax", "compel", "--prompt", "a.swap(b)"]), ".swap() is not supported"),
        (with(&["--embedding", "x.safetensors:<x>"]), "no embedding `x.safetensors`"),
        (with(&["--no-such-option"]), "--no-such-option"),
        (plain(&["sweep", &image, "--mask", &mask]), "sweep is not supported yet"),
    ];
    let before: Vec<PathBuf> = files(folder.path());
    for (arguments, reason) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run(folder.path(), &arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(reason), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
        assert_eq!(files(folder.path()), before, "{arguments:?} wrote something");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn an_input_is_never_overwritten_and_an_output_only_by_a_success() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.png");
    fs::copy(fixture("inputs/square.png"), &mine).unwrap();
    let bytes = fs::read(&mine).unwrap();
    let mask = fixture("inputs/square-disc.png");
    let fill = ["fill", "mine.png", "--mask", &mask, "--model", "content-aware", "--output"];
    let output = run(folder.path(), &[&fill[..], &["./mine.png"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("never overwritten"), "{}", stderr(&output));
    assert_eq!(fs::read(&mine).unwrap(), bytes);
    fs::write(folder.path().join("old.png"), b"old").unwrap();
    let failing = ["--strength", "7"];
    run(folder.path(), &[&fill[..], &["old.png"], &failing[..]].concat());
    assert_eq!(fs::read(folder.path().join("old.png")).unwrap(), b"old");
    assert_done(&run(folder.path(), &[&fill[..], &["old.png"]].concat()));
    assert!(load_picture(&folder.path().join("old.png")).is_ok());
    assert_done(&run(folder.path(), &fill[..6]));
    assert!(folder.path().join("mine-filled.png").exists(), "the default output");
}

#[test]
fn help_says_unit_range_and_default() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, texts) in [
        (
            &["help", "fill"][..],
            &["--mask-blur", "radius in pixels", "[default:", "--exact", "--mask-grow <PX|auto>"][..],
        ),
        (&["help", "generate"], &["--guidance-scale", "[alias: --guidance]", "multiple of 8"]),
        (&["help", "transform"], &["0.8 for transform"]),
        (&["--help"], &["doctor", "models", "fill"]),
    ] {
        let output = run(folder.path(), arguments);
        assert_done(&output);
        let help = String::from_utf8_lossy(&output.stdout);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(help.contains(text), "{arguments:?} lacks {text}:\n{help}");
        }
    }
}

#[test]
fn models_and_doctor_tell_what_is_here() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["models", "--json"]);
    assert_done(&output);
    let models: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let models = models["models"].as_array().unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model["id"].as_str().unwrap()).collect();
    for id in ["content-aware", "base-sharded", "inpaint-pndm"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    let output = run(folder.path(), &["doctor"]);
    assert_done(&output);
    let report = String::from_utf8_lossy(&output.stdout);
    for text in ["processor", "graphics", "cache", "content-aware"] {
        assert!(report.contains(text), "{report}");
    }
}

#[test]
fn without_a_display_one_line_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("overpaint fill assets/sample/reef.jpg --mask"), "{told}");
}

/// Waits for the first preview rather than for a time, then interrupts.
#[cfg(unix)]
#[test]
fn an_interrupt_cancels_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["generate", "--model", "base-sharded", "--steps", "999", "--preview-dir", "previews"];
    let child = overpaint(folder.path())
        .args(arguments)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.path().join("previews/step-001.png").exists() {
        std::thread::yield_now();
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!folder.path().join("generated.png").exists());
}
