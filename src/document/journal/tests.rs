//! What comes back from a journal, whole or damaged.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{
    document::{
        Brush, Patch,
        tests::{document, draw, masked_document, noise_mask, noise_picture},
        tools::BrushMode,
    },
    geometry::Bounds,
};

fn folder(root: &tempfile::TempDir) -> Folder {
    Folder::create(root.path()).unwrap()
}

/// Locks the one folder below `root` again, as the next start does.
fn reopened(root: &tempfile::TempDir) -> Folder {
    let mut found = left_behind(root.path());
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn patch(seed: u32) -> Patch {
    let bounds = Bounds::new(20, 30, 100, 60);
    Patch {
        bounds,
        layer: noise_picture(bounds.extent(), seed).into(),
        composite_mask: Some(noise_mask(bounds.extent(), seed + 1).into()),
        inlay: None,
        seed: u64::from(seed),
        settings: format!("{{\"seed\":{seed}}}"),
    }
}

fn paint(document: &mut Document, at: f32) {
    draw(document, BrushMode::Paint, Brush::default(), &[(at, 40.0), (at + 60.0, 200.0)]);
}

fn same_pixels(a: &Document, b: &Document) -> bool {
    a.picture().to_picture() == b.picture().to_picture() && a.mask().to_mask() == b.mask().to_mask()
}

/// With strokes, an accepted result, results that wait, something undone.
fn busy_document() -> Document {
    let mut document = masked_document();
    document.metadata.path = Some("reef.png".into());
    paint(&mut document, 10.0);
    let _ = document.stage(vec![patch(3)]).unwrap();
    let _ = document.accept_staged();
    document.mark_saved();
    paint(&mut document, 120.0);
    paint(&mut document, 200.0);
    let _ = document.undo();
    let _ = document.stage(vec![patch(4), patch(6)]).unwrap();
    let _ = document.select_staged(1);
    document
}

#[test]
fn everything_comes_back_and_can_be_undone_and_redone() {
    let root = tempfile::tempdir().unwrap();
    let mut document = busy_document();
    let mut writer = Writer::new(folder(&root));
    writer.write(&State::of(&document, "beside".into())).unwrap();
    drop(writer);
    let restored = restore(&reopened(&root)).unwrap();
    let mut back = restored.document;
    assert_eq!((restored.damage, restored.session.as_str()), (Damage::default(), "beside"));
    assert_eq!(back.metadata, document.metadata);
    assert_eq!(back.revision(), document.revision());
    assert!(back.is_modified());
    let staged = back.staged().unwrap();
    assert_eq!((staged.patches().len(), staged.selected_index()), (2, 1));
    assert_eq!(staged.selected().layer, patch(6).layer);
    assert_eq!(staged.selected().composite_mask, patch(6).composite_mask);
    assert_eq!(staged.selected().settings, patch(6).settings);
    let names = |d: &Document| d.history().names().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&back), names(&document));
    assert!(same_pixels(&back, &document));
    let _ = (back.redo(), document.redo());
    assert!(same_pixels(&back, &document));
    while document.history().undo_name().is_some() {
        let _ = (back.undo(), document.undo());
        assert!(same_pixels(&back, &document));
        assert_eq!(back.is_modified(), document.is_modified());
    }
    assert_eq!(back.history().undo_name(), None);
}

#[test]
fn a_stroke_that_was_being_drawn_comes_back_as_a_step() {
    let root = tempfile::tempdir().unwrap();
    let mut document = document();
    let _ = document.begin_mask_edit();
    let (_, mask) = document.mask_edit().unwrap();
    mask.write(Bounds::new(5, 5, 40, 40), &[200; 1600]);
    Writer::new(folder(&root)).write(&State::of(&document, String::new())).unwrap();
    let mut back = restore(&reopened(&root)).unwrap().document;
    assert!(same_pixels(&back, &document) && back.is_modified());
    let _ = (back.undo(), document.abort_mask_edit());
    assert!(same_pixels(&back, &document));
}

#[test]
fn only_what_is_new_is_written() {
    let root = tempfile::tempdir().unwrap();
    let mut document = busy_document();
    let mut writer = Writer::new(folder(&root));
    writer.write(&State::of(&document, String::new())).unwrap();
    let size = || fs::metadata(journal_file(&root)).unwrap().len();
    let first = size();
    paint(&mut document, 30.0);
    writer.write(&State::of(&document, String::new())).unwrap();
    assert!(size() - first < first / 2, "{} after {first}", size());
}

/// The one file in the one folder.
fn journal_file(root: &tempfile::TempDir) -> std::path::PathBuf {
    let folder = fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "journal")).max().unwrap()
}

#[test]
fn a_file_is_made_anew_when_most_of_it_is_not_needed() {
    let root = tempfile::tempdir().unwrap();
    let mut document = document();
    document.set_history_cap(0);
    let mut writer = Writer::with_small_file(folder(&root), 0);
    writer.write(&State::of(&document, String::new())).unwrap();
    let first = fs::metadata(journal_file(&root)).unwrap().len();
    for step in 0..60 {
        let mask = noise_mask(document.extent(), step);
        let _ = document.set_mask("Noise", &mask).unwrap();
        writer.write(&State::of(&document, String::new())).unwrap();
    }
    let last = journal_file(&root);
    assert!(fs::metadata(&last).unwrap().len() < 4 * first);
    assert_ne!(last.file_stem().unwrap(), "1");
    drop(writer);
    let back = restore(&reopened(&root)).unwrap().document;
    assert!(same_pixels(&back, &document));
}

