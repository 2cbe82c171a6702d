//! Every sequence of what two users and an admin can try keeps the invariants.

use std::collections::BTreeSet;

use super::*;

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

/// Everything two users and an admin can try.
pub(super) fn attempts() -> Vec<Event> {
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
