//! Which tile lies in which slot of an atlas. Pure bookkeeping: no graphics card.

use std::collections::HashMap;

use super::pyramid::TileKey;

/// What [`Slots::place`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The slot holds the tile as it is.
    Current(u32),
    /// The slot is the tile's from now on, but its pixels are yet to be written.
    ToUpload(u32),
}

impl Placed {
    pub fn slot(self) -> u32 {
        match self {
            Self::Current(slot) | Self::ToUpload(slot) => slot,
        }
    }
}

struct Slot {
    index: u32,
    stamp: u64,
    last_used: u64,
}

/// Tiles and their slots; the tile unseen for longest gives way when there is no room.
#[derive(Default)]
pub struct Slots {
    of_tile: HashMap<TileKey, Slot>,
    free: Vec<u32>,
    capacity: u32,
    frame: u64,
}

impl Slots {
    /// Number of slots.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Adds slots up to this number.
    pub fn grow(&mut self, capacity: u32) {
        // Reversed: `pop` then hands out the lowest first.
        self.free.splice(0..0, (self.capacity..capacity).rev());
        self.capacity = self.capacity.max(capacity);
    }

    /// Every tile placed before may from now on give way.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
    }

    /// Finds or makes a place for a tile. `None` if all slots hold tiles of this frame.
    pub fn place(&mut self, key: TileKey, stamp: u64) -> Option<Placed> {
        if let Some(slot) = self.of_tile.get_mut(&key) {
            slot.last_used = self.frame;
            let current = std::mem::replace(&mut slot.stamp, stamp) == stamp;
            return Some(if current {
                Placed::Current(slot.index)
            } else {
                Placed::ToUpload(slot.index)
            });
        }
        let index = self.free.pop().or_else(|| self.evict())?;
        self.of_tile.insert(key, Slot { index, stamp, last_used: self.frame });
        Some(Placed::ToUpload(index))
    }

    /// Frees the slot of a tile that vanished.
    pub fn release(&mut self, key: TileKey) {
        if let Some(slot) = self.of_tile.remove(&key) {
            self.free.push(slot.index);
        }
    }

    fn evict(&mut self) -> Option<u32> {
        let (&key, _) = self
            .of_tile
            .iter()
            .filter(|(_, slot)| slot.last_used != self.frame)
            .min_by_key(|(_, slot)| (slot.last_used, slot.index))?;
        self.of_tile.remove(&key).map(|slot| slot.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(column: u32) -> TileKey {
        TileKey { level: 0, column, row: 0 }
    }

    fn slots(capacity: u32) -> Slots {
        let mut slots = Slots::default();
        slots.grow(capacity);
        slots.begin_frame();
        slots
    }

    #[test]
    fn a_tile_is_uploaded_once_for_each_stamp() {
        let mut slots = slots(2);
        assert_eq!(slots.place(key(7), 1), Some(Placed::ToUpload(0)));
        assert_eq!(slots.place(key(7), 1), Some(Placed::Current(0)));
        assert_eq!(slots.place(key(7), 2), Some(Placed::ToUpload(0)));
    }

    #[test]
    fn the_tile_unseen_for_longest_gives_way() {
        let mut slots = slots(2);
        slots.place(key(0), 1);
        slots.begin_frame();
        slots.place(key(1), 1);
        slots.begin_frame();
        assert_eq!(slots.place(key(2), 1), Some(Placed::ToUpload(0)));
        assert_eq!(slots.place(key(1), 1), Some(Placed::Current(1)));
        assert_eq!(slots.place(key(3), 1), None, "both slots are in use in this frame");
    }

    #[test]
    fn vanished_tiles_free_their_slots() {
        let mut slots = slots(1);
        slots.place(key(0), 1);
        slots.release(key(0));
        assert!(slots.of_tile.is_empty());
        assert_eq!(slots.place(key(1), 1), Some(Placed::ToUpload(0)));
    }

    #[test]
    fn growing_keeps_what_is_placed() {
        let mut slots = slots(1);
        slots.place(key(0), 1);
        slots.grow(3);
        assert_eq!(slots.place(key(0), 1), Some(Placed::Current(0)));
        assert_eq!(slots.place(key(1), 1), Some(Placed::ToUpload(1)));
        assert_eq!(slots.place(key(2), 1), Some(Placed::ToUpload(2)));
    }
}
