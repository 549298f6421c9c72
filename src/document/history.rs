//! Undo and redo. Entries hold tile handles from before and after a change, never pixel copies.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use super::{
    effects::Effects,
    tiles::{MaskTiles, PictureTiles, Tile, TileGrid},
};
use crate::geometry::Bounds;

/// How much memory the history may hold on to, unless told otherwise: 512 MiB.
pub const DEFAULT_CAP_BYTES: usize = 512 << 20;

/// One tile before and after a change.
pub(super) struct TileChange {
    pub index: usize,
    pub before: Option<Arc<Tile>>,
    pub after: Option<Arc<Tile>>,
}

/// The tiles of one grid that a change replaced.
#[derive(Default)]
pub(super) struct GridChange(pub Vec<TileChange>);

impl GridChange {
    /// Compares handles, so its cost is the number of tiles, not of pixels.
    pub fn between<const C: usize>(before: &TileGrid<C>, after: &TileGrid<C>) -> Self {
        let change = |index: usize| TileChange {
            index,
            before: before.slots()[index].clone(),
            after: after.slots()[index].clone(),
        };
        Self(before.differing_slots(after).map(change).collect())
    }

    /// Puts the tiles of one side in place and says which pixels that may have changed.
    fn apply<const C: usize>(&self, grid: &mut TileGrid<C>, direction: Direction) -> Bounds {
        let mut dirty = Bounds::default();
        for change in &self.0 {
            let tile = match direction {
                Direction::Undo => &change.before,
                Direction::Redo => &change.after,
            };
            grid.set_slot(change.index, tile.clone());
            let (column, row) = grid.position(change.index);
            dirty = dirty.union(grid.tile_bounds(column, row));
        }
        dirty
    }

    /// A change shares one of its sides with its neighbour in time or with the document; the larger
    /// side is what it is charged for.
    fn bytes(&self) -> usize {
        let size = |tile: &Option<Arc<Tile>>| tile.as_ref().map_or(0, |tile| tile.bytes().len());
        self.0.iter().map(|change| size(&change.before).max(size(&change.after))).sum()
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Undo,
    Redo,
}

/// One step that can be undone.
pub(super) struct Entry {
    pub name: Cow<'static, str>,
    pub picture: GridChange,
    pub mask: GridChange,
    /// Revision of the document on either side of the change. The second is no other step's.
    pub revisions: (u64, u64),
}

impl Entry {
    /// A change of the mask.
    pub fn of_mask(
        name: impl Into<Cow<'static, str>>,
        before: &MaskTiles,
        after: &MaskTiles,
    ) -> Self {
        Self {
            name: name.into(),
            picture: GridChange::default(),
            mask: GridChange::between(before, after),
            revisions: (0, 0),
        }
    }

    /// A change of the picture.
    pub fn of_picture(
        name: impl Into<Cow<'static, str>>,
        before: &PictureTiles,
        after: &PictureTiles,
    ) -> Self {
        Self {
            name: name.into(),
            picture: GridChange::between(before, after),
            mask: GridChange::default(),
            revisions: (0, 0),
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.picture.0.is_empty() && self.mask.0.is_empty()
    }

    fn bytes(&self) -> usize {
        self.picture.bytes() + self.mask.bytes()
    }

    fn apply(
        &self,
        picture: &mut PictureTiles,
        mask: &mut MaskTiles,
        direction: Direction,
    ) -> Effects {
        Effects {
            dirty_picture: self.picture.apply(picture, direction),
            dirty_mask: self.mask.apply(mask, direction),
            history_changed: true,
            ..Effects::NONE
        }
    }
}

/// The one stack of undoable steps: strokes, mask operations, accepted results. A clone shares them.
#[derive(Clone)]
pub struct History {
    undo: VecDeque<Arc<Entry>>,
    redo: Vec<Arc<Entry>>,
    cap_bytes: usize,
    /// Names the present state; equal numbers mean equal bytes.
    revision: u64,
    last_revision: u64,
}

impl History {
    pub(super) fn new(cap_bytes: usize) -> Self {
        Self { undo: VecDeque::new(), redo: Vec::new(), cap_bytes, revision: 0, last_revision: 0 }
    }

    /// With these steps, oldest first: `undo` that lead to `revision`, and `redo` that were taken
    /// back, the next to be repeated last.
    pub(super) fn from_entries(
        undo: Vec<Arc<Entry>>,
        redo: Vec<Arc<Entry>>,
        revision: u64,
        cap_bytes: usize,
    ) -> Self {
        let made = undo.iter().chain(&redo).map(|entry| entry.revisions.1).max().unwrap_or(0);
        let last_revision = made.max(revision);
        let mut history = Self { undo: undo.into(), redo, cap_bytes, revision, last_revision };
        history.trim();
        history
    }

    /// The steps that can be undone and those that can be redone, as [`Self::from_entries`] takes them.
    pub(super) fn entries(&self) -> (&VecDeque<Arc<Entry>>, &[Arc<Entry>]) {
        (&self.undo, &self.redo)
    }

    /// Whether both have come the same way to the same state.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let numbers = |h: &Self| (h.revision, h.last_revision, h.undo.len(), h.redo.len());
        numbers(self) == numbers(other)
    }

    /// The step that undo would take back, by name.
    pub fn undo_name(&self) -> Option<&str> {
        self.undo.back().map(|entry| entry.name.as_ref())
    }

    /// The step that redo would repeat, by name.
    pub fn redo_name(&self) -> Option<&str> {
        self.redo.last().map(|entry| entry.name.as_ref())
    }

    /// Names of the steps that can be undone, oldest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.undo.iter().map(|entry| entry.name.as_ref())
    }

    /// Bytes of the tiles that entries keep alive, counted from above.
    pub fn bytes(&self) -> usize {
        self.undo.iter().chain(&self.redo).map(|entry| entry.bytes()).sum()
    }

    /// Names the present state: after undoing a step it is what it was before that step.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds a step, drops what could be redone, and forgets the oldest steps beyond the cap. The
    /// newest step always stays.
    pub(super) fn commit(&mut self, mut entry: Entry) {
        self.last_revision += 1;
        entry.revisions = (self.revision, self.last_revision);
        self.revision = self.last_revision;
        self.redo.clear();
        self.undo.push_back(Arc::new(entry));
        self.trim();
    }

    pub(super) fn cap_bytes(&self) -> usize {
        self.cap_bytes
    }

    pub(super) fn set_cap(&mut self, cap_bytes: usize) {
        self.cap_bytes = cap_bytes;
        self.trim();
    }

    fn trim(&mut self) {
        let mut bytes = self.bytes();
        while bytes > self.cap_bytes && self.undo.len() > 1 {
            bytes -= self.undo.pop_front().map_or(0, |entry| entry.bytes());
        }
    }

    pub(super) fn undo(&mut self, picture: &mut PictureTiles, mask: &mut MaskTiles) -> Effects {
        let Some(entry) = self.undo.pop_back() else { return Effects::NONE };
        let effects = entry.apply(picture, mask, Direction::Undo);
        self.revision = entry.revisions.0;
        self.redo.push(entry);
        effects
    }

    pub(super) fn redo(&mut self, picture: &mut PictureTiles, mask: &mut MaskTiles) -> Effects {
        let Some(entry) = self.redo.pop() else { return Effects::NONE };
        let effects = entry.apply(picture, mask, Direction::Redo);
        self.revision = entry.revisions.1;
        self.undo.push_back(entry);
        effects
    }
}
