//! The model: a log, its true numbering by the simplest code imaginable, and the stores around an owner.

use std::collections::BTreeMap;

use crate::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
    partition::partition_of,
    room_log::{Changes, Head, Outcome, Position, RecordRef, RoomLog, Snapshot, Spec, WINDOW_MS},
};

pub(super) const GENERATION: u32 = 3;
pub(super) const PARTITION_COUNT: u32 = 2;

/// A record as the tests' log holds it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) key: String,
    pub(super) sender: String,
    pub(super) id: String,
    pub(super) kind: Option<Kind>,
    pub(super) append_time_ms: i64,
}

/// What the model says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Accepted(Seq, Count),
    Duplicate,
    Foreign,
}

pub(super) type Totals = BTreeMap<String, (u64, u64)>;

/// A log, its true numbering, and the true heads before each record and after the last.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) spec: Spec,
    pub(super) records: Vec<Record>,
    pub(super) truth: Vec<Truth>,
    pub(super) totals: Vec<Totals>,
}

// === impl Record ===

impl Record {
    pub(super) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            position: at(self.offset),
            key: self.key.as_bytes(),
            id: self.id.as_bytes(),
            sender: self.sender.as_bytes(),
            kind: self.kind,
            append_time_ms: self.append_time_ms,
        }
    }

    pub(super) fn is_retry_of(&self, other: &Self, window_offsets: i64) -> bool {
        let same = (&self.key, &self.sender, &self.id) == (&other.key, &other.sender, &other.id);
        let named = !self.id.is_empty() && !self.sender.is_empty();
        let near = self.offset - other.offset <= window_offsets;
        same && named && near && self.append_time_ms - other.append_time_ms <= WINDOW_MS
    }
}

pub(super) fn at(offset: i64) -> Position {
    Position {
        generation: GENERATION,
        offset,
    }
}

pub(super) fn room(name: &str) -> RoomKey {
    RoomKey::parse(name).unwrap()
}

// === impl World ===

impl World {
    pub(super) fn new(spec: Spec, records: Vec<Record>) -> Self {
        let mut totals = vec![Totals::new()];
        let mut truth = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let mut heads = totals.last().unwrap().clone();
            let own = RoomKey::parse(&record.key).is_ok()
                && partition_of(record.key.as_bytes(), spec.partition_count) == spec.partition;
            let retry = records[..index]
                .iter()
                .any(|other| record.is_retry_of(other, spec.window_offsets));
            truth.push(if !own {
                Truth::Foreign
            } else if retry {
                Truth::Duplicate
            } else {
                let (seq, count) = heads.entry(record.key.clone()).or_default();
                *seq += 1;
                let message = matches!(record.kind, Some(Kind::Message | Kind::Notice));
                *count += u64::from(message || record.key.starts_with('@'));
                Truth::Accepted(Seq(*seq), Count(*count))
            });
            totals.push(heads);
        }
        Self {
            spec,
            records,
            truth,
            totals,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The position before the record at an index.
    pub(super) fn position(&self, index: usize) -> Position {
        at(match self.records.get(index) {
            Some(record) => record.offset,
            None => self.records.last().map_or(0, |last| last.offset + 1),
        })
    }

    pub(super) fn accepted(&self, index: usize) -> u64 {
        self.totals[index].values().map(|(seq, _)| seq).sum()
    }

    /// A room's stored row as of an index.
    pub(super) fn row(&self, name: &str, index: usize) -> Option<Head> {
        let last = self.truth[..index]
            .iter()
            .zip(&self.records)
            .rfind(|(truth, record)| record.key == name && matches!(truth, Truth::Accepted(..)));
        last.map(|(truth, record)| match truth {
            Truth::Accepted(seq, count) => Head {
                seq: *seq,
                count: *count,
                position: at(record.offset),
            },
            _ => unreachable!("filtered"),
        })
    }

    pub(super) fn snapshot(&self, index: usize) -> Snapshot {
        Snapshot {
            position: self.position(index),
            accepted: self.accepted(index),
            heads: self.totals[index]
                .iter()
                .map(|(name, (seq, count))| (room(name), Seq(*seq), Count(*count)))
                .collect(),
        }
    }

    /// Gives a fresh owner the window before its start.
    pub(super) fn read_back(&self, log: &mut RoomLog) {
        let start = log.next();
        let from = log.window_start_for(start);
        for record in &self.records {
            if record.offset >= from && record.offset < start.offset {
                log.remember(&record.as_ref());
            }
        }
    }

    /// An owner that starts from the very first record, after these have been applied.
    pub(super) fn read_from_the_start(&self, records: usize) -> RoomLog {
        let mut log = RoomLog::empty(self.spec, GENERATION);
        for record in &self.records[..records] {
            log.apply(&record.as_ref());
        }
        log
    }
}

/// Totals as a numbering has them.
pub(super) fn totals_of(log: &RoomLog) -> Totals {
    log.heads()
        .map(|(room, head)| (room.to_string(), (head.seq.0, head.count.0)))
        .collect()
}

// === invariants ===

/// What the numbering said of a record is true; a row that lies ahead may have told it before.
pub(super) fn says_the_truth(world: &World, index: usize, outcome: Outcome, stored_ahead: bool) {
    match (outcome, world.truth[index]) {
        (Outcome::Accepted { seq, count }, Truth::Accepted(true_seq, true_count)) => {
            assert_eq!((seq, count), (true_seq, true_count), "record {index}");
        }
        (Outcome::Duplicate { first }, Truth::Duplicate) => {
            if let Some(first) = first {
                let told = Truth::Accepted(first.0, first.1);
                let record = &world.records[index];
                let truly_first = (0..index).any(|other| {
                    let other_record = &world.records[other];
                    world.truth[other] == told
                        && (&other_record.key, &other_record.sender, &other_record.id)
                            == (&record.key, &record.sender, &record.id)
                });
                assert!(truly_first, "record {index} was told {first:?}");
            }
        }
        (Outcome::Foreign(_), Truth::Foreign) => {}
        (Outcome::Past, Truth::Accepted(..)) if stored_ahead => {}
        (outcome, truth) => panic!("record {index} is {truth:?}, but was called {outcome:?}"),
    }
}

/// A complete base knows every room as it truly is.
pub(super) fn heads_are_true(world: &World, index: usize, log: &RoomLog) {
    assert!(log.is_complete());
    assert_eq!(totals_of(log), world.totals[index]);
    assert_eq!(log.accepted(), world.accepted(index));
}

pub(super) fn window_is_bounded(world: &World, log: &RoomLog) {
    assert!(log.window.len() as i64 <= world.spec.window_offsets);
}

// === the stores around an owner ===

/// The snapshot as Redis keeps it: every value moves forward only, and one write is atomic. Of what a write could lose
/// all the same, the sum shows rooms, and not half of a room or one of the totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    pub(super) heads: BTreeMap<String, (u64, u64)>,
    pub(super) offset: i64,
    pub(super) accepted: u64,
}

