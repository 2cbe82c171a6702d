//! A bounded queue in which a later value replaces an earlier one about the same thing, whichever of them comes first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// The value of the highest rank per subject, in the order in which the subjects came up.
#[derive(Debug)]
pub struct Latest<K, V> {
    order: VecDeque<K>,
    /// Each with its rank.
    values: HashMap<K, (u64, V)>,
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

    /// Adds a value, or replaces the one that waits unless that one ranks higher; `false` where it was dropped because
    /// the queue is full.
    pub fn push(&mut self, subject: K, rank: u64, value: V) -> bool {
        if let Some(waiting) = self.values.get_mut(&subject) {
            if waiting.0 <= rank {
                *waiting = (rank, value);
            }
            return true;
        }
        if self.order.len() >= self.subjects_max {
            return false;
        }
        self.order.push_back(subject.clone());
        self.values.insert(subject, (rank, value));
        true
    }

    /// Takes at most this many values.
    pub fn take(&mut self, values_max: usize) -> Vec<V> {
        let taken = self.order.drain(..values_max.min(self.order.len()));
        let values = taken
            .filter_map(|subject| self.values.remove(&subject))
            .map(|(_, value)| value)
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
        assert!(queue.push("a", 1, 1));
        assert!(queue.push("b", 1, 2));
        assert!(!queue.push("c", 1, 3));
        assert!(queue.push("a", 2, 4));
        assert_eq!(queue.take(1), [4]);
        assert_eq!(queue.take(9), [2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_value_that_is_late_replaces_nothing() {
        let mut queue = Latest::bounded(1);
        for (rank, value) in [(2, "second"), (1, "first"), (2, "second, said again")] {
            assert!(queue.push("a", rank, value));
        }
        assert_eq!(queue.take(9), ["second, said again"]);
    }

    proptest! {
        /// Unless the queue is full, the last value of every subject comes out last, where each outranks those before it.
        #[test]
        fn the_last_value_arrives(pushes in prop::collection::vec((0_u8..5, any::<u16>(), any::<bool>()), 0..60)) {
            let mut queue = Latest::bounded(5);
            let (mut last, mut seen) = (HashMap::new(), HashMap::new());
            for (rank, (subject, value, take)) in (0..).zip(pushes) {
                prop_assert!(queue.push(subject, rank, (subject, value)));
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
