//! Damaged pictures and models: each is a clear error that names the file, and never a panic.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(path)
}

/// Exit code and message of a small fill.
fn fill(folder: &Path, image: &Path, mask: &Path, model: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_overpaint"))
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .arg("fill")
        .args([image, Path::new("--mask"), mask, Path::new("--model"), model])
        .args(["--steps", "1", "--output", "out.png"])
        .output()
        .unwrap();
    assert!(!folder.join("out.png").exists(), "half a result was written");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_refused(result: (Option<i32>, String), texts: &[&str]) {
    let (code, told) = result;
    assert_eq!(code, Some(2), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(told.lines().count() <= 2, "{told}");
    for text in texts {
        assert!(told.contains(text), "{text} is missing in: {told}");
    }
}

/// A copy of a model that a test may damage.
fn model_copy(folder: &Path) -> PathBuf {
    let copy = folder.join("model");
    copy_folder(&fixture("models/inpaint-pndm"), &copy);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::write(target, fs::read(path).unwrap()).unwrap();
        }
    }
}

/// Damages a model and gives what the program says to it.
fn with_damage(damage: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let model = model_copy(folder.path());
    damage(&model);
    fill(folder.path(), &fixture("inputs/square.png"), &fixture("inputs/square-disc.png"), &model)
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

#[test]
fn a_picture_that_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(fixture("inputs/square.png")).unwrap();
    let half = folder.path().join("half.png");
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let (model, mask) = (fixture("models/inpaint-pndm"), fixture("inputs/square-disc.png"));
    assert_refused(fill(folder.path(), &half, &mask, &model), &["half.png"]);
    assert_refused(
        fill(folder.path(), &fixture("inputs/square.png"), &half, &model),
        &["half.png"],
    );
}

#[test]
fn a_file_that_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.png");
    fs::write(&text, "not a picture").unwrap();
    let (model, mask) = (fixture("models/inpaint-pndm"), fixture("inputs/square-disc.png"));
    assert_refused(fill(folder.path(), &text, &mask, &model), &["text.png"]);
}

#[test]
fn weights_that_end_early() {
    for length in [0, 4, 2000, 100_000] {
        let result = with_damage(|model| {
            let bytes = fs::read(model.join(UNET)).unwrap();
            fs::write(model.join(UNET), &bytes[..length]).unwrap();
        });
        assert_refused(result, &["diffusion_pytorch_model.safetensors"]);
    }
}

#[test]
fn weights_that_are_no_numbers() {
    let result = with_damage(|model| {
        let mut bytes = fs::read(model.join(UNET)).unwrap();
        let end = bytes.len();
        bytes[end - 4..].fill(0xff);
        fs::write(model.join(UNET), bytes).unwrap();
    });
    assert_refused(result, &["diffusion_pytorch_model.safetensors", "finite"]);
}

#[test]
fn weights_that_are_missing_or_pickled() {
    let result = with_damage(|model| fs::remove_file(model.join(UNET)).unwrap());
    assert_refused(result, &["unet", "no weights"]);
    let result = with_damage(|model| {
        fs::rename(model.join(UNET), model.join("unet/diffusion_pytorch_model.bin")).unwrap();
    });
    assert_refused(result, &["pickle"]);
}

#[test]
fn configurations_with_wrong_values() {
    for (file, from, to, texts) in [
        ("unet/config.json", "\"in_channels\": 9", "\"in_channels\": \"x\"", &["in_channels"][..]),
        ("unet/config.json", "\"in_channels\": 9", "\"in_channels\": 5", &["5 input channels"]),
        ("unet/config.json", "\"norm_num_groups\": 8", "\"norm_num_groups\": 7", &["config.json"]),
        ("unet/config.json", "\"act_fn\": \"silu\"", "\"act_fn\": \"what\"", &["act_fn", "what"]),
        ("vae/config.json", "\"scaling_factor\": 0.18215", "\"scaling_factor\": 0", &["scaling"]),
        (
            "text_encoder/config.json",
            "\"hidden_size\": 16",
            "\"hidden_size\": 24",
            &["model.safetensors", "config.json asks for"],
        ),
        (
            "scheduler/scheduler_config.json",
            "\"beta_schedule\": \"scaled_linear\"",
            "\"beta_schedule\": \"crooked\"",
            &["scheduler_config.json", "beta_schedule", "crooked"],
        ),
        ("model_index.json", "{", "[", &["model_index.json"]),
    ] {
        let result = with_damage(|model| {
            let text = fs::read_to_string(model.join(file)).unwrap();
            assert!(text.contains(from), "{file} has no {from}");
            fs::write(model.join(file), text.replacen(from, to, 1)).unwrap();
        });
        assert_refused(result, texts);
    }
}

#[test]
fn models_of_other_kinds_are_named() {
    for (class, what) in [
        ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
        ("Kandinsky3Pipeline", "Kandinsky"),
        ("FluxPipeline", "FLUX"),
        ("StableDiffusionControlNetPipeline", "ControlNet"),
    ] {
        let result = with_damage(|model| {
            let index = model.join("model_index.json");
            let text = fs::read_to_string(&index).unwrap();
            fs::write(&index, text.replace("StableDiffusionInpaintPipeline", class)).unwrap();
        });
        assert_refused(result, &[what, "not supported yet"]);
    }
    let result = with_damage(|model| {
        let index = model.join("model_index.json");
        let text = fs::read_to_string(&index).unwrap();
        let other = "KandinskyV22InpaintPipeline";
        fs::write(&index, text.replace("StableDiffusionInpaintPipeline", other)).unwrap();
    });
    assert_refused(result, &["model_index.json", "Kandinsky 2.2", "unet"]);
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (fixture("inputs/square.png"), fixture("inputs/square-disc.png"));
    for (name, what) in [("sd.safetensors", "not a safetensors"), ("sd.ckpt", "pickled")] {
        let file = folder.path().join(name);
        fs::write(&file, b"").unwrap();
        assert_refused(fill(folder.path(), &image, &mask, &file), &[name, what]);
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_refused(fill(folder.path(), &image, &mask, &empty), &["model_index.json"]);
}
