//! Redis and DynamoDB, as far as the numbering meets them.

use std::collections::BTreeMap;

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    room_log::{Changes, Head, Position, Snapshot},
};

/// The numbering snapshot: one sorted set that only moves forward, one atomic command a write.
#[derive(Debug, Default)]
pub(crate) struct Redis {
    pub(crate) down: bool,
    set: Option<Set>,
    /// Earlier states, one of which a failover may bring back.
    past: Vec<Option<Set>>,
}

#[derive(Clone, Debug)]
struct Set {
    heads: BTreeMap<RoomKey, (Seq, Count)>,
    position: Position,
    accepted: u64,
}

/// The rows of the persister.
#[derive(Debug, Default)]
pub(crate) struct Dynamo {
    pub(crate) down: bool,
    /// Event rows: where the event is.
    pub(crate) events: BTreeMap<(RoomKey, Seq), Position>,
    pub(crate) rooms: BTreeMap<RoomKey, Head>,
    pub(crate) partition: Option<PartitionRow>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionRow {
    pub(crate) position: Position,
    pub(crate) accepted: u64,
}

// === impl Redis ===

impl Redis {
    pub(crate) fn write(&mut self, changes: &Changes) {
        self.past.push(self.set.clone());
        let set = self.set.get_or_insert_with(|| Set {
            heads: BTreeMap::new(),
            position: changes.position,
            accepted: 0,
        });
        for (room, seq, count) in &changes.heads {
            let known = set.heads.entry(room.clone()).or_default();
            *known = (known.0.max(*seq), known.1.max(*count));
        }
        set.position = set.position.max(changes.position);
        set.accepted = set.accepted.max(changes.accepted);
    }

    pub(crate) fn read(&self) -> Option<Snapshot> {
        self.set.as_ref().map(|set| Snapshot {
            position: set.position,
            accepted: set.accepted,
            heads: set
                .heads
                .iter()
                .map(|(room, (seq, count))| (room.clone(), *seq, *count))
                .collect(),
        })
    }

    pub(crate) fn wipe(&mut self) {
        self.past.push(self.set.take());
    }

    /// Comes back as it was so many writes ago.
    pub(crate) fn roll_back(&mut self, writes: usize) {
        let kept = self.past.len().saturating_sub(writes);
        if kept < self.past.len() {
            self.set = self.past[kept].clone();
            self.past.truncate(kept);
        }
    }
}

// === impl Dynamo ===

impl Dynamo {
    /// Moves a room's row, unless it is there or further already.
    pub(crate) fn advance_room(&mut self, room: RoomKey, head: Head) {
        let row = self.rooms.entry(room).or_insert(head);
        if row.position < head.position {
            *row = head;
        }
    }

    /// Moves the partition's row, unless it is there or further already.
    pub(crate) fn advance_partition(&mut self, row: PartitionRow) {
        if self
            .partition
            .is_none_or(|known| known.position < row.position)
        {
            self.partition = Some(row);
        }
    }
}
