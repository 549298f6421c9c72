//! Appends states to a journal's file, and starts a new file when the old one holds too much that
//! nothing names any more.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    Folder, State,
    manifest::{StagedManifest, StateManifest, StepManifest},
    png_bytes,
    record::{self, Key, Kind, MAGIC},
};
use crate::{
    document::{
        MaskTiles, PictureTiles, TILE_SIDE, Tile,
        history::{Entry, GridChange},
    },
    geometry::Extent,
    pixels::{Mask, Picture},
};

/// Below this many bytes a file is never made anew.
const SMALL_FILE_BYTES: u64 = 64 << 20;

/// How many tiles are compressed before they are written.
const TILES_AT_ONCE: usize = 64;

/// Writes one document's journal.
pub struct Writer {
    folder: Folder,
    /// Absent before the first state, and after an error: the next state begins a new file.
    file: Option<JournalFile>,
    next_generation: u64,
    blobs: Blobs,
    small_file_bytes: u64,
}

/// A file that holds at least one state.
struct JournalFile {
    file: File,
    len: u64,
    /// Where each record's payload lies, and its length.
    records: HashMap<Key, (u64, u64)>,
    /// The length when it was begun.
    first_len: u64,
}

/// Pictures and masks of results. Their ids are given here; holding the handles keeps an address
/// from meaning another picture later.
#[derive(Default)]
struct Blobs {
    pictures: Vec<(Arc<Picture>, u64)>,
    masks: Vec<(Arc<Mask>, u64)>,
    next_id: u64,
}

impl Writer {
    /// Writes to `folder`, beside what may be there: that stays until the first state is whole.
    pub fn new(folder: Folder) -> Self {
        Self::with_small_file(folder, SMALL_FILE_BYTES)
    }

    /// The same with another size below which a file is never made anew.
    pub fn with_small_file(folder: Folder, small_file_bytes: u64) -> Self {
        let next_generation = folder.generations().first().map_or(1, |newest| newest + 1);
        Self { folder, file: None, next_generation, blobs: Blobs::default(), small_file_bytes }
    }

    /// Appends `state`. Once this returns, the state survives the program, and the machine if it
    /// keeps what it says is on its disk.
    ///
    /// # Errors
    /// When the disk refuses. What was written before stays; the next call begins a new file.
    pub fn write(&mut self, state: &State) -> io::Result<()> {
        let staged = self.blobs.name(state);
        let manifest = StateManifest::of(state, staged);
        let file = match self.file.take() {
            Some(mut file) => {
                file.append(state, &self.blobs, &manifest)?;
                file.file.sync_data()?;
                if file.len > self.small_file_bytes.max(2 * file.first_len) {
                    self.begin(Some(file), state, &manifest)?
                } else {
                    file
                }
            }
            None => self.begin(None, state, &manifest)?,
        };
        self.file = Some(file);
        Ok(())
    }

    /// Removes the journal: there is nothing left to lose.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        let Self { folder, file, .. } = self;
        drop(file);
        folder.remove()
    }

    /// A new file with `state` alone, which replaces what was there once it is whole.
    fn begin(
        &mut self,
        old: Option<JournalFile>,
        state: &State,
        manifest: &StateManifest,
    ) -> io::Result<JournalFile> {
        let generation = self.next_generation;
        self.next_generation += 1;
        let unfinished = self.folder.unfinished(generation);
        let mut new = JournalFile::create(&unfinished)?;
        if let Some(old) = old {
            new.copy_from(old, state, manifest)?;
        }
        new.append(state, &self.blobs, manifest)?;
        new.file.sync_all()?;
        new.first_len = new.len;
        fs::rename(&unfinished, self.folder.file(generation))?;
        self.folder.keep_only(generation);
        Ok(new)
    }
}

impl JournalFile {
    fn create(path: &std::path::Path) -> io::Result<Self> {
        let mut file =
            File::options().create(true).truncate(true).read(true).write(true).open(path)?;
        file.write_all(MAGIC)?;
        let len = MAGIC.len() as u64;
        Ok(Self { file, len, records: HashMap::new(), first_len: len })
    }

    /// Takes over the records that `manifest` needs, without decoding them.
    fn copy_from(
        &mut self,
        mut old: Self,
        state: &State,
        manifest: &StateManifest,
    ) -> io::Result<()> {
        let mut payload = Vec::new();
        for key in keys_of(state, manifest) {
            let Some(&(at, len)) = old.records.get(&key) else { continue };
            if self.records.contains_key(&key) {
                continue;
            }
            payload.resize(len as usize, 0);
            old.file.seek(SeekFrom::Start(at))?;
            old.file.read_exact(&mut payload)?;
            self.put(key, &payload)?;
        }
        Ok(())
    }

