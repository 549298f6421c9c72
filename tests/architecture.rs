//! The one rule: arrows between rooms point one way. Reads the `crate::room` paths of every source
//! file and fails on one that is not in the table.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which rooms a room may name. A room may always name itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("geometry", &[]),
    ("pixels", &["geometry"]),
    ("document", &["geometry", "pixels"]),
    ("render", &["geometry", "pixels", "document"]),
    ("prompt", &[]),
    ("key_map", &[]),
    ("networks", &["geometry", "pixels", "prompt", "key_map"]),
    ("diffusion", &["geometry", "pixels", "networks", "prompt"]),
    ("hub", &[]),
    ("catalog", &["geometry", "pixels", "hub", "key_map"]),
    ("engine", &["geometry", "pixels", "document", "networks", "diffusion", "catalog", "prompt"]),
    ("cli", &["geometry", "pixels", "render", "engine", "catalog", "diffusion", "hub"]),
    ("app", &["geometry", "pixels", "document", "render", "engine", "catalog", "diffusion", "hub"]),
];

/// Crates that must not leak out of their rooms.
const TOOLKITS: &[(&str, &[&str])] = &[
    ("egui", &["app"]),
    ("eframe", &["app"]),
    ("egui_wgpu", &["app"]),
    ("rfd", &["app"]),
    ("wgpu", &["render", "app"]),
    ("candle_core", &["networks", "diffusion", "engine", "cli"]),
    ("candle_nn", &["networks", "diffusion"]),
    ("candle_transformers", &["networks"]),
    ("clap", &["cli"]),
    ("hf_hub", &["hub"]),
    ("ureq", &["hub"]),
    ("anyhow", &["app", "cli"]),
];

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(room) = room_of(&file) else { continue };
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{} lies in a room that the table lacks", file.display()))
            .1;
        for named in crate_paths(&text) {
            if named != room && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}: {room} -> {named}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run back:\n{}", wrong.join("\n"));
}

#[test]
fn toolkits_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(room) = room_of(&file) else { continue };
        for (toolkit, rooms) in TOOLKITS {
            if !rooms.contains(&room.as_str()) && names(&text, toolkit) {
                wrong.push(format!("{}: {toolkit}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "toolkits out of their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_sees_every_way_to_name_a_room() {
    let text = "use crate::{\n    app::Tool,\n    engine::{Event, JobId},\n    pixels,\n};\n\
                use crate::render::Scene; let x = crate::cli::run(); // crate::networks in words\n";
    let found = crate_paths(text);
    let expected = ["app", "cli", "engine", "pixels", "render"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(names("use wgpu::Device;", "wgpu"));
    assert!(!names("use egui_wgpu::Device;", "wgpu"));
}

/// The rooms that `text` names after `crate::`, grouped imports included. Comments do not count.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads_of_group(group)),
            None => found.extend(word(rest)),
        }
    }
    found
}

/// The first words of the entries of `a::b, c::{d, e}, f}`.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut entry = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(word(std::mem::take(&mut entry).trim())),
            _ => {}
        }
        if depth == 0 && c != ',' {
            entry.push(c);
        }
    }
    heads.extend(word(entry.trim()));
    heads
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// Whether code outside comments has `name::` as a whole word.
fn names(text: &str, name: &str) -> bool {
    let code = without_comments(text);
    code.match_indices(&format!("{name}::"))
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// `src/app/shell.rs` -> `app`, `src/geometry.rs` -> `geometry`; the crate's roots are no rooms.
fn room_of(file: &Path) -> Option<String> {
    let mut parts = file.components().skip_while(|c| c.as_os_str() != "src").skip(1);
    let first = Path::new(parts.next()?.as_os_str()).file_stem()?.to_str()?.to_owned();
    (!["lib", "main"].contains(&first.as_str())).then_some(first)
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 20, "the reader found only {} files", found.len());
    found
}
