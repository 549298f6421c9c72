//! The models on this machine and on the hub, as the Models window shows them, and what is being
//! fetched. Whatever takes time is done elsewhere; answers come as events.

mod actions;
mod transfers;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

pub use self::transfers::{State, Transfer, Transfers};
use super::{controls::ControlChoice, models::ModelChoice};
use crate::{
    catalog::{
        self, AutoencoderPlace, Machine, Preset, ShelfFile,
        places::{self, ADDED},
        scan::Scan,
    },
    hub::{Downloads, Found, Settings, Stored},
};

/// What can be asked for in the Models window. Models are named by a preset's id, or by the name
/// of their repository.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Opens or closes the window.
    Toggle,
    /// Fetches, or goes on fetching.
    Get(String),
    Pause(String),
    Cancel(String),
    /// Asks before something is deleted; nothing takes the question back.
    ConfirmRemoval(Option<String>),
    Remove(String),
    /// Reads what was fetched again and compares it with its digests.
    Verify(String),
    /// Asks the hub for the words in the field.
    Search,
    ChooseFolder,
    AddFolder(PathBuf),
    ForgetFolder(PathBuf),
    /// After models came or went.
    Look,
}

/// Which part of the window is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Catalogue,
    Here,
    Folders,
}

/// What is known, and what is going on.
pub struct Library {
    pub open: bool,
    pub tab: Tab,
    pub machine: Machine,
    pub settings: Settings,
    pub transfers: Transfers,
    pub search: Search,
    pub shelf: Shelf,
    /// A look at the shelf is under way.
    pub looking: bool,
    /// What the person is asked about before it is deleted.
    pub removing: Option<String>,
    /// Repositories that were read again, and what came of it.
    pub checks: HashMap<String, Check>,
    /// The thread that fetches, from the first download on.
    downloads: Option<Downloads>,
    wake: crate::hub::Wake,
}

/// What lies on this machine, as it was when last looked at.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// Presets by id, and where they lie.
    pub presets: HashMap<String, PathBuf>,
    /// What the hub's cache holds.
    pub stored: Vec<Stored>,
    pub scan: Scan,
    /// Folders that can be forgotten again.
    pub added: Vec<PathBuf>,
    pub offered: Offered,
}

/// What the panels offer of it.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    pub models: Vec<ModelChoice>,
    pub controlnets: Vec<ControlChoice>,
    pub autoencoders: Vec<AutoencoderPlace>,
    pub loras: Vec<ShelfFile>,
}

/// What reading a repository again has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    Reading,
    Whole,
    /// These files are damaged or missing.
    Damaged(Vec<String>),
}

/// A search of the hub.
#[derive(Debug, Default)]
pub struct Search {
    pub words: String,
    pub asking: bool,
    /// The words that `found` belongs to.
    pub asked: String,
    pub found: Option<Result<Vec<Found>, String>>,
}

impl Library {
    pub fn new(settings: Settings, ctx: &egui::Context) -> Self {
        let ctx = ctx.clone();
        Self {
            open: false,
            tab: Tab::default(),
            machine: crate::engine::this_machine(),
            settings,
            transfers: Transfers::default(),
            search: Search::default(),
            shelf: Shelf::default(),
            looking: false,
            removing: None,
            checks: HashMap::new(),
            downloads: None,
            wake: Arc::new(move || ctx.request_repaint()),
        }
    }

    /// The presets under the words of the search, all where there are none.
    pub fn presets(&self) -> Vec<&'static Preset> {
        catalog::search(&self.search.words)
    }

    /// What is being fetched, in a few words, for the line at the bottom.
    pub fn news(&self) -> Option<String> {
        if let Some((transfer, progress)) = self.transfers.coming() {
            let percent = progress.done * 100 / progress.total.max(1);
            return Some(format!("{}: {percent} %", transfer.name));
        }
        let failed = |transfer: &&Transfer| matches!(transfer.state, State::Failed(_));
        let transfer = self.transfers.iter().find(failed)?;
        Some(format!("{} could not be fetched", transfer.name))
    }

    /// Where a preset lies, if it was fetched and is not known to be damaged.
    pub fn place_of(&self, preset: &Preset) -> Option<&PathBuf> {
        let damaged = |name: &String| matches!(self.checks.get(name), Some(Check::Damaged(_)));
        let place = self.shelf.presets.get(&preset.id)?;
        (!preset.repositories.iter().any(damaged)).then_some(place)
    }
}

impl Shelf {
    /// Looks at everything; reads headers of files that are new.
    pub fn look(cache: &std::path::Path) -> Self {
        // What it cannot work without counts as part of it.
        let place = |preset: &Preset| {
            let whole = preset.with_needs().all(|part| part.installed(cache).is_some());
            Some((preset.id.clone(), preset.installed(cache).filter(|_| whole)?))
        };
        Self {
            presets: catalog::presets().iter().filter_map(place).collect(),
            stored: crate::hub::stored(cache),
            scan: places::look_through(),
            added: ADDED.read(),
            offered: Offered {
                models: super::models::choices(),
                controlnets: super::controls::choices(),
                autoencoders: catalog::autoencoders(),
                loras: catalog::LORAS.list(),
            },
        }
    }

    pub fn has(&self, repository: &str) -> bool {
        self.stored.iter().any(|stored| stored.repository == repository)
    }

    /// What the panel calls a preset that was fetched.
    pub fn repository_of(&self, preset: &Preset) -> Option<&str> {
        let mut names = self.stored.iter().map(|stored| stored.repository.as_str());
        names.find(|name| preset.repositories.iter().any(|repository| repository == name))
    }
}