    /// Writes what is not there yet, then the state that names it.
    fn append(&mut self, state: &State, blobs: &Blobs, manifest: &StateManifest) -> io::Result<()> {
        let edit = state.mask_before_edit.as_ref();
        let (undo, redo) = state.history.entries();
        let new_steps: Vec<&Arc<Entry>> = undo
            .iter()
            .chain(redo)
            .filter(|entry| !self.records.contains_key(&(Kind::Step, entry.revisions.1)))
            .collect();
        let changes = |of: fn(&Entry) -> &GridChange| {
            new_steps.iter().flat_map(move |entry| tiles_of(of(entry)))
        };
        let picture: Vec<_> =
            state.picture.slots().iter().flatten().chain(changes(|e| &e.picture)).collect();
        let mask = state.mask.slots().iter().flatten().chain(changes(|e| &e.mask));
        let mask: Vec<_> = mask.chain(edit.into_iter().flat_map(|m| m.slots()).flatten()).collect();
        self.put_tiles(Kind::PictureTile, PictureTiles::TILE_BYTES, picture)?;
        self.put_tiles(Kind::MaskTile, MaskTiles::TILE_BYTES, mask)?;
        for entry in new_steps {
            let step = serde_json::to_vec(&StepManifest::of(entry))?;
            self.put((Kind::Step, entry.revisions.1), &step)?;
        }
        self.put_blobs(blobs)?;
        self.put((Kind::State, manifest.revision), &serde_json::to_vec(manifest)?)
    }

    /// Compresses the tiles that are not there yet, several at once.
    fn put_tiles(&mut self, kind: Kind, bytes: usize, tiles: Vec<&Arc<Tile>>) -> io::Result<()> {
        let mut new: Vec<&Arc<Tile>> = tiles
            .into_iter()
            .filter(|tile| !self.records.contains_key(&(kind, tile.version())))
            .collect();
        new.sort_unstable_by_key(|tile| tile.version());
        new.dedup_by_key(|tile| tile.version());
        let side = Extent::new(TILE_SIDE, TILE_SIDE);
        let channels = bytes / side.area();
        for some in new.chunks(TILES_AT_ONCE) {
            let files: Vec<_> = some
                .par_iter()
                .map(|tile| png_bytes::encode(side, channels, tile.bytes()))
                .collect();
            for (tile, file) in some.iter().zip(files) {
                self.put((kind, tile.version()), &file?)?;
            }
        }
        Ok(())
    }

    fn put_blobs(&mut self, blobs: &Blobs) -> io::Result<()> {
        for (picture, id) in &blobs.pictures {
            if !self.records.contains_key(&(Kind::Picture, *id)) {
                let file = png_bytes::encode(picture.extent(), Picture::CHANNELS, picture.bytes());
                self.put((Kind::Picture, *id), &file?)?;
            }
        }
        for (mask, id) in &blobs.masks {
            if !self.records.contains_key(&(Kind::Mask, *id)) {
                let file = png_bytes::encode(mask.extent(), Mask::CHANNELS, mask.bytes());
                self.put((Kind::Mask, *id), &file?)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, payload: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        let mut buffered = BufWriter::new(&self.file);
        let written = record::write(&mut buffered, key, payload)?;
        buffered.flush()?;
        let at = self.len + record::HEADER_BYTES as u64;
        self.records.insert(key, (at, payload.len() as u64));
        self.len += written;
        Ok(())
    }
}

/// The records that a state needs, itself not included.
fn keys_of(state: &State, manifest: &StateManifest) -> Vec<Key> {
    let (undo, redo) = state.history.entries();
    let steps = || undo.iter().chain(redo);
    let mut keys = Vec::new();
    let mut tiles = |kind, tiles: &mut dyn Iterator<Item = &Arc<Tile>>| {
        keys.extend(tiles.map(|tile| (kind, tile.version())));
    };
    tiles(Kind::PictureTile, &mut state.picture.slots().iter().flatten());
    tiles(Kind::PictureTile, &mut steps().flat_map(|entry| tiles_of(&entry.picture)));
    tiles(Kind::MaskTile, &mut state.mask.slots().iter().flatten());
    tiles(Kind::MaskTile, &mut steps().flat_map(|entry| tiles_of(&entry.mask)));
    keys.extend(steps().map(|entry| (Kind::Step, entry.revisions.1)));
    for patch in manifest.staged.iter().flat_map(|staged| &staged.patches) {
        keys.push((Kind::Picture, patch.layer));
        keys.extend(patch.composite_mask.map(|id| (Kind::Mask, id)));
    }
    keys
}

fn tiles_of(change: &GridChange) -> impl Iterator<Item = &Arc<Tile>> {
    change.0.iter().flat_map(|tile| [&tile.before, &tile.after]).flatten()
}

impl Blobs {
    /// Gives ids to the state's results and forgets those of others.
    fn name(&mut self, state: &State) -> Option<StagedManifest> {
        let Some(staged) = &state.staged else {
            (self.pictures, self.masks) = Default::default();
            return None;
        };
        let patches = staged.patches();
        self.pictures.retain(|(held, _)| patches.iter().any(|p| Arc::ptr_eq(held, &p.layer)));
        self.masks.retain(|(held, _)| {
            patches.iter().any(|p| p.composite_mask.as_ref().is_some_and(|m| Arc::ptr_eq(held, m)))
        });
        let ids = patches
            .iter()
            .map(|patch| {
                let layer = id_in(&mut self.pictures, &patch.layer, &mut self.next_id);
                let mask = patch.composite_mask.as_ref();
                (layer, mask.map(|mask| id_in(&mut self.masks, mask, &mut self.next_id)))
            })
            .collect();
        Some(StagedManifest::of(staged, ids))
    }
}

fn id_in<T>(held: &mut Vec<(Arc<T>, u64)>, value: &Arc<T>, next_id: &mut u64) -> u64 {
    if let Some((_, id)) = held.iter().find(|(known, _)| Arc::ptr_eq(known, value)) {
        return *id;
    }
    *next_id += 1;
    held.push((value.clone(), *next_id));
    *next_id
}
