//! What a room does with events that come from anywhere, in any order.

#![allow(clippy::unwrap_used)]

use roomlog_core::{
    event::{Body, Event, Kind, MemberChange, MemberEvent, Message, Role, RoomKind, Sender},
    ids::MessageId,
    room_state::{MemberState, RoomMeta},
};
use roomlog_schemas::encode_event;

use super::{
    super::recent::{RECENT_BYTES_MAX, RECENT_EVENTS_MAX},
    *,
};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn key() -> RoomKey {
    RoomKey::parse("room").unwrap()
}

fn event(seq: u64, sender: &str, body: Body) -> StoredEvent {
    let event = Event {
        key: key(),
        id: MessageId::parse(&format!("m{seq}")).unwrap(),
        sender: Sender {
            id: user(sender),
            name: sender.to_owned(),
            avatar: None,
        },
        body,
        headers: Vec::new(),
        by_admin: false,
    };
    StoredEvent {
        key: key(),
        seq: Seq(seq),
        count: Count(seq),
        at_ms: 1_763_700_000_000,
        partition: 0,
        offset: 100 + i64::try_from(seq).unwrap(),
        id: event.id.as_str().to_owned(),
        sender: sender.to_owned(),
        kind: event.body.kind(),
        traceparent: None,
        value: encode_event(&event),
    }
}

fn message(seq: u64) -> StoredEvent {
    let message = Message {
        text: format!("text {seq}"),
        ..Message::default()
    };
    event(seq, "alice", Body::Message(message))
}

fn removal(seq: u64, who: &str) -> StoredEvent {
    let member = MemberEvent {
        user: user(who),
        change: MemberChange::Removed,
    };
    event(seq, "owner", Body::Member(member))
}

fn row(role: Role) -> Option<Membership> {
    Some(Membership {
        state: MemberState::Joined,
        role,
        muted: false,
        changed_seq: Seq(1),
    })
}

/// A room with a head of 10 whose owner and two members are known.
fn room() -> Room {
    let meta = RoomMeta {
        kind: RoomKind::Group,
        name: "Room".to_owned(),
        public: true,
        slow_mode_s: 0,
        read_only: false,
        deleted: false,
        pinned: Vec::new(),
        created_by: user("owner"),
        members: 3,
        owners: 1,
        changed_seq: Seq(1),
    };
    let mut standing = Standing::new(Some(meta), Seq(10));
    standing.learn(user("owner"), row(Role::Owner)).unwrap();
    standing.learn(user("alice"), row(Role::Member)).unwrap();
    standing.learn(user("bob"), row(Role::Member)).unwrap();
    let head = RoomHead {
        key: key(),
        seq: Seq(10),
        count: Count(10),
    };
    Room::new(head, standing, "epoch".into(), Arc::default(), 0)
}

fn live(room: &mut Room, name: &str, number: u64) -> Subscriber {
    let subscriber = Subscriber::of(name, number);
    let next = room.head().next();
    assert!(matches!(room.pull(&subscriber, next, true), Pulled::Live));
    subscriber
}

fn received(subscriber: &Subscriber) -> Vec<u64> {
    let taken = subscriber.outbox.taken();
    taken.iter().map(|delivery| delivery.seq.0).collect()
}

#[test]
fn two_senders_make_one_sequence() {
    let mut room = room();
    let bob = live(&mut room, "bob", 1);
    for seq in [11, 11, 12, 11, 12, 13] {
        room.take(message(seq));
    }
    assert_eq!(received(&bob), [11, 12, 13]);
    assert_eq!(room.need(), None);
    assert_eq!((room.head(), room.count()), (Seq(13), Count(13)));
}

#[test]
fn a_hole_is_filled_before_what_comes_after_it() {
    let mut room = room();
    let bob = live(&mut room, "bob", 1);
    room.take(message(13));
    let hole = Hole {
        from: Seq(11),
        to: Seq(12),
    };
    assert_eq!(room.need(), Some(Need::Events(hole)));
    assert_eq!(room.need(), None, "asked for once");
    assert!(received(&bob).is_empty());
    room.take(message(14));
    room.take(message(11));
    room.take(message(12));
    room.fetched();
    assert_eq!(received(&bob), [11, 12, 13, 14]);
    assert_eq!(room.need(), None);
}

