//! `overpaint models list`: what is here, and what could be.

use serde_json::{Value, json};

use crate::{
    catalog::{
        self, Entry, Fit, Kind, Preset, places,
        scan::{Found, Scan},
    },
    engine::this_machine,
    hub::human_size,
};

/// Prints the models of this machine, then the catalogue's others.
pub fn list(json: bool) {
    let (entries, scan) = (catalog::list(), places::look_through());
    let cache = places::hub_cache_folder();
    if json {
        let here: Vec<Value> = entries.iter().map(json_of).collect();
        let files: Vec<Value> = scan.found.iter().map(json_of_found).collect();
        let presets = catalog::presets().iter().map(|preset| json_of_preset(preset, &cache));
        let presets: Vec<Value> = presets.collect();
        println!("{}", json!({ "models": here, "files": files, "catalogue": presets }));
        return;
    }
    let (fetched, others): (Vec<&Preset>, Vec<&Preset>) =
        catalog::presets().iter().partition(|preset| preset.installed(&cache).is_some());
    let ids = entries.iter().map(|entry| entry.id.len());
    let width = ids.chain(catalog::presets().iter().map(|p| p.id.len())).max().unwrap_or(0);
    println!("On this machine:");
    for entry in &entries {
        println!("  {:width$}  {}", entry.id, entry.about);
    }
    for preset in fetched {
        println!("  {:width$}  {}, {}", preset.id, preset.name, preset.kind.name());
    }
    for (id, folder) in catalog::controlnets() {
        println!("  {id:width$}  {}", folder.about());
    }
    print_files(&scan);
    if !others.is_empty() {
        println!("\nIn the catalogue (`overpaint models get ID`):");
    }
    for preset in others {
        println!("  {:width$}  {}", preset.id, offered(preset));
    }
    println!(
        "\nAny owner/name of the hub, and any checkpoint or folder in diffusers layout by its path,"
    );
    println!("can be named too; {}", super::places());
}

/// Name, size, licence, and whether it is too much for this machine.
fn offered(preset: &Preset) -> String {
    let machine = this_machine();
    let size = human_size(preset.download.of(machine.precision()));
    let text = format!("{} ({size}, {})", preset.name, preset.licence.name);
    match machine.fit(preset) {
        (Fit::TooLarge, why) => format!("{text}. {why}"),
        _ => text,
    }
}

/// What goes with a model: LoRAs, embeddings and the like, by kind.
fn print_files(scan: &Scan) {
    let listed = |kind| matches!(kind, Kind::Model(_) | Kind::Prior | Kind::ControlNet(_));
    let files = scan.found.iter().filter(|found| !found.kind().is_some_and(listed));
    let mut files: Vec<&Found> = files.collect();
    files.sort_by_key(|found| found.kind().map(Kind::name));
    if !files.is_empty() {
        println!("\nTo go with them:");
    }
    for found in files {
        println!("  {}  {}", found.path.display(), found.about());
    }
    for folder in scan.folders.iter().filter(|folder| folder.pickles > 0) {
        println!(
            "  ({} more in {} are pickles, which can run any program when opened: not used)",
            folder.pickles,
            folder.path.display()
        );
    }
}

fn json_of(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "name": entry.name,
        "about": entry.about,
        "path": entry.path,
        "problem": entry.model.as_ref().err(),
    })
}

fn json_of_found(found: &Found) -> Value {
    let class = found.class.as_ref().ok();
    json!({
        "path": found.path,
        "name": found.name,
        "bytes": found.bytes,
        "kind": class.map(|class| class.kind),
        "about": found.about(),
        "problem": found.class.as_ref().err(),
    })
}

pub fn json_of_preset(preset: &Preset, cache: &std::path::Path) -> Value {
    let machine = this_machine();
    let (fit, words) = machine.fit(preset);
    json!({
        "id": preset.id,
        "name": preset.name,
        "kind": preset.kind,
        "purpose": preset.purpose,
        "licence": preset.licence.name,
        "repositories": preset.repositories,
        "download_bytes": preset.download.of(machine.precision()),
        "memory_bytes": preset.memory.of(machine.precision()),
        "fits": fit != Fit::TooLarge,
        "here": words,
        "installed": preset.installed(cache),
    })
}
