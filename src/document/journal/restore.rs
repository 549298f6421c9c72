//! A document from its journal.

use std::{collections::HashMap, sync::Arc};

use super::{
    Damage, Folder, JournalError,
    manifest::{
        ChangeManifest, PatchManifest, StagedManifest, StateManifest, StepManifest, TileId,
    },
    png_bytes,
    reader::Reader,
    record::Kind,
};
use crate::{
    document::{
        DEFAULT_CAP_BYTES, Document, History, MAX_SIDE, Metadata, Patch, Staged, TILE_SIDE, Tile,
        TileGrid,
        history::{Entry, GridChange, TileChange},
    },
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// What a journal held.
pub struct Restored {
    pub document: Document,
    /// What the window kept beside it.
    pub session: String,
    pub damage: Damage,
}

/// Reads the newest whole state of a journal. Where the newest file holds none, the one before it
/// counts, if it is still there.
///
/// # Errors
/// When no file holds a whole state.
pub fn restore(folder: &Folder) -> Result<Restored, JournalError> {
    let mut why = JournalError::NothingWhole(Damage::default());
    for generation in folder.generations() {
        match Reader::open(&folder.file(generation)).and_then(document_from) {
            Ok(restored) => return Ok(restored),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn document_from(reader: Reader) -> Result<Restored, JournalError> {
    let extent = reader.state.extent;
    let sane = !extent.is_empty() && extent.width <= MAX_SIDE && extent.height <= MAX_SIDE;
    if !sane {
        return Err(JournalError::NothingWhole(reader.damage));
    }
    Ok(Restoring { reader, tiles: HashMap::new() }.finish())
}

struct Restoring {
    reader: Reader,
    /// Those read so far: the same tile may stand in many places.
    tiles: HashMap<(Kind, TileId), Option<Arc<Tile>>>,
}

impl Restoring {
    fn finish(mut self) -> Restored {
        let state = &mut self.reader.state;
        let (picture, mask) = (std::mem::take(&mut state.picture), std::mem::take(&mut state.mask));
        let (undo, redo) = (std::mem::take(&mut state.undo), std::mem::take(&mut state.redo));
        let (staged, open_edit) = (state.staged.take(), state.open_edit.take());
        let (picture, missing) = self.grid(Kind::PictureTile, &picture);
        self.reader.damage.picture_tiles = missing;
        let (mask, missing) = self.grid(Kind::MaskTile, &mask);
        self.reader.damage.mask_tiles = missing;
        let staged = staged.and_then(|staged| self.staged(staged));
        let undo = self.steps(&undo);
        let redo = self.steps(&redo);
        let open_edit =
            open_edit.and_then(|change| self.change(Kind::MaskTile, &change, mask.slots().len()));
        let Reader { state, damage, .. } = self.reader;
        let StateManifest { revision, saved_revision, path, settings, session, .. } = state;
        let mut history = History::from_entries(undo, redo, revision, DEFAULT_CAP_BYTES);
        if let Some(mask) = open_edit.filter(|change| !change.0.is_empty()) {
            let picture = GridChange::default();
            history.commit(Entry { name: "Stroke".into(), picture, mask, revisions: (0, 0) });
        }
        let metadata = Metadata { path, settings };
        let document = Document {
            picture,
            mask,
            mask_before_edit: None,
            staged,
            history,
            saved_revision,
            metadata,
        };
        Restored { document, session, damage }
    }

    /// Those nearest to the present as far as they are whole: undo and redo cannot skip one. The
    /// nearest is the last, here as in `ids`.
    fn steps(&mut self, ids: &[u64]) -> Vec<Arc<Entry>> {
        let mut steps = Vec::new();
        for id in ids.iter().rev() {
            let Some(step) = self.step(*id) else { break };
            steps.push(Arc::new(step));
        }
        self.reader.damage.steps += ids.len() - steps.len();
        steps.reverse();
        steps
    }

    fn step(&mut self, id: u64) -> Option<Entry> {
        let payload = self.reader.payload((Kind::Step, id))?;
        let step: StepManifest = serde_json::from_slice(&payload).ok()?;
        let slots = TileGrid::<1>::new(self.reader.state.extent).slots().len();
        Some(Entry {
            name: step.name,
            picture: self.change(Kind::PictureTile, &step.picture, slots)?,
            mask: self.change(Kind::MaskTile, &step.mask, slots)?,
            revisions: step.revisions,
        })
    }

    /// `None` where a tile is missing or lies outside the grid.
    fn change(&mut self, kind: Kind, change: &ChangeManifest, slots: usize) -> Option<GridChange> {
        let tile = |&(index, before, after): &(usize, TileId, TileId)| {
            let before = self.tile(kind, before)?;
            let after = self.tile(kind, after)?;
            (index < slots).then_some(TileChange { index, before, after })
        };
        change.iter().map(tile).collect::<Option<_>>().map(GridChange)
    }

    /// A grid, and how many of its tiles are missing.
    fn grid<const C: usize>(&mut self, kind: Kind, ids: &[TileId]) -> (TileGrid<C>, usize) {
        let mut grid = TileGrid::new(self.reader.state.extent);
        let slots = grid.slots().len();
        let mut missing = slots.saturating_sub(ids.len());
        for (index, id) in ids.iter().take(slots).enumerate() {
            match self.tile(kind, *id) {
                Some(tile) => grid.set_slot(index, tile),
                None => missing += 1,
            }
        }
        (grid, missing)
    }

    /// `Some(None)` is a tile that was absent, `None` one that is missing.
    fn tile(&mut self, kind: Kind, id: TileId) -> Option<Option<Arc<Tile>>> {
        if id == 0 {
            return Some(None);
        }
        if let Some(known) = self.tiles.get(&(kind, id)) {
            return known.clone().map(Some);
        }
        let channels = if kind == Kind::PictureTile { Picture::CHANNELS } else { Mask::CHANNELS };
        let side = Extent::new(TILE_SIDE, TILE_SIDE);
        let bytes = self
            .reader
            .payload((kind, id))
            .and_then(|payload| png_bytes::decode(&payload, side, channels));
        let tile = bytes.map(|bytes| Arc::new(Tile::from_bytes(bytes.into_boxed_slice())));
        self.tiles.insert((kind, id), tile.clone());
        tile.map(Some)
    }

    fn staged(&mut self, staged: StagedManifest) -> Option<Staged> {
        let wanted = staged.patches.len();
        let patches: Vec<Patch> =
            staged.patches.into_iter().filter_map(|patch| self.patch(patch)).collect();
        self.reader.damage.results = wanted - patches.len();
        Staged::new(patches, staged.selected)
    }

    fn patch(&mut self, patch: PatchManifest) -> Option<Patch> {
        let extent = patch.bounds.extent();
        if extent.width > MAX_SIDE || extent.height > MAX_SIDE {
            return None;
        }
        let mut bytes = |key, channels| {
            let payload = self.reader.payload(key)?;
            png_bytes::decode(&payload, extent, channels)
        };
        let layer = bytes((Kind::Picture, patch.layer), Picture::CHANNELS)?;
        let composite_mask = match patch.composite_mask {
            Some(id) => Some(Mask::from_raw(extent, bytes((Kind::Mask, id), Mask::CHANNELS)?)?),
            None => None,
        };
        Some(Patch {
            bounds: patch.bounds,
            layer: Arc::new(Picture::from_raw(extent, layer)?),
            composite_mask: composite_mask.map(Arc::new),
            inlay: None,
            seed: patch.seed,
            settings: patch.settings,
        })
    }
}