#[test]
fn a_folder_belongs_to_one_window() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Writer::new(folder(&root));
    let mut second = Writer::new(folder(&root));
    let (mut one, mut two) = (document(), masked_document());
    paint(&mut one, 10.0);
    paint(&mut two, 90.0);
    first.write(&State::of(&one, "one".into())).unwrap();
    second.write(&State::of(&two, "two".into())).unwrap();
    assert!(left_behind(root.path()).is_empty(), "both are in use");
    drop(first);
    let found = reopened(&root);
    let back = restore(&found).unwrap();
    assert_eq!(back.session, "one");
    assert!(same_pixels(&back.document, &one));
    assert!(left_behind(root.path()).is_empty(), "the one that was found is in use");
    drop((second, found));
    assert_eq!(left_behind(root.path()).len(), 2);
}

#[test]
fn folders_without_a_journal_go_away() {
    let root = tempfile::tempdir().unwrap();
    drop(folder(&root));
    assert!(left_behind(root.path()).is_empty());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let mut writer = Writer::new(folder(&root));
    writer.write(&State::of(&document(), String::new())).unwrap();
    writer.remove().unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn the_thread_says_what_is_safe_and_removes_what_is_not_needed() {
    let root = tempfile::tempdir().unwrap();
    let place = Place::New(root.path().into());
    let journal = Journal::start(place, std::sync::Arc::new(|| {})).unwrap();
    let state = || Box::new(State::of(&document(), String::new()));
    assert!(journal.offer(state()).is_ok());
    let event = journal.events.recv().unwrap();
    assert_eq!(event, JournalEvent::Written(1));
    assert!(journal_file(&root).exists());
    journal.remove();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_disk_that_refuses_is_told_once() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let journal = Journal::start(Place::New(file), std::sync::Arc::new(|| {})).unwrap();
    for _ in 0..3 {
        let mut state = Box::new(State::of(&document(), String::new()));
        while let Err(back) = journal.offer(state) {
            state = back;
            std::thread::yield_now();
        }
    }
    let Journal { states, events, thread } = journal;
    drop(states);
    assert!(thread.join().unwrap().is_none());
    assert_eq!(events.iter().count(), 1);
}

/// A journal with three states of growing masks, as bytes.
fn three_states(root: &tempfile::TempDir) -> (Vec<u8>, Vec<Document>) {
    let mut writer = Writer::new(folder(root));
    let mut documents = Vec::new();
    for count in 1..=3 {
        let mut document = document();
        let mut steps = 0..count;
        steps.by_ref().for_each(|step| paint(&mut document, 40.0 * step as f32));
        if count == 3 {
            let _ = document.stage(vec![patch(9)]).unwrap();
        }
        documents.push(document);
    }
    // One document that goes on, so that ids stay its own.
    let mut going = document();
    for (step, seen) in documents.iter_mut().enumerate() {
        paint(&mut going, 40.0 * step as f32);
        if step == 2 {
            let _ = going.stage(vec![patch(9)]).unwrap();
        }
        writer.write(&State::of(&going, step.to_string())).unwrap();
        assert!(same_pixels(seen, &going));
    }
    drop(writer);
    (fs::read(journal_file(root)).unwrap(), documents)
}

#[test]
fn a_journal_cut_anywhere_gives_the_last_whole_state() {
    let root = tempfile::tempdir().unwrap();
    let (bytes, documents) = three_states(&root);
    let file = journal_file(&root);
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
        fs::write(&file, &bytes[..cut]).unwrap();
        match restore(&reopened(&root)) {
            Ok(back) => {
                let step: usize = back.session.parse().unwrap();
                assert!(same_pixels(&back.document, &documents[step]), "cut at {cut}");
                assert!(!back.damage.lost_something());
                seen.insert(step);
            }
            Err(why) => assert!(why.to_string().contains("nothing whole"), "{why}"),
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever bytes are wrong: no panic, the rest comes back, and what is missing is counted.
    #[test]
    fn damage_is_survived_and_counted(
        hits in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let root = tempfile::tempdir().unwrap();
        let (mut bytes, documents) = three_states(&root);
        hits.iter().for_each(|(at, by)| *at.get_mut::<u8>(&mut bytes) ^= by);
        let intact = bytes == fs::read(journal_file(&root)).unwrap();
        fs::write(journal_file(&root), &bytes).unwrap();
        if let Ok(back) = restore(&reopened(&root)) {
            let step: usize = back.session.parse().unwrap();
            let newest = step == 2 && same_pixels(&back.document, &documents[2]);
            prop_assert!(intact || !newest || back.damage != Damage::default());
            prop_assert!(same_pixels(&back.document, &documents[step])
                || back.damage.picture_tiles + back.damage.mask_tiles > 0);
        }
    }
}
