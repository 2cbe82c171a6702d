//! The facts that hold after every step, by name. What fails says its name first.

use roomlog_core::{
    event::Kind,
    ids::{RoomKey, Seq},
    room_log::{Outcome, Position, RoomLog},
    unread::{ReadPosition, readers_by},
};

use crate::{
    client::Client,
    log::{Draft, Log, Record, Totals, Truth},
    owner::Told,
    stores::{Dynamo, Reads, Redis},
};

/// One total order for everyone: what anyone says of a record is what one uninterrupted read says, retries included.
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
            let room = RoomKey::parse(&record.draft.key).expect("it was accepted");
            numbering.head(&room).is_some_and(|head| head.seq >= seq)
        }
        (Outcome::Duplicate { .. }, truth) => truth == Truth::Duplicate,
        (Outcome::Foreign(_), truth) => truth == Truth::Foreign,
        _ => false,
    };
    assert!(
        agrees,
        "one_order_for_all: {record:?} was called {outcome:?}"
    );
    let accepted = log.accepted_before(numbering.next());
    assert_eq!(
        numbering.accepted(),
        accepted,
        "one_order_for_all: after {record:?}"
    );
}

fn totals(numbering: &RoomLog) -> Totals {
    numbering
        .heads()
        .map(|(room, head)| (room.clone(), (head.seq, head.count)))
        .collect()
}

/// An owner that knows every room knows each as it is.
pub(crate) fn a_complete_base_is_true(log: &Log, numbering: &RoomLog) {
    let truth = log.totals_at(numbering.next());
    assert_eq!(totals(numbering), *truth, "a_complete_base_is_true");
}

/// A snapshot that adds up is one of a moment that was.
pub(crate) fn a_trusted_snapshot_is_true(log: &Log, restored: &RoomLog) {
    let truth = log.totals_at(restored.next());
    assert_eq!(totals(restored), *truth, "a_trusted_snapshot_is_true");
}

/// While Redis keeps what it was given, the snapshot adds up, whoever writes it and whichever writes fail.
pub(crate) fn a_snapshot_that_redis_kept_is_trusted(log: &Log, redis: &Redis) {
    if let Some(snapshot) = redis.snapshot() {
        let restored = RoomLog::restore(log.spec, snapshot).expect("all writes were made");
        a_trusted_snapshot_is_true(log, &restored);
    }
}

/// A client sees each event of its room once, in order, without a hole, and the one that truly has that seq.
pub(crate) fn each_event_is_shown_once_and_in_order(
    log: &Log,
    room: &RoomKey,
    seen: Seq,
    told: Told,
) {
    let Told { seq, place } = told;
    assert_eq!(seq, seen.next(), "no_hole_no_repeat: {room}");
    let truth = log.place(room, seq);
    assert_eq!(truth, Some(place), "one_order_for_all: {room} {seq}");
}

/// What was sent again within its window is on nobody's screen twice.
pub(crate) fn a_retried_id_is_shown_once(log: &Log, draft: &Draft, is_new: bool) {
    let once = is_new || log.left_its_window(draft);
    assert!(once, "shown_once: {draft:?}");
}

/// An event that changed nothing is shown as such by everyone who could find out.
pub(crate) fn a_void_event_is_void_for_everyone(
    log: &Log,
    room: &RoomKey,
    seq: Seq,
    said: Option<bool>,
) {
    if let Some(is_void) = said {
        let truth = log.state(room, seq).is_void;
        assert_eq!(is_void, truth, "void_for_everyone: {room} {seq}");
    }
}

/// Whoever sees an event was a member just before it or at a later moment that had come.
pub(crate) fn after_removal_silence(log: &Log, client: &Client, seq: Seq, as_of: Seq) {
    let mut moments = seq.0.saturating_sub(1)..=as_of.0;
    let was_in = moments.any(|moment| log.state(&client.room, Seq(moment)).has(&client.user));
    let (user, room) = (&client.user, &client.room);
    assert!(was_in, "silence_after_removal: {user} saw {seq} of {room}");
}

