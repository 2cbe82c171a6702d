//! A fanout's owner of the partition: finds a base, numbers, speaks to receivers, writes its snapshot behind.

use std::collections::{BTreeMap, VecDeque};

use roomlog_core::{
    ids::{RoomKey, Seq},
    room_log::{Changes, Outcome, Position, RoomLog},
};

use crate::{
    checks,
    log::{Log, at},
    random::Random,
    stores::{Dynamo, Redis},
    tally::Tally,
};

/// Events of one room an owner keeps; the oldest leave.
const MEMORY_MAX: usize = 6;

/// What an owner says to receivers.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Event {
        room: RoomKey,
        seq: Seq,
        place: Position,
    },
    Head {
        room: RoomKey,
        seq: Seq,
    },
}

/// One process, from its start to its end.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// None until a base is found.
    pub(crate) log: Option<RoomLog>,
    /// Recent events by room, without holes.
    memory: BTreeMap<RoomKey, VecDeque<(Seq, Position)>>,
    /// A snapshot write without an answer yet.
    writing: Option<Changes>,
}

impl Said {
    pub(crate) fn room(&self) -> &RoomKey {
        match self {
            Self::Event { room, .. } | Self::Head { room, .. } => room,
        }
    }
}

impl Owner {
    /// Looks for a base: a trusted snapshot, otherwise the persister's rows, otherwise it waits.
    pub(crate) fn start(&mut self, log: &Log, redis: &Redis, dynamo: &Dynamo, tally: &mut Tally) {
        if self.log.is_some() {
            return;
        }
        let snapshot = redis.read().filter(|_| !redis.down);
        let trusted = snapshot.map(|snapshot| RoomLog::restore(log.spec, snapshot));
        let mut base = match trusted {
            Some(Ok(base)) => {
                tally.trusted += 1;
                checks::a_trusted_snapshot_is_true(log, &base);
                base
            }
            Some(Err(_)) | None if !dynamo.down => {
                tally.untrusted += u64::from(matches!(trusted, Some(Err(_))));
                tally.partial += 1;
                let row = dynamo.partition;
                let (position, accepted) =
                    row.map_or((at(0), 0), |row| (row.position, row.accepted));
                RoomLog::partial(log.spec, position, accepted)
            }
            _ => return,
        };
        read_back(log, &mut base);
        self.log = Some(base);
    }

    /// Applies the next records; stops where it needs a row that can't be read now.
    pub(crate) fn poll(
        &mut self,
        log: &Log,
        dynamo: &Dynamo,
        records_max: usize,
        tally: &mut Tally,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        let Some(numbering) = &mut self.log else {
            return said;
        };
        for record in log.from(numbering.next()).iter().take(records_max) {
            let Some(outcome) = apply(numbering, &record.as_ref(), dynamo) else {
                tally.waits += 1;
                break;
            };
            checks::an_outcome_is_true(log, record, outcome, numbering);
            let room = RoomKey::parse(&record.key).ok();
            match (outcome, room) {
                (Outcome::Accepted { seq, .. }, Some(room)) => {
                    let place = record.position;
                    remember(&mut self.memory, &room, seq, place);
                    said.push(Said::Event { room, seq, place });
                }
                (Outcome::Past, Some(room)) => {
                    tally.past += 1;
                    said.extend(head_of(numbering, &room));
                }
                (Outcome::Duplicate { .. }, _) => tally.duplicates += 1,
                _ => {}
            }
        }
        said
    }

    /// Reads rooms' rows in the background; the index that lists them may not show all.
    pub(crate) fn load_rows(&mut self, log: &Log, dynamo: &Dynamo, random: &mut Random) {
        let Some(numbering) = self.log.as_mut().filter(|_| !dynamo.down) else {
            return;
        };
        for (room, row) in &dynamo.rooms {
            if !random.percent(10) {
                numbering.load_head(room.clone(), Some(*row));
            }
        }
        if numbering.all_heads_loaded() {
            checks::a_complete_base_is_true(log, numbering);
        }
    }

