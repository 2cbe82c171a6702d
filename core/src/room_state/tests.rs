//! What single events change, and what the other tests make rooms and events of.

mod admins;
mod model;
mod pins;

use std::collections::BTreeMap;

use super::*;
use crate::{
    event::{MemberEvent, Message},
    ids::RoomKey,
};

const USERS: [&str; 2] = ["ann", "bob"];

/// A room as the fold has made it: the rows of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    meta: Option<RoomMeta>,
    members: BTreeMap<String, Membership>,
    seq: u64,
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("alphabet")
}

fn event(sender: &str, body: Body) -> Event {
    Event::by(user(sender), "lobby", body)
}

fn member(sender: &str, subject: &str, change: MemberChange) -> Event {
    let user = user(subject);
    event(sender, Body::Member(MemberEvent { user, change }))
}

/// The same by somebody with the global role.
fn by_admin(event: Event) -> Event {
    Event {
        by_admin: true,
        ..event
    }
}

fn create(sender: &str, kind: RoomKind, public: bool) -> Event {
    let fields = RoomEvent {
        kind: Some(kind),
        public: Some(public),
        ..RoomEvent::default()
    };
    event(sender, Body::Room(fields))
}

fn delete(sender: &str) -> Event {
    let fields = RoomEvent {
        deleted: Some(true),
        ..RoomEvent::default()
    };
    event(sender, Body::Room(fields))
}

fn pinning(sender: &str, pinned: Vec<Seq>) -> Event {
    let fields = RoomEvent {
        pinned: Some(pinned),
        ..RoomEvent::default()
    };
    event(sender, Body::Room(fields))
}

// === impl Room ===

impl Room {
    fn rows<'a>(&'a self, event: &Event) -> Rows<'a> {
        let row = |user: &UserId| self.members.get(user.as_str());
        Rows {
            room: self.meta.as_ref(),
            subject: subject_of(event).and_then(row),
            actor: row(&event.sender.id),
        }
    }

    fn apply(&mut self, event: &Event) -> Effect {
        self.seq += 1;
        let effect = fold(self.rows(event), event, Seq(self.seq));
        if let Effect::Stands(changes) = &effect {
            for change in changes.clone() {
                match change {
                    Change::Room(meta) => self.meta = Some(meta),
                    Change::Member(user, row) => {
                        self.members.insert(user.to_string(), row);
                    }
                }
            }
        }
        effect
    }

    fn of(events: &[Event]) -> Self {
        let mut room = Self::default();
        for event in events {
            room.apply(event);
        }
        room
    }

    /// The room without the seqs, which no rule but creation reads.
    fn shape(&self) -> String {
        let mut room = self.clone();
        room.seq = room.seq.min(1);
        if let Some(meta) = &mut room.meta {
            meta.changed_seq = Seq::ZERO;
        }
        for row in room.members.values_mut() {
            row.changed_seq = Seq::ZERO;
        }
        format!("{room:?}")
    }
}

fn stands(effect: &Effect) -> bool {
    matches!(effect, Effect::Stands(changes) if !changes.is_empty())
}

#[test]
fn the_first_creation_wins() {
    let mut room = Room::default();
    assert!(stands(&room.apply(&create("ann", RoomKind::Group, true))));
    assert_eq!(
        room.apply(&create("bob", RoomKind::Group, true)),
        Effect::Void
    );
    let meta = room.meta.expect("created");
    assert_eq!((meta.created_by, meta.owners), (user("ann"), 1));
}

#[test]
fn a_room_is_created_by_its_first_event_only() {
    let mut room = Room::default();
    let message = event("ann", Body::Message(Message::default()));
    assert_eq!(room.apply(&message), Effect::Stands(Vec::new()));
    assert_eq!(
        room.apply(&create("ann", RoomKind::Group, true)),
        Effect::Void
    );
    assert_eq!(
        room.apply(&member("ann", "ann", MemberChange::Joined)),
        Effect::Void
    );
}

#[test]
fn the_last_owner_can_not_leave() {
    let mut room = Room::of(&[
        create("ann", RoomKind::Group, true),
        member("bob", "bob", MemberChange::Joined),
    ]);
    let leave = |name| member(name, name, MemberChange::Left);
    assert_eq!(room.apply(&leave("ann")), Effect::Void);
    assert!(stands(&room.apply(&member(
        "ann",
        "bob",
        MemberChange::Role(Role::Owner)
    ))));
    assert!(stands(&room.apply(&leave("ann"))));
    assert_eq!(
        room.apply(&leave("bob")),
        Effect::Void,
        "two at once: the second stays"
    );
}

#[test]
fn a_private_room_is_joined_by_invitation() {
    let mut room = Room::of(&[create("ann", RoomKind::Group, false)]);
    let join = member("bob", "bob", MemberChange::Joined);
    assert_eq!(room.apply(&join), Effect::Void);
    assert!(stands(&room.apply(&member(
        "ann",
        "bob",
        MemberChange::Invited
    ))));
    assert_eq!(
        room.apply(&member("ann", "bob", MemberChange::Joined)),
        Effect::Void
    );
    assert!(stands(&room.apply(&join)));
    assert_eq!(room.apply(&join), Effect::Void, "twice");
}

