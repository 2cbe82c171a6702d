//! Events on their way to the tails in Redis.

use roomlog_platform::link::EncodedEvent;

use crate::metrics;

/// Bytes that may wait for Redis in an instance that owns every partition; each owner may use its share: some seconds
/// of traffic. Beyond, all that waits is dropped, so that what is written once Redis answers again is the newest. The
/// holes are noticed by who reads the tails.
const INSTANCE_BYTES_MAX: usize = 64 << 20;

/// Events written in one round trip.
const WRITE_EVENTS_MAX: usize = 1_000;

/// What one event is counted as beside its record.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// What was not written yet. At most one write is under way at a time.
#[derive(Debug)]
pub(super) struct TailBacklog {
    events: Vec<EncodedEvent>,
    bytes: usize,
    bytes_max: usize,
    writing: bool,
}

// === impl TailBacklog ===

impl TailBacklog {
    /// The backlog of one of so many owners.
    pub(super) fn shared_by(partition_count: u32) -> Self {
        Self {
            events: vec![],
            bytes: 0,
            bytes_max: INSTANCE_BYTES_MAX / partition_count.max(1) as usize,
            writing: false,
        }
    }

    pub(super) fn push(&mut self, event: EncodedEvent) {
        self.bytes += event.record.len() + EVENT_OVERHEAD_BYTES;
        self.events.push(event);
        if self.bytes > self.bytes_max {
            metrics::tail_dropped(self.events.len());
            self.events.clear();
            self.bytes = 0;
        }
    }

    /// What to write now, if anything; [`Self::written`] must follow.
    pub(super) fn begin_write(&mut self) -> Option<Vec<EncodedEvent>> {
        if self.writing || self.events.is_empty() {
            return None;
        }
        self.writing = true;
        let rest = self
            .events
            .split_off(self.events.len().min(WRITE_EVENTS_MAX));
        let next = std::mem::replace(&mut self.events, rest);
        self.bytes -= next
            .iter()
            .map(|event| event.record.len() + EVENT_OVERHEAD_BYTES)
            .sum::<usize>();
        Some(next)
    }

    /// The write ended. What failed is not tried again: the store has it, and newer events matter more.
    pub(super) fn written(&mut self) {
        self.writing = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use roomlog_core::ids::{Count, RoomKey, Seq};

    use super::*;

    fn event(seq: u64, bytes: usize) -> EncodedEvent {
        let key = RoomKey::parse("room").unwrap();
        EncodedEvent {
            key,
            seq: Seq(seq),
            count: Count(seq),
            record: Bytes::from(vec![0; bytes]),
        }
    }

    #[test]
    fn one_write_at_a_time_takes_all_that_waits() {
        let mut backlog = TailBacklog::shared_by(8);
        assert_eq!(backlog.begin_write(), None);
        backlog.push(event(1, 10));
        backlog.push(event(2, 10));
        assert_eq!(backlog.begin_write().map(|events| events.len()), Some(2));
        backlog.push(event(3, 10));
        assert_eq!(backlog.begin_write(), None);
        backlog.written();
        assert_eq!(backlog.begin_write().unwrap()[0].seq, Seq(3));
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn keeps_the_newest_when_redis_is_slow() {
        let mut backlog = TailBacklog::shared_by(8);
        for seq in 1..=20 {
            backlog.push(event(seq, 1 << 20));
            assert!(backlog.bytes <= backlog.bytes_max);
        }
        let kept = backlog.begin_write().unwrap();
        assert!(kept.len() < 9);
        assert_eq!(kept.last().unwrap().seq, Seq(20));
    }
}