impl Cache {
    pub(super) fn write(&mut self, changes: &Changes) {
        for (room, seq, count) in &changes.heads {
            let known = self.heads.entry(room.to_string()).or_default();
            *known = (known.0.max(seq.0), known.1.max(count.0));
        }
        self.offset = self.offset.max(changes.position.offset);
        self.accepted = self.accepted.max(changes.accepted);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let heads = self.heads.iter();
        Snapshot {
            position: at(self.offset),
            accepted: self.accepted,
            heads: heads
                .map(|(name, (seq, count))| (room(name), Seq(*seq), Count(*count)))
                .collect(),
        }
    }
}

/// What remains of a write when only these of its rooms arrive.
pub(super) fn part(changes: &Changes, written: &[bool]) -> Changes {
    let heads = changes.heads.iter().zip(written);
    Changes {
        heads: heads
            .filter(|(_, written)| **written)
            .map(|(head, _)| head.clone())
            .collect(),
        ..changes.clone()
    }
}

/// One owner and how far it has come.
pub(super) struct Owner {
    pub(super) log: RoomLog,
    pub(super) index: usize,
    /// The rows a partial base finds, each as of an index at or after the partition row's.
    pub(super) rows: Vec<usize>,
}

pub(super) const NAMES: [&str; 9] = [
    "a", "b", "c", "d", "e", "@ann", "@bob", "no room", "lobby-7",
];

impl Owner {
    pub(super) fn row(&self, world: &World, name: &str) -> Option<Head> {
        let slot = NAMES.iter().position(|other| *other == name).unwrap();
        world.row(name, self.rows[slot])
    }

    pub(super) fn apply_one(&mut self, world: &World) {
        let record = &world.records[self.index];
        let mut outcome = self.log.apply(&record.as_ref());
        if outcome == Outcome::HeadUnknown {
            assert!(!self.log.is_complete());
            assert_eq!(self.log.next(), world.next_after(self.index));
            let row = self.row(world, &record.key);
            self.log.load_head(room(&record.key), row);
            outcome = self.log.apply(&record.as_ref());
        }
        let ahead = || self.row(world, &record.key).map(|row| row.position);
        let stored_ahead = outcome == Outcome::Past && ahead() >= Some(at(record.offset));
        says_the_truth(world, self.index, outcome, stored_ahead);
        self.index += 1;
        assert_eq!(self.log.next(), at(record.offset + 1));
        assert_eq!(self.log.accepted(), world.accepted(self.index));
        window_is_bounded(world, &self.log);
        if self.log.is_complete() {
            heads_are_true(world, self.index, &self.log);
        }
    }

    /// Loads rows in the background, by an index that may have left rooms out.
    pub(super) fn load_rows(&mut self, world: &World, left_out: Option<usize>) {
        for (slot, name) in NAMES.iter().enumerate() {
            if Some(slot) != left_out && world.spec.own(name.as_bytes()).is_ok() {
                let row = self.row(world, name);
                if row.is_some() {
                    self.log.load_head(room(name), row);
                }
            }
        }
        if self.log.all_heads_loaded() {
            heads_are_true(world, self.index, &self.log);
        }
    }
}

impl World {
    /// Where an owner stands that has applied everything before an index.
    pub(super) fn next_after(&self, index: usize) -> Position {
        match index.checked_sub(1) {
            Some(last) => at(self.records[last].offset + 1),
            None => at(0),
        }
    }
}

pub(super) fn sorted(mut snapshot: Snapshot) -> Snapshot {
    snapshot.heads.sort();
    snapshot
}
