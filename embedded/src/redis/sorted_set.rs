//! Members with scores, in the order of the scores.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound as Edge;

use bytes::Bytes;

use super::number::Bound;

/// A score that can be ordered, which is any but NaN; two zeros are the same.
#[derive(Clone, Copy, Debug)]
struct Score(f64);

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub(super) struct SortedSet {
    scores: HashMap<Bytes, f64>,
    order: BTreeSet<(Score, Bytes)>,
}

// === impl Score ===

impl PartialEq for Score {
    fn eq(&self, other: &Score) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Score) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Score) -> Ordering {
        // Adding zero turns a negative zero into a positive one.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

// === impl SortedSet ===

impl SortedSet {
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Gives a member its score, new or old.
    pub(super) fn set(&mut self, member: Bytes, score: f64) {
        if let Some(old) = self.scores.insert(member.clone(), score) {
            self.order.remove(&(Score(old), member.clone()));
        }
        self.order.insert((Score(score), member));
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.scores.remove_entry(member);
        removed.is_some_and(|(member, score)| self.order.remove(&(Score(score), member)))
    }

    /// All in order, smallest score first; members of equal score by their bytes.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Bytes, f64)> {
        self.order.iter().map(|(score, member)| (member, score.0))
    }

    /// Those within a range of scores, in order.
    pub(super) fn between(
        &self,
        min: Bound,
        max: Bound,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, f64)> {
        // An empty member is the smallest of its score, so that this includes all of it.
        let start = Edge::Included((Score(min.score), Bytes::new()));
        let range = self.order.range((start, Edge::Unbounded));
        let range = range.map(|(score, member)| (member, score.0));
        let taken = range.take_while(move |(_, score)| max.is_above(*score));
        let found: Vec<_> = taken
            .skip_while(move |(_, score)| !min.is_below(*score))
            .collect();
        found.into_iter()
    }

    /// How many come before a member.
    pub(super) fn rank(&self, member: &Bytes) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.order.range(..(Score(score), member.clone())).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(score: f64, is_exclusive: bool) -> Bound {
        Bound {
            score,
            is_exclusive,
        }
    }

    #[test]
    fn ranges_respect_their_ends() {
        let mut set = SortedSet::default();
        for (member, score) in [("a", 1.0), ("b", 2.0), ("c", 2.0), ("d", 3.0)] {
            set.set(member.into(), score);
        }
        let names = |min, max| {
            set.between(min, max)
                .map(|(member, _)| member.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(bound(2.0, false), bound(3.0, true)), ["b", "c"]);
        assert_eq!(names(bound(2.0, true), bound(f64::INFINITY, false)), ["d"]);
        assert!(names(bound(3.0, false), bound(1.0, false)).is_empty());
    }

    #[test]
    fn a_new_score_moves_the_member() {
        let mut set = SortedSet::default();
        set.set("a".into(), 5.0);
        set.set("b".into(), 1.0);
        set.set("a".into(), 0.0);
        assert_eq!(set.rank(&"a".into()), Some(0));
        assert!(set.remove(b"a"));
        assert_eq!(set.len(), 1);
    }
}