    /// Begins to write what changed.
    pub(crate) fn begin_write(&mut self) {
        if self.writing.is_none() {
            self.writing = self.log.as_mut().and_then(RoomLog::take_changes);
        }
    }

    /// The write reaches Redis, or not, and is acknowledged, or not.
    pub(crate) fn end_write(&mut self, redis: &mut Redis, arrives: bool, acknowledged: bool) {
        let Some(changes) = self.writing.take() else {
            return;
        };
        if arrives && !redis.down {
            redis.write(&changes);
        }
        if let Some(numbering) = self.log.as_mut().filter(|_| !acknowledged || redis.down) {
            numbering.return_changes(changes);
        }
    }

    /// Looks whether the written snapshot adds up, and writes all of it anew if not.
    pub(crate) fn check_snapshot(&mut self, log: &Log, redis: &Redis) {
        let adds_up = redis
            .read()
            .is_some_and(|snapshot| RoomLog::restore(log.spec, snapshot).is_ok());
        if let Some(numbering) = self.log.as_mut().filter(|_| !adds_up && !redis.down) {
            numbering.rewrite_snapshot();
        }
    }

    /// States the head of each room it knows.
    pub(crate) fn heads(&self) -> Vec<Said> {
        let Some(numbering) = &self.log else {
            return Vec::new();
        };
        let rooms = numbering.heads().map(|(room, _)| room.clone());
        let mut rooms: Vec<_> = rooms.collect();
        // The table's own order differs from run to run.
        rooms.sort();
        let heads = rooms.iter().filter_map(|room| head_of(numbering, room));
        heads.collect()
    }

    /// Recent events of a room from a seq on, as far as they are in memory.
    pub(crate) fn recent(&self, room: &RoomKey, from: Seq) -> Vec<(Seq, Position)> {
        let events = self.memory.get(room).into_iter().flatten();
        events.filter(|(seq, _)| *seq >= from).copied().collect()
    }

    pub(crate) fn memory_is_bounded(&self) {
        assert!(
            self.memory
                .values()
                .all(|events| events.len() <= MEMORY_MAX)
        );
    }
}

fn head_of(numbering: &RoomLog, room: &RoomKey) -> Option<Said> {
    let seq = numbering.head(room)?.seq;
    let room = room.clone();
    Some(Said::Head { room, seq })
}

fn remember(
    memory: &mut BTreeMap<RoomKey, VecDeque<(Seq, Position)>>,
    room: &RoomKey,
    seq: Seq,
    place: Position,
) {
    let events = memory.entry(room.clone()).or_default();
    if events.back().is_some_and(|(last, _)| last.next() != seq) {
        events.clear();
    }
    events.push_back((seq, place));
    if events.len() > MEMORY_MAX {
        events.pop_front();
    }
}

/// Gives a fresh numbering the window before its start.
pub(crate) fn read_back(log: &Log, numbering: &mut RoomLog) {
    let start = numbering.next();
    let from = at(numbering.window_start_for(start));
    let before = log.from(from).iter();
    for record in before.take_while(|record| record.position < start) {
        numbering.remember(&record.as_ref());
    }
}

/// Applies a record, with its room's row read where that is needed; `None` while it can't be read.
pub(crate) fn apply(
    numbering: &mut RoomLog,
    record: &roomlog_core::room_log::RecordRef<'_>,
    dynamo: &Dynamo,
) -> Option<Outcome> {
    let outcome = numbering.apply(record);
    if outcome != Outcome::HeadUnknown {
        return Some(outcome);
    }
    if dynamo.down {
        return None;
    }
    let key = std::str::from_utf8(record.key).expect("a known room's key");
    let room = RoomKey::parse(key).expect("a known room's key");
    let row = dynamo.rooms.get(&room).copied();
    numbering.load_head(room, row);
    Some(numbering.apply(record))
}
