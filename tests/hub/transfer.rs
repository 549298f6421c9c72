//! What is fetched, and how it goes on.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use overpaint::hub::{Downloads, EventKind, HubError, Stop, StopToken, Wanted};

use crate::{
    server::{COMMIT, Fault, git_name, sha256},
    stage::{NAME, Stage, WEIGHTS, noise, only_file, write},
};

/// Larger than a few of the blocks in which a file is read.
const LARGE: usize = 1_300_001;

#[test]
fn a_pipeline_comes_whole_with_only_what_is_needed() {
    let weights = noise(LARGE, 1);
    let stage = Stage::new(&weights);
    let mut last = None;
    let fetched = stage
        .get_watched(&Wanted::repository(NAME), &StopToken::default(), &mut |p| last = Some(p))
        .unwrap();
    stage.assert_has(&weights);
    assert_eq!((fetched.commit.as_str(), fetched.files.len()), (COMMIT, 4));
    assert_eq!(fetched.folder.join(WEIGHTS), stage.file(WEIGHTS));
    let last = last.unwrap();
    assert_eq!((last.done, last.files_done), (last.total, 4));
    assert_eq!(last.total, fetched.bytes);
    for path in ["README.md", "unet/diffusion_pytorch_model.bin", "safety_checker"] {
        assert!(!stage.file(path).exists(), "{path}");
    }
    #[cfg(unix)]
    {
        let link = fs::read_link(stage.file("unet/config.json")).unwrap();
        assert_eq!(link, std::path::Path::new("../../../blobs").join(git_name(b"{}")));
        let link = fs::read_link(stage.file(WEIGHTS)).unwrap();
        assert_eq!(link, std::path::Path::new("../../../blobs").join(sha256(&weights)));
    }
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let weights = noise(LARGE, 2);
    let stage = Stage::new(&weights);
    stage.get().unwrap();
    let requests = stage.hub.ranges(&weights).len();
    assert_eq!(stage.get().unwrap().bytes, 0);
    assert_eq!(stage.hub.ranges(&weights).len(), requests);
    let offline = stage.settings.clone();
    let stage = Stage { settings: overpaint::hub::Settings { offline: true, ..offline }, ..stage };
    let before = stage.hub.seen().len();
    assert_eq!(stage.get().unwrap().folder, stage.file(""));
    let other = stage.get_wanted(&Wanted::repository("some/other")).unwrap_err();
    assert!(other.to_string().contains("HF_HUB_OFFLINE"), "{other}");
    assert_eq!(stage.hub.seen().len(), before, "asked although offline");
}

/// Wherever the connection is cut, the rest is asked for from there.
#[test]
fn a_cut_at_any_offset_is_gone_on_from() {
    let block = 256 << 10;
    for cut in [0, 1, 1000, block - 1, block, block + 1, 3 * block, LARGE - 1] {
        let weights = noise(LARGE, 3);
        let stage = Stage::new(&weights);
        stage.hub.fail(WEIGHTS, &[Fault::CutAfter(cut)]);
        stage.get().unwrap();
        stage.assert_has(&weights);
        let ranges = stage.hub.ranges(&weights);
        let rest = (cut > 0).then(|| format!("bytes={cut}-"));
        assert_eq!(ranges, [None, rest], "cut after {cut}");
    }
}

#[test]
fn a_connection_that_never_holds_long_gets_there() {
    let weights = noise(400_000, 4);
    let stage = Stage::new(&weights);
    stage.hub.fail(WEIGHTS, &[(); 30].map(|()| Fault::CutAfter(12_345)));
    stage.get().unwrap();
    stage.assert_has(&weights);
    assert_eq!(stage.hub.ranges(&weights).len(), 31);
}

#[test]
fn cuts_before_the_body_are_tried_again() {
    let weights = noise(5000, 5);
    let stage = Stage::new(&weights);
    stage.hub.fail(NAME, &[Fault::NoAnswer, Fault::CutInHeaders]);
    stage.hub.fail("unet/config.json", &[Fault::NoAnswer, Fault::CutInHeaders, Fault::CutAfter(1)]);
    stage.hub.fail(WEIGHTS, &[Fault::CutInHeaders, Fault::NoAnswer]);
    stage.get().unwrap();
    stage.assert_has(&weights);
}

/// What another run left is read again, counted, and gone on from.
#[test]
fn half_a_file_of_an_earlier_run_is_gone_on_from() {
    let weights = noise(LARGE, 6);
    let stage = Stage::new(&weights);
    write(&stage.incomplete(&weights), &weights[..777_777]);
    let mut first = None;
    stage
        .get_watched(&Wanted::repository(NAME), &StopToken::default(), &mut |progress| {
            first.get_or_insert(progress);
        })
        .unwrap();
    stage.assert_has(&weights);
    assert!(first.unwrap().done >= 777_777);
    assert_eq!(stage.hub.ranges(&weights), [Some("bytes=777777-".to_owned())]);
}

