//! `overpaint models` from outside, against the hub of the test.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    server::{Fault, Hub},
    stage::{NAME, Stage, WEIGHTS, noise, write},
};

/// The program with this hub, this cache and nothing of this user's.
fn overpaint(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overpaint"));
    let folder = stage.folder.path();
    command.current_dir(folder).arg("models").args(arguments);
    command.env("HF_ENDPOINT", &stage.hub.url).env("HF_HOME", folder);
    command.env("XDG_CONFIG_HOME", folder.join("config"));
    command.env("XDG_CACHE_HOME", folder.join("caches"));
    command.env("XDG_DATA_HOME", folder.join("data"));
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "OVERPAINT_MODELS"] {
        command.env_remove(name);
    }
    command
}

fn run(stage: &Stage, arguments: &[&str]) -> Output {
    overpaint(stage, arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn done(stage: &Stage, arguments: &[&str]) -> String {
    let output = run(stage, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    text(&output)
}

fn fails(stage: &Stage, arguments: &[&str], code: i32) -> String {
    let output = run(stage, arguments);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

#[test]
fn get_path_verify_remove() {
    let weights = noise(50_000, 40);
    let stage = Stage::new(&weights);
    let told = fails(&stage, &["path", NAME], 2);
    assert!(told.contains("overpaint models get some/model"), "{told}");
    done(&stage, &["get", NAME]);
    stage.assert_has(&weights);
    assert_eq!(
        done(&stage, &["path", NAME]).trim(),
        stage.file("").to_str().unwrap().trim_end_matches('/')
    );
    assert!(done(&stage, &["verify"]).contains("4 files"));

    let blob = fs::canonicalize(stage.file(WEIGHTS)).unwrap();
    let mut damaged = weights.clone();
    damaged[30_000] ^= 1;
    fs::write(&blob, &damaged).unwrap();
    let told = fails(&stage, &["verify", NAME], 1);
    assert!(told.contains(WEIGHTS) && told.contains("put aside"), "{told}");
    assert_eq!(fs::read(blob.with_extension("damaged")).unwrap(), damaged);
    assert!(!stage.file(WEIGHTS).exists(), "the damaged file still has its name");
    assert!(fails(&stage, &["verify"], 1).contains("missing"));
    done(&stage, &["get", NAME]);
    stage.assert_has(&weights);

    let told = fails(&stage, &["remove", NAME], 2);
    assert!(told.contains("--yes"), "{told}");
    stage.assert_has(&weights);
    done(&stage, &["remove", NAME, "--yes"]);
    assert!(!stage.repository().exists());
    fails(&stage, &["remove", NAME, "--yes"], 2);
}

#[test]
fn the_catalogue_is_listed_searched_and_fetched_from() {
    let stage = Stage::new(&noise(10, 41));
    let weights = noise(5000, 42);
    // The preset's first repository has gone; the second has it.
    stage.hub.add("sd-legacy/stable-diffusion-inpainting", &crate::stage::pipeline(&weights));
    let list = done(&stage, &["list"]);
    assert!(list.contains("sd15-inpainting") && list.contains("4.3 GB"), "{list}");
    let found = done(&stage, &["search", "inpainting"]);
    assert!(found.contains("sdxl-inpainting"), "{found}");
    assert!(found.contains("sd-legacy/stable-diffusion-inpainting"), "{found}");
    let json = done(&stage, &["get", "sd15-inpainting", "--json"]);
    let report: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(report[0]["repository"], "sd-legacy/stable-diffusion-inpainting");
    let json: serde_json::Value = serde_json::from_str(&done(&stage, &["list", "--json"])).unwrap();
    let presets = json["catalogue"].as_array().unwrap();
    let preset = presets.iter().find(|preset| preset["id"] == "sd15-inpainting").unwrap();
    assert!(preset["installed"].is_string(), "{preset}");
    let told = fails(&stage, &["get", "no-such-thing"], 2);
    assert!(told.contains("models search"), "{told}");
    let told = fails(&stage, &["get", "no/body"], 2);
    assert!(told.contains("no such model"), "{told}");
}

/// The program is killed in the middle, twice; the third run needs only the rest.
#[test]
fn a_killed_download_goes_on_where_it_stood() {
    let weights = noise(900_000, 43);
    let stage = Stage::new(&weights);
    let slow = Fault::Trickle { bytes: 9000, pause: Duration::from_millis(30) };
    let mut stood = 0;
    for _ in 0..2 {
        stage.hub.fail(WEIGHTS, std::slice::from_ref(&slow));
        let mut program = overpaint(&stage, &["get", NAME])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let here = || fs::metadata(stage.incomplete(&weights)).map_or(0, |file| file.len());
        while here() < stood + 100_000 {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing came");
            std::thread::sleep(Duration::from_millis(5));
        }
        program.kill().unwrap();
        program.wait().unwrap();
        stood = here();
        assert!(stood < weights.len() as u64);
        stage.assert_has_no_model();
    }
    done(&stage, &["get", NAME]);
    stage.assert_has(&weights);
    let ranges = stage.hub.ranges(&weights);
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[2], Some(format!("bytes={stood}-")));
}

#[cfg(unix)]
#[test]
fn an_interrupt_pauses() {
    let weights = noise(900_000, 44);
    let stage = Stage::new(&weights);
    let slow = Fault::Trickle { bytes: 9000, pause: Duration::from_millis(30) };
    stage.hub.fail(WEIGHTS, &[slow]);
    let program = overpaint(&stage, &["get", NAME]).stderr(Stdio::piped()).spawn().unwrap();
    while !stage.incomplete(&weights).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(text(&output).contains("goes on from here"), "{}", text(&output));
    assert!(stage.incomplete(&weights).exists());
}

/// A safetensors file of these tensors, all zero, of 16 bits.
fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let sizes = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>() * 2);
    let mut end = 0;
    let mut entries = serde_json::Map::new();
    for ((name, shape), size) in tensors.iter().zip(sizes) {
        let entry = serde_json::json!({
            "dtype": "F16", "shape": shape, "data_offsets": [end, end + size]
        });
        entries.insert((*name).to_owned(), entry);
        end += size;
    }
    let header = serde_json::Value::from(entries).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + end, 0);
    bytes
}

