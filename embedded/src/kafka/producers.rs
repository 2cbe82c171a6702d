//! What a partition remembers of its idempotent producers, so that a batch sent again is not appended again.

use std::collections::{HashMap, VecDeque};

use super::batch::Header;

/// Batches remembered per producer: a client keeps at most this many unacknowledged, so it never sends an older one again.
const RECENT_BATCHES: usize = 5;

/// Producers remembered per partition. One more pushes out the one silent the longest, which is then as good as new.
const PRODUCERS_MAX: usize = 4096;

/// The producers of one partition.
#[derive(Debug, Default)]
pub(super) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Counts remembered batches; tells who has been silent the longest.
    clock: u64,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    /// The newest batches of this epoch, oldest first.
    recent: VecDeque<Appended>,
    last_used: u64,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    /// Sequence number of its first record.
    pub(super) first_sequence: i32,
    /// Sequence number of its last record.
    pub(super) last_sequence: i32,
    /// Offset of its first record.
    pub(super) base_offset: i64,
    /// Its greatest timestamp, which is the append time where the topic says so.
    pub(super) timestamp: i64,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is new and next in order.
    Append,
    /// It is there already: acknowledge it with its first place.
    Duplicate(Appended),
    /// One or more batches before it are missing.
    OutOfOrder,
    /// A newer incarnation of the producer has taken over.
    StaleEpoch,
}

// === impl Producers ===

impl Producers {
    /// Decides about a batch without changing anything.
    pub(super) fn admit(&self, header: &Header) -> Admission {
        let Some(producer) = self.by_id.get(&header.producer) else {
            // A producer whose batches are all gone or forgotten goes on where it likes.
            return Admission::Append;
        };
        if header.epoch < producer.epoch {
            return Admission::StaleEpoch;
        }
        if header.epoch > producer.epoch {
            let starts_over = header.sequence == 0;
            return if starts_over {
                Admission::Append
            } else {
                Admission::OutOfOrder
            };
        }
        let sequences = (header.sequence, header.last_sequence());
        let same = |batch: &&Appended| (batch.first_sequence, batch.last_sequence) == sequences;
        if let Some(batch) = producer.recent.iter().find(same) {
            return Admission::Duplicate(*batch);
        }
        match producer.recent.back() {
            Some(last) if header.sequence != last.last_sequence.wrapping_add(1) & i32::MAX => {
                Admission::OutOfOrder
            }
            _ => Admission::Append,
        }
    }

    /// Takes note of a batch that is in the log now.
    pub(super) fn remember(&mut self, header: &Header) {
        if header.producer < 0 {
            return;
        }
        self.clock += 1;
        if self.by_id.len() >= PRODUCERS_MAX && !self.by_id.contains_key(&header.producer) {
            self.forget_the_most_silent();
        }
        let producer = self.by_id.entry(header.producer).or_default();
        if producer.epoch != header.epoch {
            producer.recent.clear();
            producer.epoch = header.epoch;
        }
        producer.last_used = self.clock;
        if producer.recent.len() == RECENT_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Appended {
            first_sequence: header.sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        });
    }

    fn forget_the_most_silent(&mut self) {
        let silent = self
            .by_id
            .iter()
            .min_by_key(|(_, producer)| producer.last_used);
        if let Some(id) = silent.map(|(id, _)| *id) {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::batch::{self, sample::Sample};
    use super::*;

    fn header(epoch: i16, sequence: i32, count: usize, base_offset: i64) -> Header {
        let times = vec![0; count];
        let mut batch = Sample {
            producer: 9,
            epoch,
            sequence,
            times: &times,
        }
        .encode();
        batch::set_offset(&mut batch, base_offset);
        Header::read(&batch).unwrap()
    }

    #[test]
    fn the_last_five_batches_are_recognised() {
        let mut producers = Producers::default();
        for index in 0..7 {
            producers.remember(&header(0, index * 2, 2, i64::from(index) * 2));
        }
        for index in 2..7 {
            let Admission::Duplicate(batch) = producers.admit(&header(0, index * 2, 2, 0)) else {
                panic!("batch {index} not recognised");
            };
            assert_eq!(batch.base_offset, i64::from(index) * 2);
        }
        assert_eq!(producers.admit(&header(0, 2, 2, 0)), Admission::OutOfOrder);
    }

    #[test]
    fn a_gap_is_out_of_order_and_the_next_is_appended() {
        let mut producers = Producers::default();
        producers.remember(&header(0, 0, 3, 0));
        assert_eq!(producers.admit(&header(0, 4, 1, 0)), Admission::OutOfOrder);
        assert_eq!(producers.admit(&header(0, 3, 1, 0)), Admission::Append);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut producers = Producers::default();
        producers.remember(&header(1, 5, 1, 0));
        assert_eq!(producers.admit(&header(0, 6, 1, 0)), Admission::StaleEpoch);
        assert_eq!(producers.admit(&header(2, 6, 1, 0)), Admission::OutOfOrder);
        assert_eq!(producers.admit(&header(2, 0, 1, 0)), Admission::Append);
    }

    #[test]
    fn memory_for_producers_is_bounded() {
        let mut producers = Producers::default();
        let mut first = header(0, 0, 1, 0);
        for id in 0..PRODUCERS_MAX as i64 + 10 {
            first.producer = id;
            producers.remember(&first);
        }
        assert_eq!(producers.by_id.len(), PRODUCERS_MAX);
        assert!(!producers.by_id.contains_key(&0));
    }
}
