//! Damages seeds, for compilers without coverage: what a reader accepts joins the seeds.

/// A sequence of numbers that is the same for the same seed (xorshift64*).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below `end`; 0 where that is nothing.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// The inputs to damage.
pub struct Pool {
    inputs: Vec<Vec<u8>>,
    seeds: usize,
}

/// Accepted inputs that are kept beside the seeds.
const KEPT: usize = 2000;
/// No input grows beyond this.
const LONGEST: usize = 1 << 16;
/// Numbers at which readers go wrong, as text.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1e308",
    "-0.0",
    "NaN",
    "255",
    "65536",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e-320",
];
const WORDS: [&str; 10] =
    ["null", "true", "[]", "{}", "\"\"", ",", ":", "\"__metadata__\"", "\\u0000", "[[[[[["];

impl Pool {
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds: seeds.len(), inputs: seeds }
    }

    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// One of the inputs, damaged in one place or several.
    pub fn damaged(&self, numbers: &mut Numbers) -> Vec<u8> {
        let mut bytes = self.inputs[numbers.below(self.inputs.len())].clone();
        for _ in 0..=numbers.below(4) {
            self.damage(&mut bytes, numbers);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    /// Keeps an input that was accepted.
    pub fn keep(&mut self, bytes: Vec<u8>, numbers: &mut Numbers) {
        if self.inputs.len() < self.seeds + KEPT {
            self.inputs.push(bytes);
        } else {
            let place = self.seeds + numbers.below(KEPT);
            self.inputs[place] = bytes;
        }
    }

    fn damage(&self, bytes: &mut Vec<u8>, numbers: &mut Numbers) {
        let at = numbers.below(bytes.len() + 1);
        let longest = 1 << numbers.below(8);
        let to = (at + numbers.below(longest)).min(bytes.len());
        match numbers.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            2 => drop(bytes.drain(at..to)),
            3 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &self.inputs[numbers.below(self.inputs.len())];
                bytes.truncate(at);
                bytes.extend(&other[numbers.below(other.len() + 1)..]);
            }
            6 => replace_digits(bytes, at, NUMBERS[numbers.below(NUMBERS.len())]),
            7 => {
                let word = WORDS[numbers.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            // A length or an offset.
            _ if at + 8 <= bytes.len() => {
                let number = numbers.next() >> numbers.below(64);
                let place = if numbers.below(2) == 0 { 0 } else { at };
                bytes[place..place + 8].copy_from_slice(&number.to_le_bytes());
            }
            _ => bytes.push(numbers.next() as u8),
        }
    }
}

/// Puts another number in place of the first behind `at`.
fn replace_digits(bytes: &mut Vec<u8>, at: usize, number: &str) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else { return };
    let start = at + start;
    let rest = bytes[start..].iter().position(|byte| !byte.is_ascii_digit());
    let end = rest.map_or(bytes.len(), |length| start + length);
    bytes.splice(start..end, number.bytes());
}
