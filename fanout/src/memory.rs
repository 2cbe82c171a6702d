//! The recent events of active rooms, from which gateways are caught up.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::RangeInclusive,
};

use roomlog_core::ids::{RoomKey, Seq};
use roomlog_platform::link::EncodedEvent;

/// Events kept of one room: more than most absences miss. Beyond, its oldest go.
const ROOM_EVENTS_MAX: usize = 1_000;

/// Bytes kept by an instance that owns every partition; each owner may use its share. Beyond, the room that was silent
/// longest goes, as a whole.
const INSTANCE_BYTES_MAX: usize = 256 << 20;

/// What one event is counted as beside its record.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// Recent events by room. Each room's are dense: what does not follow the last one replaces all before it.
#[derive(Debug)]
pub(crate) struct Memory {
    rooms: HashMap<RoomKey, Recent>,
    /// Rooms by the time of their last event, longest silent first.
    by_use: BTreeMap<u64, RoomKey>,
    /// Counts events; the time `by_use` is ordered by.
    clock: u64,
    bytes: usize,
    bytes_max: usize,
    room_events_max: usize,
}

#[derive(Debug)]
struct Recent {
    /// Its place in `by_use`.
    used: u64,
    /// Dense, ascending.
    events: VecDeque<EncodedEvent>,
    bytes: usize,
}

// === impl Memory ===

impl Memory {
    /// The memory of one of so many owners.
    pub(crate) fn shared_by(partition_count: u32) -> Self {
        let share = INSTANCE_BYTES_MAX / partition_count.max(1) as usize;
        Self::bounded(share, ROOM_EVENTS_MAX)
    }

    fn bounded(bytes_max: usize, room_events_max: usize) -> Self {
        Self {
            rooms: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            bytes_max,
            room_events_max,
        }
    }

    /// Keeps a room's next event.
    pub(crate) fn push(&mut self, event: EncodedEvent) {
        self.clock += 1;
        let recent = self
            .rooms
            .entry(event.key.clone())
            .or_insert_with(Recent::new);
        self.by_use.remove(&recent.used);
        recent.used = self.clock;
        self.by_use.insert(self.clock, event.key.clone());
        self.bytes -= recent.bytes;
        recent.push(event, self.room_events_max);
        self.bytes += recent.bytes;
        while self.bytes > self.bytes_max {
            self.forget_longest_silent();
        }
    }

    fn forget_longest_silent(&mut self) {
        let room = self
            .by_use
            .pop_first()
            .and_then(|(_, key)| self.rooms.remove(&key));
        self.bytes -= room.map_or(self.bytes, |room| room.bytes);
    }

    /// The events of a range: dense and from exactly its start; fewer where `bytes_max` is reached or the last one is
    /// passed, none where the first one is not here.
    pub(crate) fn range(
        &self,
        key: &RoomKey,
        range: RangeInclusive<Seq>,
        bytes_max: usize,
    ) -> impl Iterator<Item = &EncodedEvent> {
        let recent = self.rooms.get(key);
        let first = recent.and_then(|recent| recent.events.front());
        let skip = first.and_then(|first| range.start().0.checked_sub(first.seq.0));
        let events = recent.zip(skip).map(|(recent, skip)| {
            let skip = usize::try_from(skip)
                .unwrap_or(usize::MAX)
                .min(recent.events.len());
            recent.events.range(skip..)
        });
        let mut bytes = 0_usize;
        events.into_iter().flatten().take_while(move |event| {
            bytes += event.record.len();
            event.seq <= *range.end() && bytes <= bytes_max
        })
    }
}

// === impl Recent ===

impl Recent {
    fn new() -> Self {
        Self {
            used: 0,
            events: VecDeque::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, event: EncodedEvent, events_max: usize) {
        if self
            .events
            .back()
            .is_some_and(|last| last.seq.next() != event.seq)
        {
            self.events.clear();
            self.bytes = 0;
        }
        self.bytes += cost(&event);
        self.events.push_back(event);
        while self.events.len() > events_max {
            self.bytes -= self.events.pop_front().map_or(0, |oldest| cost(&oldest));
        }
    }
}

fn cost(event: &EncodedEvent) -> usize {
    event.record.len() + EVENT_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use proptest::prelude::*;
    use roomlog_core::ids::Count;

    use super::*;

    fn key(room: u8) -> RoomKey {
        RoomKey::parse(&format!("room-{room}")).unwrap()
    }

    fn event(room: u8, seq: u64) -> EncodedEvent {
        EncodedEvent {
            key: key(room),
            seq: Seq(seq),
            count: Count(seq),
            record: Bytes::from_static(b"event"),
        }
    }

    fn seqs(memory: &Memory, room: u8, from: u64, to: u64) -> Vec<u64> {
        memory
            .range(&key(room), Seq(from)..=Seq(to), usize::MAX)
            .map(|event| event.seq.0)
            .collect()
    }

    #[test]
    fn a_range_starts_exactly_where_asked_or_is_empty() {
        let mut memory = Memory::bounded(1 << 20, 3);
        for seq in 1..=5 {
            memory.push(event(1, seq));
        }
        assert_eq!(seqs(&memory, 1, 3, 9), [3, 4, 5]);
        assert_eq!(seqs(&memory, 1, 4, 4), [4]);
        for (from, to) in [(2, 5), (6, 9), (5, 4)] {
            assert_eq!(seqs(&memory, 1, from, to), [0; 0], "{from}..={to}");
        }
        assert_eq!(seqs(&memory, 2, 1, 9), [0; 0]);
        assert_eq!(memory.range(&key(1), Seq(3)..=Seq(5), 11).count(), 2);
    }

    #[test]
    fn what_does_not_follow_replaces_what_was() {
        let mut memory = Memory::bounded(1 << 20, 10);
        memory.push(event(1, 1));
        memory.push(event(1, 5));
        assert_eq!(seqs(&memory, 1, 1, 9), [0; 0]);
        assert_eq!(seqs(&memory, 1, 5, 9), [5]);
    }

    #[test]
    fn the_room_that_was_silent_longest_goes_first() {
        let mut memory = Memory::bounded(3 * cost(&event(1, 1)), 10);
        for (room, seq) in [(1, 1), (2, 1), (1, 2), (3, 1)] {
            memory.push(event(room, seq));
        }
        assert_eq!(seqs(&memory, 2, 1, 9), [0; 0]);
        assert_eq!(seqs(&memory, 1, 1, 9), [1, 2]);
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds_and_dense(pushes in prop::collection::vec((0_u8..6, 1_u64..3), 1..300), keep in 1_usize..30) {
            let mut memory = Memory::bounded(keep * cost(&event(1, 1)), 5);
            let mut heads = [0_u64; 6];
            for (room, step) in pushes {
                let head = &mut heads[usize::from(room)];
                *head += step;
                memory.push(event(room, *head));
                prop_assert!(memory.bytes <= memory.bytes_max);
                prop_assert_eq!(memory.by_use.len(), memory.rooms.len());
                let counted: usize = memory.rooms.values().flat_map(|recent| &recent.events).map(cost).sum();
                prop_assert_eq!(counted, memory.bytes);
                for recent in memory.rooms.values() {
                    let first = recent.events.front().map_or(0, |first| first.seq.0);
                    prop_assert!(recent.events.len() <= 5);
                    prop_assert!(recent.events.iter().zip(first..).all(|(event, seq)| event.seq.0 == seq));
                }
            }
        }
    }
}
