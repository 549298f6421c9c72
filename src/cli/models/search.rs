//! `overpaint models search`.

use serde_json::json;

use super::{super::Failure, arguments::Search, get::failure_of, list::json_of_preset};
use crate::{
    catalog::{self, Preset},
    hub::{self, Client, Found, Settings},
};

/// Prints what the catalogue and the hub have under these words.
pub fn search(arguments: &Search, json: bool) -> Result<(), Failure> {
    let words = arguments.words.join(" ");
    let settings = Settings::from_env();
    let presets = catalog::search(&words);
    let found = hub::search(&Client::new(&settings), &words, usize::from(arguments.limit));
    let found = match found {
        // The catalogue's part needs no network.
        Err(error) if presets.is_empty() => return Err(failure_of(error)),
        Err(error) => {
            eprintln!("overpaint: {error}");
            Vec::new()
        }
        Ok(found) => found,
    };
    if json {
        let presets = presets.iter().map(|preset| json_of_preset(preset, &settings.cache));
        let presets: Vec<_> = presets.collect();
        let found: Vec<_> = found.iter().map(json_of).collect();
        println!("{}", json!({ "catalogue": presets, "hub": found }));
        return Ok(());
    }
    print(&presets, &found);
    Ok(())
}

fn print(presets: &[&Preset], found: &[Found]) {
    let ids = presets.iter().map(|preset| preset.id.len());
    let width = ids.chain(found.iter().map(|one| one.repository.len())).max().unwrap_or(0);
    for preset in presets {
        println!("{:width$}  {} ({})", preset.id, preset.name, preset.licence.name);
    }
    for one in found {
        let kind = one.kind.as_deref().unwrap_or("kind not said");
        let licence = one.licence.as_deref().unwrap_or("licence not said");
        let gated = if one.gated { ", conditions to accept first" } else { "" };
        println!("{:width$}  {kind} ({licence}{gated})", one.repository);
    }
    if presets.is_empty() && found.is_empty() {
        println!("nothing found: try fewer words");
    }
}

fn json_of(found: &Found) -> serde_json::Value {
    json!({
        "repository": found.repository,
        "kind": found.kind,
        "licence": found.licence,
        "gated": found.gated,
        "downloads": found.downloads,
    })
}
