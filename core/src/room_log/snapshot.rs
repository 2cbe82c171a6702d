//! How far rooms have come, and the snapshots an owner leaves for the next one.

use thiserror::Error;

use super::{Position, RecordRef};
use crate::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
};

/// How far a room has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Rank of its last event.
    pub seq: Seq,
    /// Messages up to and including it.
    pub count: Count,
    /// Where that event is. After [`RoomLog::restore`] it is only known to lie before the snapshot, and stands
    /// just before it.
    pub position: Position,
}

/// Every room of a partition as of one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The next record to apply.
    pub position: Position,
    /// How many records were accepted before it.
    pub accepted: u64,
    /// Every room with at least one event.
    pub heads: Vec<(RoomKey, Seq, Count)>,
}

/// What must be written onto the last acknowledged snapshot to make it one of `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "changes that are not written must be given back"]
pub struct Changes {
    /// The next record to apply.
    pub position: Position,
    /// How many records were accepted before it.
    pub accepted: u64,
    /// The rooms that changed.
    pub heads: Vec<(RoomKey, Seq, Count)>,
}

/// Why a snapshot must be discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// A write was lost, rolled back or only partly made.
    #[error("the heads add up to {sum}, but {accepted} records were accepted")]
    Sum {
        /// Sum of all heads.
        sum: u64,
        /// What it should be.
        accepted: u64,
    },
    /// A room occurs twice, has more messages than events, or belongs to another partition.
    #[error("a head of the snapshot can't be one of this partition")]
    Head,
}

// === impl Head ===

impl Head {
    /// A room without events.
    pub(super) const NONE: Self = Self {
        seq: Seq::ZERO,
        count: Count::ZERO,
        position: Position::ORIGIN,
    };

    pub(super) fn advanced(self, room: &RoomKey, record: &RecordRef<'_>) -> Self {
        let counts = room.is_inbox() || record.kind.is_some_and(Kind::counts);
        Self {
            seq: self.seq.next(),
            count: Count(self.count.0 + u64::from(counts)),
            position: record.position,
        }
    }
}
