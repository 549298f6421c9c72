//! Results of costly calls, kept for the next time: the few used last.

use std::collections::VecDeque;

/// Keeps the values of the last `capacity` keys.
pub struct Memo<K, V> {
    entries: VecDeque<(K, V)>,
    capacity: usize,
}

impl<K: PartialEq, V: Clone> Memo<K, V> {
    pub fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), capacity }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The value of `key`, made only if it is not kept. A value that failed is not kept.
    pub fn get_or_try<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let entry = match self.entries.iter().position(|(known, _)| *known == key) {
            Some(at) => self.entries.remove(at),
            None => None,
        };
        let (key, value) = match entry {
            Some(entry) => entry,
            None => (key, make()?),
        };
        self.entries.push_front((key, value.clone()));
        self.entries.truncate(self.capacity);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_the_oldest_goes() {
        let mut memo = Memo::new(2);
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let value: Result<i32, ()> = memo.get_or_try(key, || {
                made.push(key);
                Ok(key * 10)
            });
            assert_eq!(value, Ok(key * 10));
        }
        assert_eq!(made, [1, 2, 3, 2], "1 stayed because it was used; 2 had to be made again");
    }

    #[test]
    fn a_failure_is_tried_again() {
        let mut memo: Memo<i32, i32> = Memo::new(2);
        assert_eq!(memo.get_or_try(1, || Err("no")), Err("no"));
        assert_eq!(memo.get_or_try(1, || Ok::<_, &str>(5)), Ok(5));
    }
}
