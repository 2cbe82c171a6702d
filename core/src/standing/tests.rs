//! What is known of who is in a room, and what events nobody could judge change about it.

use super::*;
use crate::event::{MemberEvent, RoomEvent, RoomKind};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("alphabet")
}

fn event(sender: &str, body: Body) -> Event {
    Event::by(user(sender), "r", body)
}

fn row(state: MemberState, seq: u64) -> Membership {
    Membership {
        state,
        role: Role::Member,
        muted: false,
        changed_seq: Seq(seq),
    }
}

#[test]
fn a_row_that_is_ahead_of_the_room_is_not_taken() {
    // The room's row was read before the room was made, the creator's after it.
    let mut standing = Standing::new(None, Seq::ZERO);
    let ahead = Ahead {
        changed: Seq(1),
        as_of: Seq::ZERO,
    };
    let creator = Some(row(MemberState::Joined, 1));
    assert_eq!(standing.learn(user("ann"), creator), Err(ahead));
    assert_eq!(standing.member(&user("ann")), None);
    assert_eq!(standing.learn(user("ann"), None), Ok(()));
    let fields = RoomEvent {
        kind: Some(RoomKind::Group),
        ..RoomEvent::default()
    };
    let made = standing.judge(&event("ann", Body::Room(fields)), Seq(1));
    assert_eq!(made, Judged::Stands);
    assert!(standing.room().is_some());
    assert_eq!(
        standing.learn(user("bob"), Some(row(MemberState::Gone, 1))),
        Ok(())
    );
    assert!(
        standing
            .learn(user("cy"), Some(row(MemberState::Gone, 2)))
            .is_err()
    );
}

#[test]
fn who_is_in_none_of_a_rooms_events_has_no_row() {
    let mut standing = Standing::before_the_first_event();
    assert_eq!(standing.member(&user("ann")), Some(None));
    let fields = RoomEvent {
        kind: Some(RoomKind::Group),
        ..RoomEvent::default()
    };
    let made = event("ann", Body::Room(fields));
    assert_eq!(standing.wanted_by(&made), []);
    assert_eq!(standing.judge(&made, Seq(1)), Judged::Stands);
    // A stranger's word changes nothing, and no row needs to be read to know that.
    let banned = change("bob", "ann", MemberChange::Banned);
    assert_eq!(standing.wanted_by(&banned), []);
    assert_eq!(standing.judge(&banned, Seq(2)), Judged::Void);
    assert_eq!(standing.member(&user("bob")), Some(None));
    assert_eq!(state(&standing, "ann"), Some(MemberState::Joined));
    // A row of the store is not needed, and changes nothing.
    let row = Some(row(MemberState::Joined, 9));
    assert_eq!(standing.learn(user("bob"), row), Ok(()));
    assert_eq!(standing.member(&user("bob")), Some(None));
    standing.trim();
    assert_eq!(state(&standing, "ann"), Some(MemberState::Joined));
}

fn change(sender: &str, whose: &str, change: MemberChange) -> Event {
    let user = user(whose);
    event(sender, Body::Member(MemberEvent { user, change }))
}

/// A room that ann made and bob and cy are members of.
fn room() -> Standing {
    let mut standing = Standing::new(None, Seq::ZERO);
    for name in ["ann", "bob", "cy", "dan"] {
        standing.learn(user(name), None).expect("nobody is ahead");
    }
    let fields = RoomEvent {
        kind: Some(RoomKind::Group),
        public: Some(true),
        ..RoomEvent::default()
    };
    standing.judge(&event("ann", Body::Room(fields)), Seq(1));
    for (name, seq) in [("bob", 2), ("cy", 3)] {
        let joined = change(name, name, MemberChange::Joined);
        assert_eq!(standing.judge(&joined, Seq(seq)), Judged::Stands);
    }
    standing
}

fn state(standing: &Standing, name: &str) -> Option<MemberState> {
    standing.member(&user(name)).flatten().map(|row| row.state)
}

#[test]
fn an_event_nobody_could_judge_keeps_out_and_lets_nobody_in() {
    let mut standing = room();
    let banned = change("eve", "bob", MemberChange::Banned);
    assert_eq!(standing.wanted_by(&banned), [user("eve")]);
    standing.pass_over(&banned, Seq(4));
    assert!(standing.is_unsure());
    standing.pass_over(&change("dan", "dan", MemberChange::Joined), Seq(5));
    standing.pass_over(&change("eve", "fay", MemberChange::Removed), Seq(6));
    assert_eq!(state(&standing, "bob"), Some(MemberState::Banned));
    assert_eq!(state(&standing, "dan"), None);
    assert_eq!(state(&standing, "fay"), Some(MemberState::Gone));
    for (name, seq) in [("bob", 4), ("dan", 0), ("fay", 6)] {
        assert_eq!(standing.last_seq_of(&user(name)), Seq(seq), "{name}");
    }
    standing.pass_over(&change("eve", "cy", MemberChange::Muted), Seq(7));
    let cy = standing.member(&user("cy")).flatten();
    assert!(cy.is_some_and(|row| row.is_in() && row.muted));
    let deleted = RoomEvent {
        deleted: Some(true),
        ..RoomEvent::default()
    };
    standing.pass_over(&event("eve", Body::Room(deleted)), Seq(8));
    assert_eq!(standing.last_seq_of(&user("cy")), Seq(8));
}

#[test]
fn after_an_event_nobody_could_judge_nothing_is_judged() {
    let mut standing = room();
    // Whether ann is the last owner depends on whether this one stands.
    let promoted = change("eve", "bob", MemberChange::Role(Role::Owner));
    standing.pass_over(&promoted, Seq(4));
    let left = change("ann", "ann", MemberChange::Left);
    assert_eq!(standing.wanted_by(&left), []);
    assert_eq!(standing.judge(&left, Seq(5)), Judged::PassedOver);
    assert_eq!(state(&standing, "ann"), Some(MemberState::Gone));
}

#[test]
fn who_is_out_gets_everything_up_to_what_put_them_out() {
    let mut standing = room();
    for (change, seq) in [
        (change("ann", "bob", MemberChange::Removed), 4),
        (change("ann", "bob", MemberChange::Invited), 6),
        (change("ann", "bob", MemberChange::Banned), 8),
    ] {
        assert_eq!(standing.judge(&change, Seq(seq)), Judged::Stands);
        assert_eq!(standing.last_seq_of(&user("bob")), Seq(4));
    }
    let stranger = change("ann", "dan", MemberChange::Invited);
    assert_eq!(standing.judge(&stranger, Seq(9)), Judged::Stands);
    assert_eq!(standing.last_seq_of(&user("dan")), Seq::ZERO);
    assert_eq!(standing.last_seq_of(&user("eve")), Seq::ZERO);
}