#[test]
fn a_lost_last_event_shows_by_the_head() {
    let mut room = room();
    room.note_head(Seq(12));
    let hole = Hole {
        from: Seq(11),
        to: Seq(12),
    };
    assert_eq!(room.need(), Some(Need::Events(hole)));
    room.fetched();
    assert_eq!(
        room.need(),
        Some(Need::Events(hole)),
        "asked again while it is missing"
    );
}

#[test]
fn catching_up_and_live_meet_without_a_seam() {
    let mut room = room();
    for seq in 11..=20 {
        room.take(message(seq));
    }
    let bob = Subscriber::of("bob", 1);
    let Pulled::Older { to, .. } = room.pull(&bob, Seq(5), true) else {
        panic!("memory begins at 11");
    };
    assert_eq!(to, Seq(10));
    let Pulled::Events(events) = room.pull(&bob, Seq(11), true) else {
        panic!("these are in memory");
    };
    assert_eq!(
        events.iter().map(|shown| shown.seq.0).collect::<Vec<_>>(),
        (11..=20).collect::<Vec<_>>()
    );
    room.take(message(21));
    assert!(
        received(&bob).is_empty(),
        "not live before it has everything"
    );
    assert!(matches!(room.pull(&bob, Seq(21), true), Pulled::Events(events) if events.len() == 1));
    assert!(matches!(room.pull(&bob, Seq(22), true), Pulled::Live));
    room.take(message(22));
    assert_eq!(received(&bob), [22]);
}

#[test]
fn a_subscription_that_is_ahead_gets_nothing_twice() {
    let mut room = room();
    let bob = Subscriber::of("bob", 1);
    assert!(matches!(room.pull(&bob, Seq(13), true), Pulled::Live));
    for seq in 11..=14 {
        room.take(message(seq));
    }
    assert_eq!(received(&bob), [13, 14]);
}

#[test]
fn pulling_again_does_not_double_a_subscription() {
    let mut room = room();
    let bob = live(&mut room, "bob", 1);
    assert!(matches!(room.pull(&bob, Seq(11), true), Pulled::Live));
    room.take(message(11));
    assert_eq!(received(&bob), [11]);
    room.leave(bob.connection, bob.index, &bob.envelope);
    room.take(message(12));
    assert!(received(&bob).is_empty());
}

#[test]
fn a_removal_is_the_last_a_removed_member_sees() {
    let mut room = room();
    let (alice, bob) = (live(&mut room, "alice", 1), live(&mut room, "bob", 2));
    room.take(message(11));
    room.take(removal(12, "bob"));
    room.take(message(13));
    assert_eq!(received(&bob), [11, 12]);
    assert_eq!(received(&alice), [11, 12, 13]);
    assert!(matches!(room.pull(&bob, Seq(13), false), Pulled::Ended));
    assert!(matches!(room.pull(&bob, Seq(11), false), Pulled::Events(events) if events.len() == 2));
}

#[test]
fn what_the_state_does_not_allow_is_void_and_changes_nothing() {
    let mut room = room();
    let bob = live(&mut room, "bob", 1);
    let member = MemberEvent {
        user: user("bob"),
        change: MemberChange::Removed,
    };
    room.take(event(11, "alice", Body::Member(member)));
    room.take(message(12));
    assert_eq!(received(&bob), [11, 12]);
    assert!(room.find("alice", "m11").unwrap().is_void);
}

#[test]
fn an_event_waits_for_the_rows_it_is_judged_by() {
    let mut room = room();
    let alice = live(&mut room, "alice", 1);
    room.take(removal(11, "carol"));
    room.take(message(12));
    assert!(received(&alice).is_empty());
    assert_eq!(room.need(), Some(Need::Rows(vec![user("carol")])));
    assert_eq!(room.learn([(user("carol"), row(Role::Member))]), Ok(()));
    room.fetched();
    assert_eq!(received(&alice), [11, 12]);
    assert!(!room.find("owner", "m11").unwrap().is_void);
}

