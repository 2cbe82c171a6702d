//! A bounded queue in which a later value replaces an earlier one about the same thing.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// The latest value per subject, in the order in which the subjects came up.
#[derive(Debug)]
pub struct Latest<K, V> {
    order: VecDeque<K>,
    values: HashMap<K, V>,
    subjects_max: usize,
}

// === impl Latest ===

impl<K: Clone + Eq + Hash, V> Latest<K, V> {
    /// A queue of at most this many subjects.
    pub fn bounded(subjects_max: usize) -> Self {
        Self {
            order: VecDeque::new(),
            values: HashMap::new(),
            subjects_max,
        }
    }

    /// Adds a value, or replaces the one that waits; `false` where it was dropped because the queue is full.
    pub fn push(&mut self, subject: K, value: V) -> bool {
        if let Some(waiting) = self.values.get_mut(&subject) {
            *waiting = value;
            return true;
        }
        if self.order.len() >= self.subjects_max {
            return false;
        }
        self.order.push_back(subject.clone());
        self.values.insert(subject, value);
        true
    }

    /// Takes at most this many values.
    pub fn take(&mut self, values_max: usize) -> Vec<V> {
        let taken = self.order.drain(..values_max.min(self.order.len()));
        let values = taken
            .filter_map(|subject| self.values.remove(&subject))
            .collect();
        if self.order.is_empty() {
            // A burst's memory is given back.
            *self = Self::bounded(self.subjects_max);
        }
        values
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_queue_still_takes_newer_values() {
        let mut queue = Latest::bounded(2);
        assert!(queue.push("a", 1));
        assert!(queue.push("b", 2));
        assert!(!queue.push("c", 3));
        assert!(queue.push("a", 4));
        assert_eq!(queue.take(1), [4]);
        assert_eq!(queue.take(9), [2]);
        assert!(queue.is_empty());
    }

    proptest! {
        /// Unless the queue is full, the last value of every subject comes out last.
        #[test]
        fn the_last_value_arrives(pushes in prop::collection::vec((0_u8..5, any::<u16>(), any::<bool>()), 0..60)) {
            let mut queue = Latest::bounded(5);
            let (mut last, mut seen) = (HashMap::new(), HashMap::new());
            for (subject, value, take) in pushes {
                prop_assert!(queue.push(subject, (subject, value)));
                last.insert(subject, value);
                if take {
                    seen.extend(queue.take(2));
                }
            }
            seen.extend(queue.take(usize::MAX));
            prop_assert_eq!(seen, last);
        }
    }
}