#[test]
fn a_half_that_is_wrong_or_too_long_is_replaced() {
    let weights = noise(LARGE, 7);
    for before in [noise(500_000, 8), noise(LARGE + 9, 9), noise(LARGE, 10)] {
        let stage = Stage::new(&weights);
        write(&stage.incomplete(&weights), &before);
        stage.get().unwrap();
        stage.assert_has(&weights);
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let weights = noise(LARGE, 11);
    for fault in [Fault::IgnoreRange, Fault::WrongRange] {
        let stage = Stage::new(&weights);
        write(&stage.incomplete(&weights), &weights[..100_000]);
        stage.hub.fail(WEIGHTS, &[fault]);
        stage.get().unwrap();
        stage.assert_has(&weights);
    }
}

#[test]
fn pause_keeps_what_came_and_cancel_does_not() {
    let weights = noise(400_000, 12);
    for how in [Stop::Pause, Stop::Cancel] {
        let stage = Stage::new(&weights);
        let slow = Fault::Trickle { bytes: 4000, pause: Duration::from_millis(10) };
        stage.hub.fail(WEIGHTS, &[slow]);
        let stop = StopToken::default();
        let mut asked = None;
        let result = stage.get_watched(&Wanted::repository(NAME), &stop, &mut |progress| {
            if progress.done > 20_000 && asked.is_none() {
                stop.set(how);
                asked = Some(Instant::now());
            }
        });
        assert_eq!(result, Err(HubError::Cancelled));
        assert!(
            asked.unwrap().elapsed() < Duration::from_millis(900),
            "{:?}",
            asked.unwrap().elapsed()
        );
        stage.assert_has_no_model();
        let kept = fs::metadata(stage.incomplete(&weights)).map_or(0, |file| file.len());
        match how {
            Stop::Pause => assert!(kept > 20_000, "{kept}"),
            Stop::Cancel => assert_eq!(kept, 0),
        }
        stage.get().unwrap();
        stage.assert_has(&weights);
        let from = (kept > 0).then(|| format!("bytes={kept}-"));
        assert_eq!(stage.hub.ranges(&weights).last().unwrap(), &from);
    }
}

/// A stop is obeyed also while the other side says nothing.
#[test]
fn a_stop_does_not_wait_for_a_silent_hub() {
    let mut stage = Stage::new(&noise(1000, 13));
    stage.settings.patience.silence = Duration::from_secs(60);
    for silent in [NAME, WEIGHTS] {
        stage.hub.fail(silent, &[Fault::Silence]);
        let stop = StopToken::default();
        let switch = stop.clone();
        let started = Instant::now();
        let stopping = std::thread::Builder::new()
            .name("stopping".into())
            .spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                switch.set(Stop::Pause);
            })
            .unwrap();
        let result = stage.get_watched(&Wanted::repository(NAME), &stop, &mut |_| {});
        assert_eq!(result, Err(HubError::Cancelled));
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        stopping.join().unwrap();
    }
    stage.get().unwrap();
}

#[test]
fn one_file_of_a_repository_can_be_named() {
    let weights = noise(1000, 14);
    let stage = Stage::new(&weights);
    let fetched = stage.get_wanted(&only_file("safety_checker/model.safetensors")).unwrap();
    assert_eq!(fetched.files, ["safety_checker/model.safetensors"]);
    assert!(!stage.file(WEIGHTS).exists());
}

#[test]
fn the_thread_reports_each_download_and_ends_it_once() {
    let weights = noise(300_000, 15);
    let stage = Stage::new(&weights);
    let slow = Fault::Trickle { bytes: 10_000, pause: Duration::from_millis(20) };
    stage.hub.fail(WEIGHTS, &[slow]);
    let mut downloads = Downloads::start(stage.settings.clone(), Arc::new(|| {})).unwrap();
    let first = downloads.get(Wanted::repository(NAME)).unwrap();
    let second = downloads.get(only_file("README.md")).unwrap();
    let third = downloads.get(Wanted::repository("some/nothing")).unwrap();
    downloads.stop(second, Stop::Cancel);
    let mut endings = Vec::new();
    let mut progressed = false;
    while endings.len() < 3 {
        let event = downloads.wait_event(Duration::from_secs(20)).expect("an event");
        progressed |= matches!(&event.kind, EventKind::Progress(p) if p.done > 0);
        if event.kind.is_ending() {
            endings.push((event.download, event.kind));
        }
    }
    assert!(progressed);
    // The one that was stopped before its turn did not wait for it.
    assert_eq!(endings[0], (second, EventKind::Stopped(Stop::Cancel)));
    assert!(matches!(&endings[1], (id, EventKind::Finished(_)) if *id == first));
    let (id, EventKind::Failed(error)) = &endings[2] else { panic!("{endings:?}") };
    assert!(*id == third && error.to_string().contains("no such model"), "{error}");
    stage.assert_has(&weights);
}
