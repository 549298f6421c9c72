//! Steps and states as JSON. They name tiles and pictures by the ids of their records.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    document::{
        Patch, Staged, Tile, TileGrid,
        history::{Entry, GridChange},
    },
    geometry::{Bounds, Extent},
};

/// The record of a tile; 0 is an absent one.
pub type TileId = u64;

/// A document at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct StateManifest {
    pub extent: Extent,
    /// Row by row.
    pub picture: Vec<TileId>,
    pub mask: Vec<TileId>,
    /// A stroke that is being drawn: `mask` has it.
    pub open_edit: Option<ChangeManifest>,
    pub staged: Option<StagedManifest>,
    /// Steps that can be undone, oldest first.
    pub undo: Vec<u64>,
    /// Steps that can be redone, the next one last.
    pub redo: Vec<u64>,
    pub revision: u64,
    pub saved_revision: u64,
    pub path: Option<PathBuf>,
    pub settings: String,
    pub session: String,
}

/// Which tiles a change replaced: index, before, after.
pub type ChangeManifest = Vec<(usize, TileId, TileId)>;

/// A step of the history.
#[derive(Debug, Serialize, Deserialize)]
pub struct StepManifest {
    pub name: Cow<'static, str>,
    pub picture: ChangeManifest,
    pub mask: ChangeManifest,
    pub revisions: (u64, u64),
}

/// Results that wait.
#[derive(Debug, Serialize, Deserialize)]
pub struct StagedManifest {
    pub patches: Vec<PatchManifest>,
    pub selected: usize,
}

/// One result.
#[derive(Debug, Serialize, Deserialize)]
pub struct PatchManifest {
    pub bounds: Bounds,
    /// Of a picture's record.
    pub layer: u64,
    /// Of a mask's record.
    pub composite_mask: Option<u64>,
    pub seed: u64,
    pub settings: String,
}

impl StateManifest {
    /// `staged` is written beforehand: its pictures get their ids from the writer.
    pub fn of(state: &State, staged: Option<StagedManifest>) -> Self {
        let (undo, redo) = state.history.entries();
        let id = |entry: &Arc<Entry>| entry.revisions.1;
        let open_edit = state
            .mask_before_edit
            .as_ref()
            .map(|before| change(&GridChange::between(before, &state.mask)));
        Self {
            extent: state.picture.extent(),
            picture: tile_ids(&state.picture),
            mask: tile_ids(&state.mask),
            open_edit,
            staged,
            undo: undo.iter().map(id).collect(),
            redo: redo.iter().map(id).collect(),
            revision: state.history.revision(),
            saved_revision: state.saved_revision,
            path: state.metadata.path.clone(),
            settings: state.metadata.settings.clone(),
            session: state.session.clone(),
        }
    }
}

impl StepManifest {
    pub fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name.clone(),
            picture: change(&entry.picture),
            mask: change(&entry.mask),
            revisions: entry.revisions,
        }
    }
}

impl StagedManifest {
    /// `ids` are of the records of each patch's picture and mask.
    pub fn of(staged: &Staged, ids: Vec<(u64, Option<u64>)>) -> Self {
        let patch = |(patch, (layer, composite_mask)): (&Patch, _)| PatchManifest {
            bounds: patch.bounds,
            layer,
            composite_mask,
            seed: patch.seed,
            settings: patch.settings.clone(),
        };
        Self {
            patches: staged.patches().iter().zip(ids).map(patch).collect(),
            selected: staged.selected_index(),
        }
    }
}

fn tile_ids<const C: usize>(grid: &TileGrid<C>) -> Vec<TileId> {
    grid.slots().iter().map(id_of).collect()
}

fn change(change: &GridChange) -> ChangeManifest {
    change.0.iter().map(|tile| (tile.index, id_of(&tile.before), id_of(&tile.after))).collect()
}

fn id_of(tile: &Option<Arc<Tile>>) -> TileId {
    tile.as_deref().map_or(0, Tile::version)
}
