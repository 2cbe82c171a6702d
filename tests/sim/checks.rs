//! The facts that hold after every step, by name.

use roomlog_core::{
    ids::{RoomKey, Seq},
    room_log::{Outcome, Position, RoomLog},
};

use crate::{
    log::{Log, Record, Totals, Truth},
    stores::{Dynamo, Redis},
};

/// What anyone says of a record is what one uninterrupted read says.
pub(crate) fn an_outcome_is_true(
    log: &Log,
    record: &Record,
    outcome: Outcome,
    numbering: &RoomLog,
) {
    let agrees = match (outcome, record.truth) {
        (Outcome::Accepted { seq, count }, truth) => truth == Truth::Accepted(seq, count),
        // What was numbered before and stored is not numbered again.
        (Outcome::Past, Truth::Accepted(seq, _)) => {
            let room = RoomKey::parse(&record.key).expect("it was accepted");
            numbering.head(&room).is_some_and(|head| head.seq >= seq)
        }
        (Outcome::Duplicate { .. }, truth) => truth == Truth::Duplicate,
        (Outcome::Foreign(_), truth) => truth == Truth::Foreign,
        _ => false,
    };
    assert!(agrees, "{record:?} was called {outcome:?}");
    let accepted = log.accepted_before(numbering.next());
    assert_eq!(numbering.accepted(), accepted, "after {record:?}");
}

fn totals(numbering: &RoomLog) -> Totals {
    numbering
        .heads()
        .map(|(room, head)| (room.clone(), (head.seq, head.count)))
        .collect()
}

/// An owner that knows every room knows each as it is.
pub(crate) fn a_complete_base_is_true(log: &Log, numbering: &RoomLog) {
    assert_eq!(totals(numbering), *log.totals_at(numbering.next()));
}

/// A snapshot that adds up is one of a moment that was.
pub(crate) fn a_trusted_snapshot_is_true(log: &Log, restored: &RoomLog) {
    assert!(restored.next() <= log.end());
    a_complete_base_is_true(log, restored);
}

/// While Redis keeps what it was given, the snapshot adds up, whoever writes it and whichever writes fail.
pub(crate) fn a_snapshot_that_redis_kept_is_trusted(log: &Log, redis: &Redis) {
    if let Some(snapshot) = redis.read() {
        let restored = RoomLog::restore(log.spec, snapshot).expect("all writes were made");
        a_trusted_snapshot_is_true(log, &restored);
    }
}

/// A client sees each event of its room once, in order, without a hole, and the right one.
pub(crate) fn each_event_is_seen_once_and_in_order(
    log: &Log,
    room: &RoomKey,
    seen: Seq,
    seq: Seq,
    place: Position,
) {
    assert_eq!(seq, seen.next(), "{room}");
    assert_eq!(log.place(room, seq), Some(place), "{room} {seq}");
}

/// An event row is written with the same content by whoever writes it.
pub(crate) fn a_stored_event_never_changes(
    dynamo: &Dynamo,
    room: &RoomKey,
    seq: Seq,
    place: Position,
) {
    if let Some(known) = dynamo.events.get(&(room.clone(), seq)) {
        assert_eq!(*known, place, "{room} {seq}");
    }
}

/// A row that says "stored up to here" is not ahead of what is stored, and tells the truth.
pub(crate) fn rows_are_never_ahead_of_the_stored_prefix(log: &Log, dynamo: &Dynamo) {
    for (room, row) in &dynamo.rooms {
        let totals = log.totals_at(row.position.after());
        assert_eq!(totals.get(room), Some(&(row.seq, row.count)), "{room}");
        for seq in 1..=row.seq.0 {
            let stored = dynamo.events.get(&(room.clone(), Seq(seq)));
            assert_eq!(stored.copied(), log.place(room, Seq(seq)), "{room} {seq}");
        }
    }
}

/// A room's row is not behind the partition's, which lets a reader start at the latter.
pub(crate) fn room_rows_are_never_behind_the_partition_row(log: &Log, dynamo: &Dynamo) {
    let Some(row) = dynamo.partition else {
        return;
    };
    assert_eq!(row.accepted, log.accepted_before(row.position));
    for (room, (seq, _)) in log.totals_at(row.position) {
        let stored = dynamo.rooms.get(room).map(|row| row.seq);
        assert!(stored >= Some(*seq), "{room} is at {stored:?}, not {seq}");
    }
}

/// With all faults healed, everything is stored.
pub(crate) fn everything_is_stored(log: &Log, dynamo: &Dynamo) {
    let rows = dynamo.rooms.iter();
    let stored: Totals = rows
        .map(|(room, row)| (room.clone(), (row.seq, row.count)))
        .collect();
    assert_eq!(stored, *log.totals_at(log.end()));
    assert_eq!(dynamo.events.len() as u64, log.accepted_before(log.end()));
}