#[test]
fn a_banned_user_stays_out_until_unbanned() {
    let mut room = Room::of(&[
        create("ann", RoomKind::Group, true),
        member("bob", "bob", MemberChange::Joined),
        member("ann", "bob", MemberChange::Muted),
        member("ann", "bob", MemberChange::Banned),
    ]);
    let join = member("bob", "bob", MemberChange::Joined);
    assert_eq!(room.apply(&join), Effect::Void);
    assert_eq!(
        room.apply(&member("ann", "bob", MemberChange::Invited)),
        Effect::Void
    );
    assert!(stands(&room.apply(&member(
        "ann",
        "bob",
        MemberChange::Unbanned
    ))));
    assert!(stands(&room.apply(&join)));
    assert!(room.members["bob"].muted, "coming back does not shed it");
}

#[test]
fn a_moderator_keeps_order_but_not_over_owners() {
    let mut room = Room::of(&[
        create("ann", RoomKind::Channel, true),
        member("bob", "bob", MemberChange::Joined),
        member("cat", "cat", MemberChange::Joined),
        member("ann", "bob", MemberChange::Role(Role::Moderator)),
    ]);
    assert_eq!(
        room.apply(&member("bob", "ann", MemberChange::Muted)),
        Effect::Void
    );
    assert_eq!(
        room.apply(&member("bob", "ann", MemberChange::Removed)),
        Effect::Void
    );
    let promote = member("bob", "cat", MemberChange::Role(Role::Moderator));
    assert_eq!(room.apply(&promote), Effect::Void);
    assert_eq!(
        room.apply(&member("cat", "bob", MemberChange::Muted)),
        Effect::Void
    );
    assert!(stands(&room.apply(&member(
        "bob",
        "cat",
        MemberChange::Removed
    ))));
    let slower = RoomEvent {
        slow_mode_s: Some(5),
        ..RoomEvent::default()
    };
    let renamed = RoomEvent {
        name: Some("hall".into()),
        ..slower.clone()
    };
    assert!(stands(&room.apply(&event("bob", Body::Room(slower)))));
    assert_eq!(
        room.apply(&event("bob", Body::Room(renamed.clone()))),
        Effect::Void
    );
    assert!(stands(&room.apply(&event("ann", Body::Room(renamed)))));
    let nothing = event("ann", Body::Room(RoomEvent::default()));
    assert_eq!(room.apply(&nothing), Effect::Void);
}

#[test]
fn a_direct_room_takes_in_its_two_people_and_nobody_else() {
    let (ann, bob) = (user("ann"), user("bob"));
    let key: RoomKey = crate::ids::RoomId::direct(&ann, &bob).into();
    let there = |mut event: Event| {
        event.key = key.clone();
        event
    };
    let joined = |sender, subject| there(member(sender, subject, MemberChange::Joined));
    for (sender, subject) in [("ann", "bob"), ("bob", "bob")] {
        let mut room = Room::of(&[there(create("ann", RoomKind::Direct, false))]);
        assert_eq!(room.apply(&joined("cat", "cat")), Effect::Void);
        assert_eq!(room.apply(&joined("ann", "cat")), Effect::Void);
        assert_eq!(room.apply(&joined("cat", "bob")), Effect::Void);
        assert!(stands(&room.apply(&joined(sender, subject))), "{sender}");
        assert_eq!(room.apply(&joined("bob", "bob")), Effect::Void, "twice");
        for change in [
            MemberChange::Left,
            MemberChange::Removed,
            MemberChange::Banned,
        ] {
            for (actor, subject) in [("ann", "bob"), ("bob", "ann"), ("bob", "bob")] {
                let event = there(member(actor, subject, change));
                assert_eq!(room.apply(&event), Effect::Void, "{change:?}");
            }
        }
    }
}

#[test]
fn nothing_changes_a_deleted_room() {
    let mut room = Room::of(&[create("ann", RoomKind::Group, true)]);
    assert!(stands(&room.apply(&delete("ann"))));
    let before = room.clone();
    for event in model::attempts() {
        room.apply(&event);
        assert_eq!(room.meta, before.meta);
        assert_eq!(room.members, before.members);
    }
}

#[test]
fn an_inbox_has_no_members() {
    let mut joined = member("ann", "ann", MemberChange::Joined);
    joined.key = RoomKey::inbox(&user("ann"));
    assert_eq!(fold(Rows::default(), &joined, Seq(1)), Effect::Void);
}

#[test]
fn member_states_are_spelled_in_one_way() {
    for state in [
        MemberState::Invited,
        MemberState::Joined,
        MemberState::Gone,
        MemberState::Banned,
    ] {
        assert_eq!(MemberState::parse(state.as_str()), Some(state));
    }
    assert_eq!(MemberState::parse("kicked"), None);
}
