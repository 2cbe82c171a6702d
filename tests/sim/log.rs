//! The partition's log, and the true numbering of it by the simplest code imaginable.

use std::collections::BTreeMap;

use roomlog_core::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
    partition::partition_of,
    room_log::{Position, RecordRef, Spec, WINDOW_MS},
};

pub(crate) const GENERATION: u32 = 1;

/// A window small enough for retries to fall out of it.
const WINDOW_OFFSETS: i64 = 24;

/// A record and what it truly is.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) key: String,
    pub(crate) sender: &'static str,
    pub(crate) id: String,
    pub(crate) kind: Option<Kind>,
    pub(crate) append_time_ms: i64,
    pub(crate) truth: Truth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Accepted(Seq, Count),
    Duplicate,
    Foreign,
}

/// Rooms and how far they have come.
pub(crate) type Totals = BTreeMap<RoomKey, (Seq, Count)>;

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) spec: Spec,
    pub(crate) records: Vec<Record>,
    /// Totals before each record, and after the last.
    totals: Vec<Totals>,
    /// Where each room's events are, by seq from 1.
    places: BTreeMap<RoomKey, Vec<Position>>,
    end: i64,
}

pub(crate) fn at(offset: i64) -> Position {
    Position {
        generation: GENERATION,
        offset,
    }
}

// === impl Record ===

impl Record {
    pub(crate) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            position: self.position,
            key: self.key.as_bytes(),
            id: self.id.as_bytes(),
            sender: self.sender.as_bytes(),
            kind: self.kind,
            append_time_ms: self.append_time_ms,
        }
    }

    fn is_retry_of(&self, other: &Self, window_offsets: i64) -> bool {
        (&self.key, self.sender, &self.id) == (&other.key, other.sender, &other.id)
            && self.position.offset - other.position.offset <= window_offsets
            && self.append_time_ms - other.append_time_ms <= WINDOW_MS
    }
}

// === impl Log ===

impl Log {
    /// An empty log of partition 0 of 2, so that half of all room names don't belong there.
    pub(crate) fn new() -> Self {
        Self {
            spec: Spec {
                partition: 0,
                partition_count: 2,
                window_offsets: WINDOW_OFFSETS,
            },
            records: Vec::new(),
            totals: vec![Totals::new()],
            places: BTreeMap::new(),
            end: 0,
        }
    }

    /// Whether a room belongs to the partition.
    pub(crate) fn holds(&self, key: &str) -> bool {
        partition_of(key.as_bytes(), self.spec.partition_count) == self.spec.partition
    }

    /// Leaves an offset out, as a transaction's mark does.
    pub(crate) fn skip(&mut self) {
        self.end += 1;
    }

    pub(crate) fn append(
        &mut self,
        key: &str,
        sender: &'static str,
        id: &str,
        kind: Option<Kind>,
        append_time_ms: i64,
    ) {
        let mut record = Record {
            position: at(self.end),
            key: key.to_owned(),
            sender,
            id: id.to_owned(),
            kind,
            append_time_ms,
            truth: Truth::Foreign,
        };
        let mut totals = self.totals.last().expect("one to begin with").clone();
        let room = RoomKey::parse(key).ok().filter(|_| self.holds(key));
        let retry = || {
            let window_offsets = self.spec.window_offsets;
            let mut earlier = self.records.iter();
            earlier.any(|other| record.is_retry_of(other, window_offsets))
        };
        record.truth = match room {
            None => Truth::Foreign,
            Some(_) if retry() => Truth::Duplicate,
            Some(room) => {
                let total = totals.entry(room.clone()).or_default();
                let counts = matches!(kind, Some(Kind::Message | Kind::Notice));
                total.0 = total.0.next();
                total.1 = Count(total.1.0 + u64::from(counts));
                let truth = Truth::Accepted(total.0, total.1);
                self.places.entry(room).or_default().push(record.position);
                truth
            }
        };
        self.end += 1;
        self.totals.push(totals);
        self.records.push(record);
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> Position {
        at(self.end)
    }

    /// How many records lie before a position.
    fn index(&self, position: Position) -> usize {
        self.records
            .partition_point(|record| record.position < position)
    }

    /// The records from an offset on.
    pub(crate) fn from(&self, position: Position) -> &[Record] {
        &self.records[self.index(position)..]
    }

    /// The true totals before a position.
    pub(crate) fn totals_at(&self, position: Position) -> &Totals {
        &self.totals[self.index(position)]
    }

    /// How many records before a position are accepted in truth.
    pub(crate) fn accepted_before(&self, position: Position) -> u64 {
        let totals = self.totals_at(position).values();
        totals.map(|(seq, _)| seq.0).sum()
    }

    /// Where a room's event truly is.
    pub(crate) fn place(&self, room: &RoomKey, seq: Seq) -> Option<Position> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.places.get(room)?.get(index).copied()
    }

    pub(crate) fn head(&self, room: &RoomKey) -> Seq {
        Seq(self.places.get(room).map_or(0, Vec::len) as u64)
    }
}