/// A client is told to begin anew only where it claims to have what does not exist.
pub(crate) fn a_reset_is_deserved(log: &Log, room: &RoomKey, seen: Seq) {
    let head = log.head(room);
    assert!(
        seen > head,
        "a_reset_is_deserved: {room} has {head}, seen {seen}"
    );
}

/// A receipt means that the log has it, as an event or as a retry of one.
pub(crate) fn what_is_acknowledged_is_in_the_log(log: &Log, client: &Client, id: &str) {
    let seqs = log.seqs_of(client.room.as_str(), client.name, id);
    assert!(
        !seqs.is_empty(),
        "acknowledged_not_lost: {} {id}",
        client.name
    );
}

/// What can't be decoded is shown and stored only after the dead-letter topic has the original.
pub(crate) fn the_unreadable_is_put_aside_first(log: &Log, place: Position) {
    let is_readable = log.record(place).event.is_some();
    let is_aside = log.put_aside.contains(&place);
    assert!(is_readable || is_aside, "put_aside_first: {place:?}");
}

/// An event row is written with the same content by whoever writes it.
pub(crate) fn a_stored_event_never_changes(
    dynamo: &Dynamo,
    room: &RoomKey,
    seq: Seq,
    place: Position,
    is_void: bool,
) {
    if let Some(known) = dynamo.events.get(&(room.clone(), seq)) {
        let row = (place, is_void);
        assert_eq!(*known, row, "a_stored_event_never_changes: {room} {seq}");
    }
}

/// A row that says "stored up to here" is not ahead of what is stored, and tells the truth as of there.
pub(crate) fn a_row_is_within_the_stored_prefix(log: &Log, dynamo: &Dynamo, room: &RoomKey) {
    let Some(row) = dynamo.rooms.get(room) else {
        return;
    };
    let head = row.head;
    assert_eq!(
        log.place(room, head.seq),
        Some(head.position),
        "stored_prefix: {room}"
    );
    for seq in (1..=head.seq.0).map(Seq) {
        let (stored, truth) = (
            dynamo.events.get(&(room.clone(), seq)),
            log.state(room, seq),
        );
        let place = log.place(room, seq).expect("it is below the head");
        assert_eq!(
            stored,
            Some(&(place, truth.is_void)),
            "stored_prefix: {room} {seq}"
        );
    }
    let truth = log.state(room, head.seq);
    assert_eq!(head.count, truth.count, "stored_prefix: count of {room}");
    assert_eq!(row.meta, truth.meta, "stored_prefix: settings of {room}");
    let rows = dynamo.members.iter().filter(|((of, _), _)| of == room);
    let members = rows.map(|((_, user), row)| (user.clone(), *row)).collect();
    assert_eq!(truth.members, members, "stored_prefix: members of {room}");
}

/// A room's row is not behind the partition's, which lets a reader start at the latter.
pub(crate) fn room_rows_are_never_behind_the_partition_row(log: &Log, dynamo: &Dynamo) {
    let Some(row) = dynamo.partition else {
        return;
    };
    let truth = log.accepted_before(row.position);
    assert_eq!(row.accepted, truth, "stored_prefix: the partition's row");
    for (room, (seq, _)) in log.totals_at(row.position) {
        let stored = dynamo.head(room).map(|head| head.seq);
        assert!(
            stored >= Some(*seq),
            "stored_prefix: {room} is at {stored:?}, not {seq}"
        );
    }
}

