//! Many seeds from one: O'Neill's `seed_seq_fe` (2015, "Developing a seed_seq alternative") as
//! `numpy.random.SeedSequence` computes it, with keys that set its children apart.

/// Words that the entropy is spread over.
const POOL: usize = 24;
const IN: (u32, u32) = (0x43b0_d7e5, 0x931e_8875);
const OUT: (u32, u32) = (0x8b51_f9dd, 0x58f3_8ded);
const MIX: (u32, u32) = (0xca01_f9dd, 0x4973_f715);

/// A multiplicative hash whose constant changes with every word.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn new((constant, multiplier): (u32, u32)) -> Self {
        Self { constant, multiplier }
    }

    fn next(&mut self, word: u32) -> u32 {
        let mixed = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        folded(mixed.wrapping_mul(self.constant))
    }
}

fn folded(word: u32) -> u32 {
    word ^ (word >> 16)
}

fn mixed(a: u32, b: u32) -> u32 {
    folded(MIX.0.wrapping_mul(a).wrapping_sub(MIX.1.wrapping_mul(b)))
}

/// `numpy.random.SeedSequence(entropy, spawn_key=keys, pool_size=24).generate_state(1)`.
pub fn seed(entropy: u64, keys: &[u64]) -> u32 {
    let mut words = words(entropy);
    if !keys.is_empty() {
        // Keys come after the pool, so that they cannot be taken for entropy.
        words.resize(POOL, 0);
        words.extend(keys.iter().flat_map(|&key| self::words(key)));
    }
    let mut hash = Hash::new(IN);
    let mut pool: [u32; POOL] =
        std::array::from_fn(|i| hash.next(words.get(i).copied().unwrap_or(0)));
    for from in 0..POOL {
        for to in (0..POOL).filter(|to| *to != from) {
            pool[to] = mixed(pool[to], hash.next(pool[from]));
        }
    }
    for &word in words.iter().skip(POOL) {
        for entry in &mut pool {
            *entry = mixed(*entry, hash.next(word));
        }
    }
    Hash::new(OUT).next(pool[0])
}

/// From the lowest up, without leading zeros; 0 is one word.
fn words(number: u64) -> Vec<u32> {
    let (low, high) = (number as u32, (number >> 32) as u32);
    if high == 0 { vec![low] } else { vec![low, high] }
}

#[cfg(test)]
mod tests {
    use super::seed;

    type Seed = (u64, &'static [u64], u32);

    const SEEDS: [Seed; 5] = [
        (0, &[], 4025752534),
        (7, &[0, 0], 261727054),
        (123456789, &[5, 3], 1550351584),
        (1099511627781, &[0, 1], 653418702),
        (4611686018427387915, &[8589934593, 34], 2308374514),
    ];

    /// numpy 2.4.
    #[test]
    fn seeds_are_numpys() {
        for (entropy, keys, expected) in SEEDS {
            assert_eq!(seed(entropy, keys), expected, "{entropy} {keys:?}");
        }
    }
}
