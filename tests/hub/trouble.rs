//! What a hub, a store and a disk can do wrong.

use std::{fs, time::Duration};

use overpaint::hub::{Client, HubError, StopToken, Wanted, list, search};

use crate::{
    server::{COMMIT, Fault},
    stage::{NAME, Stage, WEIGHTS, noise, only_file, write},
};

/// What a download comes to when this goes wrong with the answers that carry `what`.
fn after(what: &str, faults: &[Fault]) -> (Stage, Result<(), HubError>) {
    let stage = Stage::new(&noise(300_000, 20));
    stage.hub.fail(what, faults);
    let result = stage.get().map(|_| ());
    stage.assert_blobs_are_what_they_say();
    (stage, result)
}

#[test]
fn wrong_bytes_never_get_the_right_name() {
    let (stage, result) = after(WEIGHTS, &[Fault::WrongBytes]);
    assert_eq!(result, Ok(()), "the second try was right");
    stage.assert_has(&noise(300_000, 20));
    for what in [WEIGHTS, "unet/config.json"] {
        let (stage, result) = after(what, &[Fault::WrongBytes, Fault::WrongBytes]);
        let Err(error @ HubError::Damaged { .. }) = result else { panic!("{result:?}") };
        assert!(error.to_string().contains(what), "{error}");
        stage.assert_has_no_model();
        stage.get().unwrap();
    }
}

#[test]
fn a_wrong_length_is_gone_on_from() {
    for wrong in [Fault::Short, Fault::Long] {
        let (stage, result) = after(WEIGHTS, &[wrong]);
        assert_eq!(result, Ok(()));
        stage.assert_has(&noise(300_000, 20));
    }
}

#[test]
fn redirects_that_lead_nowhere_are_told() {
    let itself: &str = format!("/{NAME}/resolve/{COMMIT}/{WEIGHTS}").leak();
    let circle: &[_] = vec![("Location", itself)].leak();
    for (headers, words) in [(circle, "circle"), (&[], "without saying where")] {
        let faults = [(); 9].map(|()| Fault::Status(302, headers));
        let (stage, result) = after(&format!("/{WEIGHTS}"), &faults);
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
        stage.assert_has_no_model();
    }
}

#[test]
fn another_version_is_not_taken_for_this_one() {
    let (stage, result) = after(&format!("/{WEIGHTS}"), &[Fault::OtherTag]);
    assert!(result.unwrap_err().to_string().contains("another version"));
    stage.assert_has_no_model();
}

#[test]
fn busy_hubs_are_asked_again_when_they_say() {
    let (stage, result) = after(
        WEIGHTS,
        &[
            Fault::Status(429, &[("Retry-After", "1")]),
            Fault::Status(500, &[]),
            Fault::Status(503, &[]),
        ],
    );
    assert_eq!(result, Ok(()));
    stage.assert_has(&noise(300_000, 20));
    let started = std::time::Instant::now();
    let (_, result) = after(NAME, &[Fault::Status(429, &[("Retry-After", "1")])]);
    assert_eq!(result, Ok(()));
    assert!(started.elapsed() >= Duration::from_secs(1), "asked before it was time");
}

#[test]
fn a_hub_that_stays_busy_is_given_up() {
    let (stage, result) = after(WEIGHTS, &[(); 9].map(|()| Fault::Status(503, &[])));
    let text = result.unwrap_err().to_string();
    assert!(text.contains("503") && text.contains("kept"), "{text}");
    stage.assert_has_no_model();
    let (_, result) = after(WEIGHTS, &[Fault::Status(429, &[("Retry-After", "86400")])]);
    assert!(matches!(result, Err(HubError::Busy { status: 429, .. })), "{result:?}");
}

#[test]
fn an_address_of_the_store_that_has_run_out_is_asked_for_anew() {
    let (stage, result) = after(WEIGHTS, &[Fault::CutAfter(1000), Fault::Status(403, &[])]);
    assert_eq!(result, Ok(()));
    stage.assert_has(&noise(300_000, 20));
}

#[test]
fn silence_counts_as_a_cut() {
    let (stage, result) = after(WEIGHTS, &[Fault::Silence]);
    assert_eq!(result, Ok(()));
    stage.assert_has(&noise(300_000, 20));
}

#[test]
fn a_slow_trickle_is_waited_for() {
    let slow = Fault::Trickle { bytes: 30_000, pause: Duration::from_millis(300) };
    let (stage, result) = after(WEIGHTS, &[slow]);
    assert_eq!(result, Ok(()));
    assert_eq!(stage.hub.ranges(&noise(300_000, 20)), [None], "it was cut although bytes came");
}

