//! What is done for each of many one at a time, and once more where it was asked for meanwhile. So what is under way is
//! as much as there are keys, however often somebody asks.

use std::{collections::HashMap, hash::Hash};

/// What is under way, each with what was asked for since it began.
#[derive(Debug)]
pub(super) struct Turns<K, V>(HashMap<K, Option<V>>);

// === impl Turns ===

impl<K, V> Default for Turns<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash, V: Ord> Turns<K, V> {
    /// Whether to begin now; otherwise [`Self::end`] says that it is to be done once more, and asks for the most.
    pub(super) fn begin(&mut self, key: &K, wanted: V) -> bool {
        let Some(again) = self.0.get_mut(key) else {
            self.0.insert(key.clone(), None);
            return true;
        };
        *again = Some(match again.take() {
            Some(before) => before.max(wanted),
            None => wanted,
        });
        false
    }

    /// It is done; what was asked for meanwhile.
    pub(super) fn end(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_meanwhile_is_done_once_more() {
        let mut turns = Turns::default();
        assert!(turns.begin(&"a", 1));
        for wanted in [2, 7, 3] {
            assert!(!turns.begin(&"a", wanted), "one is under way");
        }
        assert!(turns.begin(&"b", 1), "others are no hindrance");
        assert_eq!(turns.end(&"a"), Some(7));
        assert!(turns.begin(&"a", 7));
        assert_eq!((turns.end(&"a"), turns.end(&"b")), (None, None));
        assert!(turns.0.is_empty());
    }
}
