//! `overpaint models path`: where models are, and which folders are looked through.

use serde_json::json;

use super::{super::Failure, arguments::Path};
use crate::catalog::{
    self,
    places::{self, ADDED},
};

/// Where models are looked for, in one line.
pub fn places() -> String {
    let folders = places::model_folders();
    let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    format!("models are looked for in {}, and in the hub's cache", folders.join(", "))
}

/// Prints where a model lies, or all places; adds or forgets a folder to look through.
pub fn path(arguments: &Path, json: bool) -> Result<(), Failure> {
    if let Some(model) = &arguments.model {
        let path = catalog::locate(model).map_err(Failure::bad)?;
        let shown = path.display().to_string();
        println!("{}", if json { json!({ "path": path }).to_string() } else { shown });
        return Ok(());
    }
    change_folders(arguments)?;
    let (folders, cache) = (places::model_folders(), places::hub_cache_folder());
    if json {
        println!("{}", json!({ "folders": folders, "hub_cache": cache }));
        return Ok(());
    }
    for folder in &folders {
        println!("{}", folder.display());
    }
    println!("{} (the hub's cache, where downloads go)", cache.display());
    Ok(())
}

fn change_folders(arguments: &Path) -> Result<(), Failure> {
    if let Some(folder) = &arguments.add {
        let full = folder.canonicalize().ok().filter(|path| path.is_dir());
        let full =
            full.ok_or_else(|| Failure::Bad(format!("{} is not a folder", folder.display())))?;
        ADDED.remember(&full).map_err(Failure::failed)?;
    }
    if let Some(folder) = &arguments.forget {
        let full = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if !ADDED.forget(&full).map_err(Failure::failed)? {
            let text = format!("{} is not one of the folders that were added", folder.display());
            return Err(Failure::Bad(text));
        }
    }
    Ok(())
}