/// What rows say became of messages, and what the events after them say, comes to the same as one read of all events,
/// however far the rows are and whoever wrote them in which order.
pub(crate) fn changes_of_messages_come_to_the_same(log: &Log, dynamo: &Dynamo, room: &RoomKey) {
    let stored = dynamo.head(room).map_or(Seq::ZERO, |head| head.seq);
    let truth = log.amended_from(room, Seq(1));
    let (mut rows_first, mut events_first) = (dynamo.amended(room), truth.clone());
    for seq in (stored.0 + 1..=log.head(room).0).map(Seq).rev() {
        let place = log.place(room, seq).expect("it is up to the head");
        rows_first.extend(log.record(place).amendment(seq));
    }
    assert_eq!(rows_first, truth, "changes_come_to_the_same: {room}");
    events_first.extend(dynamo.amendments(room));
    assert_eq!(events_first, truth, "changes_come_to_the_same: {room}");
}

/// What is unread after a position is the number of messages and notices there, no more and no fewer.
pub(crate) fn unread_is_exact(log: &Log, dynamo: &Dynamo) {
    for ((room, user), (seq, count)) in &dynamo.reads {
        let head = log.head(room);
        let unread = ReadPosition::at(*seq, *count).unread(log.state(room, head).count);
        let later = (seq.0 + 1..=head.0).filter_map(|seq| log.place(room, Seq(seq)));
        let messages =
            later.filter(|place| log.record(*place).draft.kind.is_some_and(Kind::counts));
        assert_eq!(
            unread,
            messages.count() as u64,
            "unread_is_exact: {user} in {room}"
        );
    }
}

/// Who posted or joined has read up to there.
fn posting_and_joining_is_reading(log: &Log, dynamo: &Dynamo) {
    for record in &log.records {
        let (Truth::Accepted(seq, _), Some(event)) = (record.truth, &record.event) else {
            continue;
        };
        if log.state(&event.key, seq).is_void {
            continue;
        }
        for user in readers_by(event) {
            let read = dynamo.reads.get(&(event.key.clone(), user.clone()));
            assert!(
                read.is_some_and(|(read, _)| *read >= seq),
                "unread_is_exact: {user} wrote {seq} of {} and has read {read:?}",
                event.key
            );
        }
    }
}

/// A read position only moves forward, and never past what is there to be read.
pub(crate) fn read_positions_never_move_back(log: &Log, before: &Reads, dynamo: &Dynamo) {
    for (key, to) in &dynamo.reads {
        let was = before.get(key).copied().unwrap_or_default();
        assert!(
            *to >= was,
            "reads_never_back: {key:?} from {was:?} to {to:?}"
        );
        assert!(
            to.0 <= log.head(&key.0),
            "reads_never_back: {key:?} past the end"
        );
    }
}

/// With all faults healed, everything is stored.
pub(crate) fn everything_is_stored(log: &Log, dynamo: &Dynamo) {
    let rows = dynamo.rooms.iter();
    let stored: Totals = rows
        .map(|(room, row)| (room.clone(), (row.head.seq, row.head.count)))
        .collect();
    assert_eq!(stored, *log.totals_at(log.end()), "everything_is_stored");
    let events = dynamo.events.len() as u64;
    assert_eq!(
        events,
        log.accepted_before(log.end()),
        "everything_is_stored"
    );
    for room in dynamo.rooms.keys() {
        a_row_is_within_the_stored_prefix(log, dynamo, room);
        let amended = dynamo.amended(room);
        assert_eq!(
            amended,
            log.amended_from(room, Seq(1)),
            "everything_is_stored"
        );
    }
    posting_and_joining_is_reading(log, dynamo);
}

/// With all faults healed, everything that was acknowledged is an event of its room, once.
pub(crate) fn everything_acknowledged_is_there_once(log: &Log, client: &Client) {
    for id in &client.acknowledged {
        let draft = Draft::message(client.room.as_str(), client.name, id);
        let times = log.seqs_of(&draft.key, draft.sender, id).len();
        let once = times == 1 || (times > 1 && log.left_its_window(&draft));
        assert!(once, "acknowledged_not_lost: {id} is there {times} times");
    }
}