#[test]
fn folders_of_other_programs_are_looked_through() {
    let stage = Stage { hub: Hub::start(), ..Stage::new(&[]) };
    let comfy = stage.folder.path().join("ComfyUI");
    let lora =
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight";
    let painter = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/single-files");
    let painter = fs::read(painter.join("sd1-inpaint.safetensors")).unwrap();
    write(&comfy.join("models/checkpoints/painter.safetensors"), &painter);
    write(&comfy.join("models/checkpoints/old.ckpt"), b"pickle");
    write(&comfy.join("models/loras/deep/moss.safetensors"), &safetensors(&[(lora, &[1, 768])]));
    write(&comfy.join("models/loras/cut.safetensors"), &safetensors(&[(lora, &[1, 768])])[..300]);
    write(&comfy.join("custom_nodes/x.safetensors"), &safetensors(&[(lora, &[1, 768])]));
    fails(&stage, &["path", "--add", "nowhere"], 2);
    done(&stage, &["path", "--add", "ComfyUI"]);
    let list = done(&stage, &["list"]);
    for words in [
        "painter.safetensors",
        "a LoRA for Stable Diffusion 1",
        "cut.safetensors: damaged",
        "1 more in",
    ] {
        assert!(list.contains(words), "{words} is missing in {list}");
    }
    assert!(!list.contains("custom_nodes"), "{list}");
    // What changes is read again.
    write(&comfy.join("models/loras/cut.safetensors"), &safetensors(&[("emb_params", &[2, 768])]));
    assert!(done(&stage, &["list"]).contains("textual inversion) for Stable Diffusion 1"));
    done(&stage, &["path", "--forget", "ComfyUI"]);
    assert!(!done(&stage, &["list"]).contains("painter"));
}

#[test]
fn a_disk_that_is_full_is_said_so() {
    let stage = Stage::new(&noise(10, 45));
    stage.hub.fail(NAME, &[Fault::HugeListing]);
    let told = fails(&stage, &["get", NAME], 1);
    assert!(told.contains("not enough room"), "{told}");
    assert!(!Path::new(&stage.repository()).join("blobs").exists());
}

/// The disk takes no more in the middle of a file. What came stays, and the next run goes on.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_meanwhile_costs_nothing() {
    let weights = noise(900_000, 46);
    let stage = Stage::new(&weights);
    let get = overpaint(&stage, &["get", NAME]);
    // A limit of the size of files, with its signal ignored, makes writing fail as a full disk does.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""]);
    limited.arg(get.get_program()).args(get.get_args()).current_dir(stage.folder.path());
    for (name, value) in get.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(".incomplete") && !told.contains("panicked"), "{told}");
    stage.assert_has_no_model();
    stage.assert_blobs_are_what_they_say();
    let came = fs::metadata(stage.incomplete(&weights)).unwrap().len();
    assert!(0 < came && came < weights.len() as u64, "{came} bytes came");
    done(&stage, &["get", NAME]);
    stage.assert_has(&weights);
    assert_eq!(stage.hub.ranges(&weights).last().unwrap(), &Some(format!("bytes={came}-")));
}
