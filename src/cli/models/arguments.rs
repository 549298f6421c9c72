//! What `overpaint models` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{engine::this_machine, hub::Precision};

#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Machine-readable, on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// What is on this machine, and what the catalogue offers (the default)
    List,
    /// Find models by name: in the catalogue and on the hub
    Search(Search),
    /// Fetch a model into the cache that all tools of the hub share; goes on where it stood
    Get(Get),
    /// Say what a model, a folder or a file is
    Show(Show),
    /// Read what was fetched again and compare it with its digests; what is damaged is put aside
    Verify(Verify),
    /// Delete what was fetched of a model
    Remove(Remove),
    /// Say where a model lies, or where models are looked for
    Path(Path),
}

#[derive(Debug, Args)]
pub struct Search {
    /// Part of a name
    #[arg(required = true)]
    pub words: Vec<String>,
    /// How many lines of the hub's, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub limit: u16,
}

#[derive(Debug, Args)]
pub struct Get {
    /// An id of the catalogue, or owner/name on the hub, with @REVISION if not the main branch
    #[arg(required = true, value_name = "ID|OWNER/NAME")]
    pub models: Vec<String>,
    /// Only this file of the repository (repeatable) [default: what is needed to run it]
    #[arg(long, value_name = "PATH")]
    pub file: Vec<String>,
    /// Which weights, where there is a choice: full (32 bits), half (16 bits), auto [default: auto,
    /// half where a graphics card does the work]
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// An id, a folder or a file
    #[arg(value_name = "ID|PATH")]
    pub model: String,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Models by id, owner/name, folder or file [default: everything that was fetched]
    pub models: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// An id of the catalogue, or owner/name
    pub model: String,
    /// Do it; without this it is only said what would go
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Path {
    /// An id, or owner/name [default: the folders in which models are looked for]
    pub model: Option<String>,
    /// Also look through this folder from now on; ComfyUI's, A1111's and InvokeAI's are known
    #[arg(long, value_name = "FOLDER", conflicts_with = "model")]
    pub add: Option<PathBuf>,
    /// No longer look through this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "model")]
    pub forget: Option<PathBuf>,
}

/// `None` lets the machine decide.
fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "full" => Ok(Precision::Full),
        "half" => Ok(Precision::Half),
        "auto" => Ok(this_machine().precision()),
        _ => Err("must be one of full, half, auto".into()),
    }
}
