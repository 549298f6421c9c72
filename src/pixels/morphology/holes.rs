//! Filling what a mask encloses.

use crate::{
    geometry::{Bounds, Extent},
    pixels::Mask,
};

/// Every pixel gets the value that must be crossed to reach it from outside: the smallest, over all
/// ways, of the largest value on the way (the morphological reconstruction of a grey picture). A
/// hole in a full mask fills up; one in half grey fills to half grey. Ways go sideways, up and
/// down, so a diagonal line of pixels is a wall. What lies around the buffer is outside.
pub fn fill_holes(mask: &Mask) -> Mask {
    let Extent { width, height } = mask.extent();
    let padded = mask.crop(Bounds::new(-1, -1, width + 2, height + 2));
    let mut flood = Flood::new(&padded);
    flood.run();
    let filled = Mask::from_raw(padded.extent(), flood.levels).unwrap_or_default();
    filled.crop(Bounds::new(1, 1, width, height))
}

/// Pixels are reached in the order of their level, so each is settled once.
struct Flood<'a> {
    values: &'a [u8],
    width: usize,
    /// What must be crossed; 255 where nothing lower was found yet.
    levels: Vec<u8>,
    /// By level, the pixels to go on from.
    waiting: Vec<Vec<u32>>,
}

impl<'a> Flood<'a> {
    /// From the first row and column, the last row and column, which are 0.
    fn new(padded: &'a Mask) -> Self {
        let Extent { width, height } = padded.extent();
        let (width, height) = (width as usize, height as usize);
        let mut levels = vec![255; width * height];
        let mut rim = Vec::with_capacity(2 * (width + height));
        for i in (0..width).chain((height - 1) * width..height * width) {
            rim.push(i as u32);
        }
        for y in 1..height - 1 {
            rim.extend([(y * width) as u32, (y * width + width - 1) as u32]);
        }
        rim.iter().for_each(|&i| levels[i as usize] = 0);
        let mut waiting = vec![Vec::new(); 255];
        waiting[0] = rim;
        Self { values: padded.bytes(), width, levels, waiting }
    }

    fn run(&mut self) {
        for level in 0..255u8 {
            while let Some(at) = self.waiting[level as usize].pop() {
                let at = at as usize;
                if self.levels[at] != level {
                    continue;
                }
                let neighbours = [
                    at.checked_sub(1),
                    Some(at + 1),
                    at.checked_sub(self.width),
                    Some(at + self.width),
                ];
                for next in neighbours.into_iter().flatten() {
                    self.reach(next, level);
                }
            }
        }
    }

    /// The rim is settled from the start, so a step over its end finds nothing to do.
    fn reach(&mut self, at: usize, level: u8) {
        let Some(&value) = self.values.get(at) else { return };
        let crossed = value.max(level);
        if crossed < self.levels[at] {
            self.levels[at] = crossed;
            self.waiting[crossed as usize].push(at as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_fill_to_the_height_of_their_wall() {
        let rows = [
            "................",
            ".#####..44444...",
            ".#...#..4...4...",
            ".#.2.#..4.8.4...",
            ".#...#..4...4...",
            ".#####..44444...",
            "...............#",
            "####.......####.",
            "...#.......#....",
        ];
        let value = |c: u8| match c {
            b'#' => 255,
            b'.' => 0,
            digit => (digit - b'0') * 25,
        };
        let bytes = rows.iter().flat_map(|row| row.bytes().map(value)).collect();
        let mask = Mask::from_raw(Extent::new(16, 9), bytes).unwrap();
        let filled = fill_holes(&mask);
        assert!((2..5).all(|x| filled.pixel(x, 3) == [255]), "a full wall");
        assert_eq!(filled.pixel(9, 3), [100], "a grey wall");
        assert_eq!(filled.pixel(10, 3), [200], "what stands higher stays");
        assert_eq!(filled.pixel(0, 8), [0], "the picture's edge is no wall");
        assert_eq!(filled.pixel(13, 8), [0]);
        assert_eq!(fill_holes(&filled), filled);
        assert_eq!(fill_holes(&Mask::default()), Mask::default());
    }
}
