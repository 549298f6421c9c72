//! `overpaint models verify` and `remove`.

use std::path::Path;

use serde_json::json;

use super::{
    super::Failure,
    arguments::{Remove, Verify},
};
use crate::{
    catalog,
    cli::progress::TransferBar,
    hub::{self, Damage, Settings, Stored, Verified, human_size},
};

/// Reads what was fetched again; fails if something is damaged.
pub fn verify(arguments: &Verify, json: bool) -> Result<(), Failure> {
    let cache = Settings::from_env().cache;
    let stored = hub::stored(&cache);
    let mut reports = Vec::new();
    let mut damaged = 0;
    for stored in chosen(&arguments.models, &stored, &cache)? {
        let name = &stored.repository;
        let bar = TransferBar::new(json);
        let verified = hub::verify(&cache, name, &mut |read| {
            bar.reading(name, read, stored.bytes);
            true
        });
        bar.clear();
        let verified = verified.map_err(Failure::failed)?;
        damaged += verified.damaged.len();
        if json {
            reports.push(json_of(name, &verified));
        } else {
            print(name, &verified);
        }
    }
    if json {
        println!("{}", serde_json::Value::from(reports));
    }
    match damaged {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 file is damaged; get its model again".into())),
        count => Err(Failure::Failed(format!("{count} files are damaged; get their models again"))),
    }
}

/// The named ones, or all.
fn chosen<'a>(
    names: &[String],
    stored: &'a [Stored],
    cache: &Path,
) -> Result<Vec<&'a Stored>, Failure> {
    if names.is_empty() {
        return Ok(stored.iter().collect());
    }
    names.iter().map(|name| one(name, stored, cache)).collect()
}

fn one<'a>(name: &str, stored: &'a [Stored], cache: &Path) -> Result<&'a Stored, Failure> {
    let preset = catalog::preset(name);
    let stands_for = |stored: &&Stored| {
        stored.repository == name
            || preset.is_some_and(|preset| preset.repositories.contains(&stored.repository))
    };
    stored.iter().find(stands_for).ok_or_else(|| {
        Failure::Bad(format!("nothing of {name} is in the hub's cache, {}", cache.display()))
    })
}

fn print(name: &str, verified: &Verified) {
    if verified.damaged.is_empty() {
        println!("{name}: {} files, {}, all whole", verified.files, human_size(verified.bytes));
        return;
    }
    for (file, damage) in &verified.damaged {
        match damage {
            Damage::Missing => println!("{name}: {file} is missing"),
            Damage::Changed { kept_as } => {
                println!("{name}: {file} is damaged, put aside as {}", kept_as.display());
            }
        }
    }
    println!("{name}: `overpaint models get {name}` fetches what is missing again");
}

fn json_of(name: &str, verified: &Verified) -> serde_json::Value {
    let damaged: Vec<_> = verified
        .damaged
        .iter()
        .map(|(file, damage)| match damage {
            Damage::Missing => json!({ "file": file, "missing": true }),
            Damage::Changed { kept_as } => json!({ "file": file, "put_aside": kept_as }),
        })
        .collect();
    json!({
        "repository": name,
        "files": verified.files,
        "bytes": verified.bytes,
        "damaged": damaged,
    })
}

/// Says what would go, or lets it go.
pub fn remove(arguments: &Remove, json: bool) -> Result<(), Failure> {
    let cache = Settings::from_env().cache;
    let stored = hub::stored(&cache);
    let stored = one(&arguments.model, &stored, &cache)?;
    let (name, size) = (&stored.repository, human_size(stored.bytes));
    if !arguments.yes {
        let folder = stored.folder.display();
        let text = format!("this would delete {folder} ({size}); say --yes to do it");
        return Err(Failure::Bad(text));
    }
    let bytes = hub::remove(&cache, name).map_err(Failure::failed)?;
    if json {
        println!("{}", json!({ "repository": name, "bytes_freed": bytes }));
    } else {
        println!("{name}: deleted, {} free again", human_size(bytes));
    }
    Ok(())
}