#[test]
fn gated_models_say_what_to_do_and_open_with_the_token() {
    let weights = noise(2000, 21);
    let stage = Stage::new(&weights);
    stage.hub.close_gate(NAME, "hf_right");
    let without = stage.get().unwrap_err().to_string();
    assert!(without.contains("gated") && without.contains("HF_TOKEN"), "{without}");
    assert!(without.contains(&format!("{}/{NAME}", stage.hub.url)), "{without}");
    let stage = stage.with_token("hf_wrong");
    let wrong = stage.get().unwrap_err().to_string();
    assert!(wrong.contains("read access"), "{wrong}");
    let stage = stage.with_token("hf_right");
    stage.get().unwrap();
    stage.assert_has(&weights);
}

#[test]
fn the_token_stays_with_the_hub() {
    let stage = Stage::new(&noise(2000, 22)).with_token("hf_secret");
    stage.get().unwrap();
    let seen = stage.hub.seen();
    assert!(seen.iter().any(|seen| seen.at_store));
    for seen in seen {
        assert_eq!(seen.authorization.is_some(), !seen.at_store, "{}", seen.path);
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let stage = Stage::new(&noise(2000, 23));
    let gone = stage.get_wanted(&Wanted::repository("no/body")).unwrap_err().to_string();
    assert!(gone.contains("no/body") && gone.contains("no such model"), "{gone}");
    let file = stage.get_wanted(&only_file("unet/other.json")).unwrap_err().to_string();
    assert!(file.contains("unet/other.json"), "{file}");
    let name = stage.get_wanted(&Wanted::repository("../../etc")).unwrap_err();
    assert!(matches!(name, HubError::Name { .. }));
    let nowhere = Stage::new(&[]);
    nowhere.hub.add("only/pickles", &[("model.ckpt", b"x".to_vec())]);
    let pickles = nowhere.get_wanted(&Wanted::repository("only/pickles")).unwrap_err().to_string();
    assert!(pickles.contains("pickles"), "{pickles}");
}

#[test]
fn a_model_that_has_moved_is_found_where_it_went() {
    let weights = noise(2000, 24);
    let stage = Stage::new(&weights);
    let moved = Wanted { repositories: vec!["gone/away".into(), NAME.into()], ..Wanted::default() };
    assert_eq!(stage.get_wanted(&moved).unwrap().repository, NAME);
    stage.assert_has(&weights);
    // The first is what was asked for, so the first is what is complained about.
    let both = Wanted { repositories: vec!["gone/away".into(), "gone/too".into()], ..moved };
    assert!(stage.get_wanted(&both).unwrap_err().to_string().contains("gone/away"));
}

#[test]
fn a_hub_that_is_none_is_said_so() {
    let mut stage = Stage::new(&noise(10, 25));
    stage.settings.endpoint = "http://127.0.0.1:9".into();
    let text = stage.get().unwrap_err().to_string();
    assert!(text.contains("cannot be reached") && text.contains("127.0.0.1"), "{text}");
    let (_, result) = after(NAME, &[Fault::WrongBytes]);
    assert!(matches!(result, Err(HubError::Answer { .. })), "{result:?}");
}

#[test]
fn a_listing_that_leads_out_of_its_folder_is_refused() {
    let stage = Stage::new(&noise(10, 26));
    stage.hub.add("bad/paths", &[("../../../outside.json", b"x".to_vec())]);
    let error = stage.get_wanted(&Wanted::repository("bad/paths")).unwrap_err().to_string();
    assert!(error.contains("outside.json") && error.contains("not a path inside"), "{error}");
    assert!(!stage.folder.path().join("outside.json").exists());
}

/// A file that is larger than any disk is refused before a byte of it is asked for.
#[test]
fn room_is_looked_for_first() {
    let stage = Stage::new(&noise(10, 27));
    let sizes = [Fault::HugeListing];
    stage.hub.fail(NAME, &sizes);
    let error = stage.get().unwrap_err();
    let HubError::Space { needed, free, .. } = &error else { panic!("{error}") };
    assert!(needed > free);
    assert!(error.to_string().contains("not enough room"), "{error}");
    assert!(stage.hub.seen().iter().all(|seen| !seen.at_store));
}

/// Where the cache cannot be written, the folder is named.
#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let stage = Stage::new(&noise(10, 28));
    write(&stage.settings.cache, b"a file, not a folder");
    let text = stage.get().unwrap_err().to_string();
    assert!(text.contains(stage.settings.cache.to_str().unwrap()), "{text}");
    assert!(fs::metadata(&stage.settings.cache).unwrap().is_file());
}

#[test]
fn a_search_lists_names_and_licences() {
    let stage = Stage::new(&noise(10, 29));
    stage.hub.add("other/inpainting", &[]);
    let client = Client::new(&stage.settings);
    let found = search(&client, "inpaint", 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].repository, "other/inpainting");
    assert_eq!(found[0].licence.as_deref(), Some("openrail"));
    assert!(!found[0].gated);
    let listing = list(&client, NAME, "main", &StopToken::default()).unwrap();
    assert_eq!(listing.licence.as_deref(), Some("openrail"));
}
