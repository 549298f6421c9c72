//! The cache is shared with the hub's own tools: what one fetched, the other finds. Needs Python
//! with the package `huggingface_hub`, so it runs only when asked for:
//!
//! ```sh
//! OVERPAINT_PYTHON=path/to/python cargo test --test hub -- --ignored python
//! ```

use std::process::Command;

use overpaint::hub::Settings;

use crate::stage::{NAME, Stage, noise, pipeline};

/// What Python says about the cache of the stage.
fn python(stage: &Stage, code: &str) -> String {
    let python = std::env::var("OVERPAINT_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python)
        .args(["-c", code])
        .env("HF_ENDPOINT", &stage.hub.url)
        .env("HF_HUB_CACHE", &stage.settings.cache)
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
#[ignore = "needs Python with huggingface_hub, see the top of the file"]
fn python_finds_what_was_fetched_here() {
    let stage = Stage::new(&noise(300_000, 50));
    let fetched = stage.get().unwrap();
    let code = format!(
        "from huggingface_hub import snapshot_download, try_to_load_from_cache, scan_cache_dir\n\
         print(snapshot_download('{NAME}', local_files_only=True))\n\
         print(try_to_load_from_cache('{NAME}', 'unet/config.json'))\n\
         report = scan_cache_dir()\n\
         print(len(report.repos), len(report.warnings), sum(r.nb_files for r in report.repos))"
    );
    let told = python(&stage, &code);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], fetched.folder.to_str().unwrap());
    assert_eq!(lines[1], fetched.folder.join("unet/config.json").to_str().unwrap());
    assert_eq!(lines[2], "1 0 4");
    // Fetching the rest with Python keeps what is here: our file is not asked for again.
    let before = stage.hub.seen().len();
    python(&stage, &format!("from huggingface_hub import snapshot_download as s\ns('{NAME}')"));
    let asked = stage.hub.seen().split_off(before);
    let weights = crate::server::sha256(&noise(300_000, 50));
    assert!(asked.iter().all(|seen| !seen.path.contains(&weights)), "{asked:?}");
}

#[test]
#[ignore = "needs Python with huggingface_hub, see the top of the file"]
fn what_python_fetched_is_found_here() {
    let stage = Stage::new(&noise(300_000, 51));
    let folder = python(
        &stage,
        &format!(
            "from huggingface_hub import snapshot_download\nprint(snapshot_download('{NAME}'))"
        ),
    );
    let before = stage.hub.ranges(&noise(300_000, 51)).len();
    let fetched = stage.get().unwrap();
    assert_eq!((fetched.bytes, fetched.folder.to_str()), (0, Some(folder.as_str())));
    assert_eq!(stage.hub.ranges(&noise(300_000, 51)).len(), before);
    let offline = Settings { offline: true, ..stage.settings.clone() };
    let stage = Stage { settings: offline, ..stage };
    assert_eq!(stage.get().unwrap().folder.to_str(), Some(folder.as_str()));
    let all = pipeline(&[]).len();
    let verified = overpaint::hub::verify(&stage.settings.cache, NAME, &mut |_| true).unwrap();
    assert_eq!((verified.files, verified.damaged.len()), (all, 0));
}
