//! The keys of the last W offsets, which tell a retry from a new event.
//!
//! Memory is bounded by W whatever happens: an offset holds at most one occurrence, and occurrences leave with
//! their offsets.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

use super::{RecordRef, WINDOW_MS};
use crate::ids::{Count, Seq};

/// (room, sender, id) as the first half of a SHA-256, so that nobody can make two that are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RetryKey([u8; 16]);

/// The occurrences in the last W offsets.
#[derive(Debug)]
pub(super) struct Window {
    /// W.
    offsets_max: i64,
    /// In offset order.
    occurrences: VecDeque<Occurrence>,
    /// Serial of the occurrence in front. Serials count occurrences and wrap around; W is far below their range.
    front: u32,
    /// Serial of each key's latest occurrence.
    latest: HashMap<RetryKey, u32>,
}

#[derive(Debug)]
struct Occurrence {
    key: RetryKey,
    offset: i64,
    append_time_ms: i64,
    /// What the first sending got; seq 0 where that is not known.
    first: (Seq, Count),
    /// How many serials before this one the same key occurred with a *later* append time; 0 for never. An
    /// earlier occurrence with an earlier time is passed over: whenever it makes a retry, so does this one. So
    /// the chain has one link, but for logs whose append times went backwards.
    earlier_back: u32,
}

// === impl RetryKey ===

impl RetryKey {
    /// The key of a record, unless it lacks a header that makes one.
    pub(super) fn of(record: &RecordRef<'_>) -> Option<Self> {
        if record.id.is_empty() || record.sender.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for part in [record.key, record.sender, record.id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Some(Self(half))
    }
}

// === impl Window ===

impl Window {
    pub(super) fn new(offsets_max: i64) -> Self {
        Self {
            offsets_max: offsets_max.max(0),
            occurrences: VecDeque::new(),
            front: 0,
            latest: HashMap::new(),
        }
    }

    /// Whether the key occurred in the window at most 24 hours before, and then what its first sending got.
    pub(super) fn find(&self, key: &RetryKey, append_time_ms: i64) -> Option<Option<(Seq, Count)>> {
        let mut serial = *self.latest.get(key)?;
        while let Some(occurrence) = self.at(serial) {
            if append_time_ms.saturating_sub(occurrence.append_time_ms) <= WINDOW_MS {
                let first = occurrence.first;
                return Some((first.0 > Seq::ZERO).then_some(first));
            }
            if occurrence.earlier_back == 0 {
                break;
            }
            serial = serial.wrapping_sub(occurrence.earlier_back);
        }
        None
    }

    /// Remembers an occurrence. One that does not lie behind all others is known already and left out.
    pub(super) fn insert(
        &mut self,
        key: RetryKey,
        offset: i64,
        append_time_ms: i64,
        first: Option<(Seq, Count)>,
    ) {
        let repeated = self
            .occurrences
            .back()
            .is_some_and(|last| offset <= last.offset);
        if repeated || self.offsets_max == 0 {
            return;
        }
        self.forget_before(offset.saturating_add(1));
        let serial = self.front.wrapping_add(self.occurrences.len() as u32);
        let earlier_back = self.earlier_back(&key, serial, append_time_ms);
        self.occurrences.push_back(Occurrence {
            key,
            offset,
            append_time_ms,
            first: first.unwrap_or_default(),
            earlier_back,
        });
        self.latest.insert(key, serial);
    }

    /// How far back from `serial` the key occurred with a later append time than this.
    fn earlier_back(&self, key: &RetryKey, serial: u32, append_time_ms: i64) -> u32 {
        let Some(mut earlier) = self.latest.get(key).copied() else {
            return 0;
        };
        while let Some(occurrence) = self.at(earlier) {
            if occurrence.append_time_ms > append_time_ms {
                return serial.wrapping_sub(earlier);
            }
            if occurrence.earlier_back == 0 {
                break;
            }
            earlier = earlier.wrapping_sub(occurrence.earlier_back);
        }
        0
    }

    fn at(&self, serial: u32) -> Option<&Occurrence> {
        self.occurrences
            .get(serial.wrapping_sub(self.front) as usize)
    }

    /// Drops what no record at `offset` or later can be a retry of.
    pub(super) fn forget_before(&mut self, offset: i64) {
        let start = offset.saturating_sub(self.offsets_max);
        while let Some(oldest) = self.occurrences.front()
            && oldest.offset < start
        {
            if self.latest.get(&oldest.key) == Some(&self.front) {
                self.latest.remove(&oldest.key);
            }
            self.occurrences.pop_front();
            self.front = self.front.wrapping_add(1);
        }
    }

    /// Counts offsets from `origin` on, so that the window reaches over into a log that starts at 0 again.
    pub(super) fn rebase(&mut self, origin: i64) {
        for occurrence in &mut self.occurrences {
            occurrence.offset = occurrence.offset.saturating_sub(origin);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert!(self.latest.len() <= self.occurrences.len());
        self.occurrences.len()
    }
}
