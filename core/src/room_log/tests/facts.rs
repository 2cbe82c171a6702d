//! Single facts, each by one example.

use super::model::*;
use crate::{
    event::Kind,
    ids::{Count, Seq},
    partition::partition_of,
    room_log::{Foreign, Head, Outcome, RecordRef, RoomLog, Spec, WINDOW_MS},
};

fn message<'a>(offset: i64, room: &'a str, id: &'a str, append_time_ms: i64) -> RecordRef<'a> {
    RecordRef {
        position: at(offset),
        key: room.as_bytes(),
        id: id.as_bytes(),
        sender: b"ann",
        kind: Some(Kind::Message),
        append_time_ms,
    }
}

fn accepted(seq: u64, count: u64) -> Outcome {
    Outcome::Accepted {
        seq: Seq(seq),
        count: Count(count),
    }
}

fn one_partition(window_offsets: i64) -> Spec {
    Spec {
        partition: 0,
        partition_count: 1,
        window_offsets,
    }
}

#[test]
fn a_retry_is_told_what_the_first_sending_got() {
    let mut log = RoomLog::empty(one_partition(100), GENERATION);
    assert_eq!(log.apply(&message(0, "lobby", "m1", 0)), accepted(1, 1));
    assert_eq!(log.apply(&message(1, "lobby", "m2", 0)), accepted(2, 2));
    let first = Some((Seq(1), Count(1)));
    let told = Outcome::Duplicate { first };
    assert_eq!(log.apply(&message(2, "lobby", "m1", 1)), told);
    assert_eq!(log.apply(&message(3, "lobby", "m1", 2)), told, "and again");
    assert_eq!(log.apply(&message(4, "hall", "m1", 2)), accepted(1, 1));
}

#[test]
fn the_window_ends_after_w_offsets_and_after_a_day() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    log.apply(&message(0, "lobby", "m", 0));
    let last = message(10, "lobby", "m", WINDOW_MS);
    assert!(matches!(log.apply(&last), Outcome::Duplicate { .. }));
    let late = message(11, "lobby", "m", 2 * WINDOW_MS + 1);
    assert_eq!(log.apply(&late), accepted(2, 2));
    let far = message(22, "lobby", "m", 2 * WINDOW_MS + 2);
    assert_eq!(log.apply(&far), accepted(3, 3));
}

#[test]
fn an_earlier_occurrence_with_a_later_time_still_makes_a_retry() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    log.apply(&message(0, "lobby", "m", 1_000));
    assert!(matches!(
        log.apply(&message(1, "lobby", "m", 0)),
        Outcome::Duplicate { .. }
    ));
    let retry = message(2, "lobby", "m", WINDOW_MS + 500);
    assert!(matches!(log.apply(&retry), Outcome::Duplicate { .. }));
}

#[test]
fn a_record_without_id_or_sender_is_never_a_retry() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    let nameless = |offset| RecordRef {
        sender: b"",
        ..message(offset, "lobby", "m", 0)
    };
    for offset in 0..3 {
        let seq = 2 * offset as u64 + 1;
        assert_eq!(
            log.apply(&message(2 * offset, "lobby", "", 0)),
            accepted(seq, seq)
        );
        assert_eq!(
            log.apply(&nameless(2 * offset + 1)),
            accepted(seq + 1, seq + 1)
        );
    }
    assert_eq!(log.window.len(), 0);
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    let sent = |offset, sender, id| RecordRef {
        sender,
        id,
        ..message(offset, "lobby", "", 0)
    };
    assert_eq!(log.apply(&sent(0, b"ann", b"1")), accepted(1, 1));
    assert_eq!(log.apply(&sent(1, b"an", b"n1")), accepted(2, 2));
}

#[test]
fn only_messages_and_notices_count_in_a_room_and_everything_in_an_inbox() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    let kinds = [
        (Some(Kind::Message), 1),
        (Some(Kind::Edit), 1),
        (Some(Kind::Member), 1),
        (Some(Kind::Notice), 2),
        (None, 2),
    ];
    for (index, (kind, count)) in kinds.into_iter().enumerate() {
        let offset = 2 * index as i64;
        let in_room = RecordRef {
            kind,
            ..message(offset, "lobby", "", 0)
        };
        let in_inbox = RecordRef {
            kind,
            ..message(offset + 1, "@ann", "", 0)
        };
        let seq = index as u64 + 1;
        assert_eq!(log.apply(&in_room), accepted(seq, count));
        assert_eq!(log.apply(&in_inbox), accepted(seq, seq));
    }
}

