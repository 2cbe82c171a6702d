//! Every sequence of a small model, and single facts.

mod admins;

use std::collections::{BTreeMap, BTreeSet};

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

// === invariants ===

fn an_inhabited_room_has_an_owner(room: &Room) {
    if let Some(meta) = room.meta.as_ref().filter(|meta| !meta.deleted) {
        assert!(meta.members == 0 || meta.owners > 0, "{room:?}");
        assert!(
            meta.members > 0,
            "nobody could leave an empty room: {room:?}"
        );
    }
}

fn totals_equal_a_recount(room: &Room) {
    let members = room.members.values().filter(|row| row.is_in()).count();
    let owners = room.members.values().filter(|row| row.is_owner()).count();
    let totals = room
        .meta
        .as_ref()
        .map_or((0, 0), |meta| (meta.members, meta.owners));
    assert_eq!(totals, (members as u32, owners as u32), "{room:?}");
}

fn only_members_have_roles(room: &Room) {
    for row in room.members.values() {
        assert!(row.is_in() || row.role == Role::Member, "{room:?}");
    }
}

/// What was folded is not folded again, and an event that stood carries its seq to every row it replaced.
fn folds_once(room: &Room, event: &Event, effect: &Effect) {
    let Effect::Stands(changes) = effect else {
        return;
    };
    for change in changes {
        let seq = match change {
            Change::Room(meta) => meta.changed_seq,
            Change::Member(_, row) => row.changed_seq,
        };
        assert_eq!(seq, Seq(room.seq));
    }
    if !changes.is_empty() {
        assert_eq!(fold(room.rows(event), event, Seq(room.seq)), Effect::Folded);
    }
}

fn a_void_event_changes_nothing(before: &Room, after: &Room, effect: &Effect) {
    if *effect != Effect::Void {
        return;
    }
    assert_eq!(
        (&before.meta, &before.members),
        (&after.meta, &after.members)
    );
}

// === the small model ===

/// Everything two users and an admin can try.
fn attempts() -> Vec<Event> {
    let roles = [Role::Member, Role::Moderator, Role::Owner];
    let changes = [
        MemberChange::Joined,
        MemberChange::Left,
        MemberChange::Invited,
        MemberChange::Removed,
        MemberChange::Banned,
        MemberChange::Unbanned,
        MemberChange::Muted,
        MemberChange::Unmuted,
        MemberChange::Profile,
    ];
    let changes = changes.into_iter().chain(roles.map(MemberChange::Role));
    let mut all = Vec::new();
    for actor in USERS {
        for (kind, public) in [(RoomKind::Group, true), (RoomKind::Channel, false)] {
            all.push(create(actor, kind, public));
        }
        all.push(delete(actor));
        for public in [true, false] {
            let fields = RoomEvent {
                public: Some(public),
                ..RoomEvent::default()
            };
            all.push(event(actor, Body::Room(fields)));
        }
        all.push(event(actor, Body::Message(Message::default())));
        for subject in USERS {
            all.extend(changes.clone().map(|change| member(actor, subject, change)));
        }
    }
    // An admin who is no member can try all of it as well.
    all.push(by_admin(delete("eve")));
    for subject in USERS {
        let changes = changes.clone();
        all.extend(changes.map(|change| by_admin(member("eve", subject, change))));
    }
    all
}

#[test]
fn every_sequence_of_two_users_keeps_the_invariants() {
    // Rooms of one shape behave alike, so one of each shape is followed: all sequences of any length are then
    // covered, once no new shape turns up.
    let attempts = attempts();
    let mut seen = BTreeSet::from([Room::default().shape()]);
    let mut frontier = vec![Room::default()];
    let mut steps = 0;
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for before in &frontier {
            for event in &attempts {
                let mut room = before.clone();
                let effect = room.apply(event);
                an_inhabited_room_has_an_owner(&room);
                totals_equal_a_recount(&room);
                only_members_have_roles(&room);
                folds_once(&room, event, &effect);
                a_void_event_changes_nothing(before, &room, &effect);
                if seen.insert(room.shape()) {
                    next.push(room);
                }
            }
        }
        frontier = next;
        steps += 1;
    }
    assert!(
        steps > 5 && seen.len() > 100,
        "{steps} steps, {} shapes",
        seen.len()
    );
}

// === single facts ===

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
    for event in attempts() {
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

// === pins ===

fn notice(sender: &str) -> Event {
    let text = "mind the step".to_owned();
    event(sender, Body::Notice { text, pinned: true })
}

fn pinning(sender: &str, pinned: Vec<Seq>) -> Event {
    let fields = RoomEvent {
        pinned: Some(pinned),
        ..RoomEvent::default()
    };
    event(sender, Body::Room(fields))
}

fn pins(room: &Room) -> Vec<Seq> {
    room.meta.clone().expect("created").pinned
}

#[test]
fn a_pinned_notice_stays_until_somebody_with_the_right_takes_it_down() {
    let mut room = Room::of(&[
        create("ann", RoomKind::Group, true),
        member("bob", "bob", MemberChange::Joined),
    ]);
    assert!(stands(&room.apply(&notice("ann"))));
    assert_eq!(pins(&room), [Seq(3)]);
    assert_eq!(room.apply(&pinning("bob", vec![])), Effect::Void);
    assert!(stands(&room.apply(&pinning("ann", vec![Seq(2), Seq(3)]))));
    assert_eq!(pins(&room), [Seq(2), Seq(3)]);
    assert!(stands(&room.apply(&pinning("ann", vec![]))));
    assert_eq!(pins(&room), []);
    let text = "not on top".to_owned();
    let passing = event(
        "ann",
        Body::Notice {
            text,
            pinned: false,
        },
    );
    assert_eq!(room.apply(&passing), Effect::Stands(Vec::new()));
}

#[test]
fn a_notice_stands_where_nothing_can_be_pinned() {
    assert_eq!(
        Room::default().apply(&notice("ann")),
        Effect::Stands(Vec::new())
    );
    let mut gone = Room::of(&[create("ann", RoomKind::Group, true), delete("ann")]);
    assert_eq!(gone.apply(&notice("ann")), Effect::Stands(Vec::new()));
}

#[test]
fn of_too_many_pins_the_first_goes_and_a_longer_list_is_void() {
    let mut room = Room::of(&[create("ann", RoomKind::Group, true)]);
    for _ in 0..PINS_MAX + 2 {
        room.apply(&notice("ann"));
    }
    let found = pins(&room);
    assert_eq!((found.len(), found[0]), (PINS_MAX, Seq(4)));
    let too_many = (1..=PINS_MAX as u64 + 1).map(Seq).collect();
    assert_eq!(room.apply(&pinning("ann", too_many)), Effect::Void);
}
