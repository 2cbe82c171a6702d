//! What the numbering reads of a record, and what it says of it.

use thiserror::Error;

use crate::{
    event::Kind,
    ids::{Count, IdError, RoomKey, Seq},
    partition::partition_of,
};

/// How long before a record its first sending may lie, by append time: 24 hours in milliseconds.
pub const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// A place in the log, ordered across recreations of the topic: first the generation, then the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Raised by an operator when the topic is recreated or succeeded by a new version.
    pub generation: u32,
    /// Kafka's offset in the partition.
    pub offset: i64,
}

/// What was fixed about a partition when its topic was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The partition.
    pub partition: u32,
    /// How many the topic has.
    pub partition_count: u32,
    /// How many offsets before a record its first sending may lie (W).
    pub window_offsets: i64,
}

/// What the numbering reads of a record.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Where it is.
    pub position: Position,
    /// The record's key, which names the room or inbox.
    pub key: &'a [u8],
    /// Header `id`; empty when missing, and then the record is never a retry.
    pub id: &'a [u8],
    /// Header `sender`; empty when missing, and then the record is never a retry.
    pub sender: &'a [u8],
    /// Header `type`; `None` when missing or unknown, and then it does not count as a message.
    pub kind: Option<Kind>,
    /// The broker's append time.
    pub append_time_ms: i64,
}

/// What a record turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The room's next event.
    Accepted {
        /// Its rank in the room.
        seq: Seq,
        /// Messages of the room up to and including it.
        count: Count,
    },
    /// A retry: the same room, sender and id occurred lately.
    Duplicate {
        /// What the first sending got, where that is still known.
        first: Option<(Seq, Count)>,
    },
    /// It was numbered before: it lies before [`RoomLog::next`], or at or before its room's own loaded row.
    Past,
    /// The room's head is not loaded yet. Nothing changed: call [`RoomLog::load_head`], then apply it again.
    HeadUnknown,
    /// It does not belong here and gets no seq.
    Foreign(Foreign),
}

/// Why a record gets no seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Foreign {
    /// Its key names neither a room nor an inbox.
    #[error("the record's key names neither a room nor an inbox")]
    Key,
    /// Its key belongs to another partition, so it was not placed by the partitioner.
    #[error("the record's key belongs to another partition")]
    Partition,
    /// It is of a generation that has not been opened. Nothing changed.
    #[error("the record is of a generation that was not opened")]
    Generation,
}

// === impl Position ===

impl Position {
    /// Before every record of every generation.
    pub const ORIGIN: Self = Self {
        generation: 0,
        offset: -1,
    };

    /// The place just after this one in its generation.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            offset: self.offset.saturating_add(1),
            ..self
        }
    }

    pub(super) fn before(self) -> Self {
        Self {
            offset: self.offset.saturating_sub(1),
            ..self
        }
    }
}

// === impl Spec ===

impl Spec {
    /// The first offset whose keys an owner that starts at `position` must remember. What lies below the log's
    /// own start has been outlived by the 24 hours, because retention is longer.
    pub fn window_start_for(&self, position: Position) -> i64 {
        position
            .offset
            .saturating_sub(self.window_offsets.max(0))
            .max(0)
    }

    /// The log a key names, if this is its partition.
    pub(super) fn own(&self, key: &[u8]) -> Result<RoomKey, Foreign> {
        let text = std::str::from_utf8(key).map_err(|_| Foreign::Key)?;
        let room = RoomKey::parse(text).map_err(|_: IdError| Foreign::Key)?;
        self.holds(&room).then_some(room).ok_or(Foreign::Partition)
    }

    pub(super) fn holds(&self, room: &RoomKey) -> bool {
        partition_of(room.as_str().as_bytes(), self.partition_count) == self.partition
    }
}