#[test]
fn a_key_that_belongs_elsewhere_gets_no_seq() {
    let owner_of_abc = partition_of(b"abc", 7);
    let spec = Spec {
        partition: (owner_of_abc + 1) % 7,
        partition_count: 7,
        window_offsets: 10,
    };
    let mut log = RoomLog::empty(spec, GENERATION);
    let elsewhere = Outcome::Foreign(Foreign::Partition);
    assert_eq!(log.apply(&message(0, "abc", "m", 0)), elsewhere);
    for bad in ["", "a b", "@", "../etc"] {
        let next = log.next().offset;
        let no_room = Outcome::Foreign(Foreign::Key);
        assert_eq!(log.apply(&message(next, bad, "m", 0)), no_room);
    }
    assert_eq!((log.accepted(), log.next()), (0, at(5)));
}

#[test]
fn a_row_ahead_of_the_partition_row_is_not_numbered_twice() {
    // The partition row stands at offset 1; the room's row was written up to offset 2 before the crash.
    let mut log = RoomLog::partial(one_partition(10), at(1), 1);
    log.remember(&message(0, "lobby", "m1", 0));
    let second = message(1, "lobby", "m2", 0);
    assert_eq!(log.apply(&second), Outcome::HeadUnknown);
    assert_eq!((log.next(), log.accepted()), (at(1), 1));
    let row = Head {
        seq: Seq(3),
        count: Count(3),
        position: at(2),
    };
    log.load_head(room("lobby"), Some(row));
    assert!(!log.all_heads_loaded(), "the row lies ahead");
    assert_eq!(log.apply(&second), Outcome::Past);
    assert_eq!(log.apply(&message(2, "lobby", "m3", 0)), Outcome::Past);
    assert!(log.all_heads_loaded());
    assert_eq!(log.apply(&message(3, "lobby", "m4", 0)), accepted(4, 4));
    let retry = |offset, id| message(offset, "lobby", id, 0);
    let told = |first| Outcome::Duplicate { first };
    assert_eq!(log.apply(&retry(4, "m1")), told(None));
    assert_eq!(log.apply(&retry(5, "m2")), told(None));
    assert_eq!(log.apply(&retry(6, "m3")), told(Some((Seq(3), Count(3)))));
    assert_eq!((log.accepted(), log.next()), (4, at(7)));
}

#[test]
fn the_first_changes_of_a_completed_base_are_a_whole_snapshot() {
    let mut log = RoomLog::partial(one_partition(10), at(1), 1);
    let row = Head {
        seq: Seq(1),
        count: Count(1),
        position: at(0),
    };
    log.load_head(room("lobby"), Some(row));
    log.load_head(room("hall"), None);
    assert!(log.take_changes().is_none() && log.snapshot().is_none());
    assert_eq!(log.apply(&message(1, "hall", "m", 0)), accepted(1, 1));
    assert!(log.all_heads_loaded());
    let mut cache = Cache::default();
    cache.write(&log.take_changes().unwrap());
    assert_eq!(cache.snapshot(), sorted(log.snapshot().unwrap()));
    assert!(RoomLog::restore(one_partition(10), cache.snapshot()).is_ok());
    log.rewrite_snapshot();
    assert_eq!(log.take_changes().unwrap().heads.len(), 2);
}

#[test]
fn a_complete_base_takes_no_rows() {
    let mut log = RoomLog::empty(one_partition(10), GENERATION);
    let row = Head {
        seq: Seq(7),
        count: Count(7),
        position: at(9),
    };
    log.load_head(room("lobby"), Some(row));
    assert_eq!(log.apply(&message(0, "lobby", "m", 0)), accepted(1, 1));
}

#[test]
fn rooms_left_out_by_an_index_can_not_be_made_up_by_rows_that_lie_ahead() {
    // Two rooms had an event each before offset 2; the index shows one, whose row is one event ahead.
    let mut log = RoomLog::partial(one_partition(10), at(2), 2);
    let row = Head {
        seq: Seq(2),
        count: Count(2),
        position: at(2),
    };
    log.load_head(room("hall"), Some(row));
    assert!(!log.all_heads_loaded(), "the sum agrees by accident");
    assert_eq!(log.apply(&message(2, "hall", "m", 0)), Outcome::Past);
    assert!(!log.all_heads_loaded(), "3 were accepted, 2 are known of");
    assert!(log.take_changes().is_none() && log.snapshot().is_none());
}

#[test]
fn the_window_is_read_back_from_w_offsets_before() {
    let spec = one_partition(100);
    assert_eq!(spec.window_start_for(at(250)), 150);
    assert_eq!(spec.window_start_for(at(99)), 0);
}
