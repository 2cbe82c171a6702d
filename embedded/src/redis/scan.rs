//! Cursors: going through a collection in several steps while it changes.
//!
//! The order is that of a hash of the elements, and the cursor is a hash: an element that is there all along is thus seen exactly once.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Collections up to this size are given whole, as Redis does with its compact encodings.
pub(super) const WHOLE_MAX: usize = 128;

/// Elements per step unless the client says otherwise.
pub(super) const COUNT_DEFAULT: usize = 10;

/// The next elements and the cursor after them, zero at the end.
pub(super) fn step<T: AsRef<[u8]>>(
    elements: impl Iterator<Item = T>,
    cursor: u64,
    count: usize,
) -> (u64, Vec<T>) {
    let hashed = elements.map(|element| (position(element.as_ref()), element));
    let mut left: Vec<(u64, T)> = hashed.filter(|(position, _)| *position >= cursor).collect();
    left.sort_unstable_by_key(|(position, _)| *position);
    let mut end = count.max(1).min(left.len());
    // Elements that share a position stay together, as the cursor can't tell them apart.
    while end < left.len() && left[end].0 == left[end - 1].0 {
        end += 1;
    }
    let next = left.get(end).map_or(0, |(position, _)| *position);
    left.truncate(end);
    (next, left.into_iter().map(|(_, element)| element).collect())
}

/// Never zero, which is the cursor's start and end, and small enough for a signed integer.
fn position(element: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    element.hash(&mut hasher);
    (hasher.finish() >> 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_element_is_seen_once_whatever_is_removed_meanwhile() {
        let mut elements: BTreeSet<String> = (0..500).map(|number| number.to_string()).collect();
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            let (next, some) = step(elements.iter().cloned(), cursor, 7);
            seen.extend(some);
            if next == 0 {
                break;
            }
            cursor = next;
            if let Some(first) = seen.first() {
                elements.remove(first);
            }
        }
        assert_eq!(seen.len(), 500);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 500);
    }
}