#[test]
fn what_comes_in_great_number_while_an_event_waits_is_fetched_later() {
    let mut room = room();
    room.take(removal(11, "carol"));
    assert!(matches!(room.need(), Some(Need::Rows(_))));
    let held = HELD_EVENTS_MAX as u64;
    let last = 11 + held + 5;
    (12..=last).for_each(|seq| room.take(message(seq)));
    assert_eq!(room.learn([(user("carol"), row(Role::Member))]), Ok(()));
    room.fetched();
    assert_eq!(room.head(), Seq(11 + held));
    let dropped = Hole {
        from: Seq(12 + held),
        to: Seq(last),
    };
    assert_eq!(room.need(), Some(Need::Events(dropped)));
}

#[test]
fn delivery_goes_on_without_rows_that_can_not_be_read() {
    let mut room = room();
    let alice = live(&mut room, "alice", 1);
    room.take(removal(11, "carol"));
    room.take(message(12));
    assert!(matches!(room.need(), Some(Need::Rows(_))));
    room.go_on_without_rows();
    assert_eq!(received(&alice), [11, 12]);
    assert!(room.standing().is_unsure());
    room.take(removal(13, "dave"));
    assert_eq!(
        received(&alice),
        [13],
        "nothing is judged by what may be wrong"
    );
    assert_eq!(room.need(), None);
}

#[test]
fn who_is_behind_when_they_are_removed_gets_everything_up_to_the_removal() {
    let mut room = room();
    room.take(message(11));
    room.take(removal(12, "bob"));
    room.take(message(13));
    let bob = Subscriber::of("bob", 1);
    let Pulled::Events(events) = room.pull(&bob, Seq(11), false) else {
        panic!("they are in memory");
    };
    let seqs: Vec<u64> = events.iter().map(|shown| shown.seq.0).collect();
    assert_eq!(seqs, [11, 12]);
    assert!(matches!(room.pull(&bob, Seq(13), false), Pulled::Ended));
}

#[test]
fn what_can_not_be_decoded_keeps_its_place() {
    let mut room = room();
    let alice = live(&mut room, "alice", 1);
    let mut broken = message(11);
    broken.value = bytes::Bytes::from_static(b"\0\0\0\0\x01junk");
    room.take(broken);
    room.take(message(12));
    assert_eq!(received(&alice), [11, 12]);
    assert_eq!(room.recent.front().unwrap().kind, Kind::Unreadable);
}

#[test]
fn a_command_hears_its_own_echo() {
    let mut room = room();
    let (echo, mut heard) = oneshot::channel();
    room.await_echo("alice", "m11", echo);
    assert!(!room.sweep(u64::MAX), "somebody waits");
    room.take(message(11));
    assert_eq!(heard.try_recv().unwrap().seq, Seq(11));
}

#[test]
fn history_begins_at_a_message() {
    let mut room = room();
    for seq in 11..=15 {
        room.take(message(seq));
    }
    assert_eq!(room.history_start(3), Some(Seq(13)));
    assert_eq!(room.history_start(5), Some(Seq(11)));
    assert_eq!(
        room.history_start(6),
        None,
        "memory does not reach that far"
    );
}

#[test]
fn memory_is_bounded() {
    let mut room = room();
    for seq in 11..=11 + 3 * RECENT_EVENTS_MAX as u64 {
        room.take(message(seq));
    }
    let (events, bytes) = room.recent.size();
    assert!(events <= RECENT_EVENTS_MAX && bytes <= RECENT_BYTES_MAX);
}

#[test]
fn memory_keeps_no_deleted_content() {
    let mut room = room();
    for seq in 11..=13 {
        room.take(message(seq));
    }
    let edit = Body::Edit {
        target: Seq(12),
        text: "of 12".to_owned(),
    };
    room.take(event(14, "alice", edit));
    room.take(message(15));
    room.take(event(16, "alice", Body::Delete { target: Seq(12) }));
    let kept: Vec<u64> = room.recent.iter().map(|shown| shown.seq.0).collect();
    assert_eq!(kept, [15, 16]);
    room.take(event(17, "alice", Body::Delete { target: Seq(1) }));
    assert_eq!(room.recent.size().0, 3, "it was not there");
}

#[test]
fn a_connection_that_is_gone_is_forgotten() {
    let mut room = room();
    let bob = live(&mut room, "bob", 1);
    assert!(!room.sweep(u64::MAX));
    bob.outbox.close();
    assert!(room.sweep(u64::MAX));
}
