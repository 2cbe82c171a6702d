//! What subscribers of a list are shown: once whole, then every room's latest values.

#![allow(clippy::unwrap_used)]

use roomlog_core::{
    event::{Role, RoomKind},
    ids::{Count, UserId},
    room_state::{MemberState, Membership, RoomMeta},
    unread::ReadPosition,
};

use super::*;

/// Long before anything here is over.
const NOW_MS: u64 = 1_000;

fn user() -> UserId {
    UserId::parse("alice").unwrap()
}

fn key(name: &str) -> RoomKey {
    RoomKey::parse(name).unwrap()
}

fn entry() -> Entry {
    let meta = RoomMeta {
        kind: RoomKind::Group,
        name: "Room".to_owned(),
        public: true,
        slow_mode_s: 0,
        read_only: false,
        deleted: false,
        pinned: Vec::new(),
        created_by: user(),
        members: 2,
        owners: 1,
        changed_seq: Seq(1),
    };
    let member = Membership {
        state: MemberState::Joined,
        role: Role::Member,
        muted: false,
        changed_seq: Seq(1),
    };
    let mut entry = Entry::new(meta, member, &user());
    entry.level = Level::Even;
    entry
}

/// A list that was read and waits for nothing.
fn list(rooms: &[&str]) -> List {
    let caller = Caller {
        user: user(),
        is_admin: false,
    };
    let mut list = List::new(caller);
    for room in rooms {
        list.entry(&key(room), entry);
    }
    list.state = State::Levelling { until_ms: NOW_MS };
    list
}

fn shown(rooms: &[&str]) -> List {
    let mut list = list(rooms);
    list.settle(NOW_MS);
    assert_eq!(list.state, State::Shown);
    list
}

/// So many messages are in a room, and up to so many are read.
fn count(list: &mut List, room: &str, messages: u64, read: u64) {
    let at = |number| ReadPosition::at(Seq(number), Count(number));
    let entry = list.rooms.get_mut(&key(room)).unwrap();
    entry.note_head(at(messages));
    entry.note_position(at(read));
    list.dirty.insert(key(room));
}

#[test]
fn a_subscriber_gets_one_snapshot_and_then_what_changed() {
    let (mut list, phone) = (shown(&["a", "b"]), Subscriber::of("alice", 1));
    count(&mut list, "a", 5, 3);
    list.subscribe(phone.clone());
    let first = phone.received();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["type"], "snapshot");
    assert_eq!(first[0]["rooms"].as_array().unwrap().len(), 2);
    assert_eq!(first[0]["total"], json!({"unread": 2, "mentions": 0}));
    list.tell();
    assert_eq!(phone.received(), [] as [Value; 0]);
    // However often it moved, its latest values are told once.
    count(&mut list, "a", 6, 3);
    count(&mut list, "a", 7, 6);
    list.tell();
    let change = json!({
        "type": "change", "room": "a", "head": 7, "count": 7, "unread": 1,
        "total": {"unread": 1, "mentions": 0},
    });
    assert_eq!(phone.received(), [change]);
}

#[test]
fn who_comes_later_does_not_take_away_what_others_have_yet_to_be_told() {
    let (mut list, phone, laptop) = (
        shown(&["a"]),
        Subscriber::of("alice", 1),
        Subscriber::of("alice", 2),
    );
    list.subscribe(phone.clone());
    phone.received();
    count(&mut list, "a", 1, 0);
    list.subscribe(laptop.clone());
    assert_eq!(phone.received()[0]["unread"], 1);
    let first = laptop.received();
    assert_eq!(first[0]["rooms"][0]["unread"], 1);
    list.tell();
    assert_eq!(laptop.received(), [] as [Value; 0]);
}

#[test]
fn a_room_that_is_left_goes_once_and_takes_its_number_along() {
    let (mut list, phone) = (shown(&["a", "b"]), Subscriber::of("alice", 1));
    count(&mut list, "a", 4, 0);
    count(&mut list, "b", 2, 1);
    list.subscribe(phone.clone());
    assert_eq!(phone.received()[0]["total"]["unread"], 5);
    assert!(list.remove(&key("a")) && !list.remove(&key("a")));
    list.tell();
    let gone = json!({
        "type": "change", "room": "a", "gone": true, "total": {"unread": 1, "mentions": 0},
    });
    assert_eq!(phone.received(), [gone]);
    // Back before anybody was told, it never went.
    list.remove(&key("b"));
    list.entry(&key("b"), entry);
    list.dirty.insert(key("b"));
    list.tell();
    assert!(phone.received().iter().all(|change| change["gone"] != true));
}

#[test]
fn nothing_is_shown_before_everything_is_counted_in_or_it_took_too_long() {
    for is_late in [false, true] {
        let (mut list, phone) = (list(&["a"]), Subscriber::of("alice", 1));
        list.entry(&key("a"), entry).level = Level::Filling;
        list.subscribe(phone.clone());
        list.settle(NOW_MS - 1);
        list.tell();
        assert_eq!(phone.received(), [] as [Value; 0]);
        match is_late {
            true => list.settle(NOW_MS),
            false => {
                list.entry(&key("a"), entry).level = Level::Even;
                list.settle(NOW_MS - 1);
            }
        }
        assert_eq!(phone.received()[0]["type"], "snapshot");
    }
}

#[test]
fn rooms_are_shown_by_their_last_activity() {
    let (mut list, phone) = (shown(&["a", "b", "c"]), Subscriber::of("alice", 1));
    for (room, at_ms) in [("a", 20), ("b", 30), ("c", 10)] {
        list.entry(&key(room), entry).note_active(at_ms);
    }
    list.want_last_of(1);
    assert!(list.rooms[&key("b")].wants_last && !list.rooms[&key("a")].wants_last);
    list.subscribe(phone.clone());
    let first = phone.received();
    let rooms = first[0]["rooms"].as_array().unwrap().iter();
    let rooms: Vec<&Value> = rooms.map(|room| &room["room"]).collect();
    assert_eq!(rooms, ["b", "a", "c"]);
}

#[test]
fn looks_count_by_the_event_they_saw_and_not_by_when_they_ended() {
    let mut list = shown(&[]);
    let key = key("a");
    assert!(list.judge(&key, Seq(5), false));
    assert!(!list.judge(&key, Seq(4), true));
    assert!(list.is_over(&key, Seq(5)) && !list.is_over(&key, Seq(6)));
    assert!(list.judge(&key, Seq(6), true));
    assert!(!list.is_over(&key, Seq(5)) && list.knows(&key, Seq(6)));
}

#[test]
fn who_gave_up_waiting_for_a_list_is_forgotten() {
    let mut list = list(&[]);
    let (reply, answer) = oneshot::channel();
    list.show(reply);
    assert!(list.is_watched());
    drop(answer);
    assert!(!list.is_watched());
    assert!(list.waiting.is_empty());
}

#[test]
fn rooms_come_and_go_and_only_so_many_looks_at_them_are_remembered() {
    let mut list = list(&[]);
    let room = |number: usize| key(&format!("r-{number}"));
    for number in 0..=JUDGED_MAX {
        assert!(list.judge(&room(number), Seq(5), false));
    }
    assert!(list.judged.len() <= JUDGED_MAX);
    assert!(list.is_over(&room(JUDGED_MAX), Seq(5)), "the last one is");
    assert!(!list.judge(&room(JUDGED_MAX), Seq(4), true));
}
