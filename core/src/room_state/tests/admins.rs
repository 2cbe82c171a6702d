//! What an event that says it is an admin's may change.

use super::*;

#[test]
fn an_admin_needs_no_role_in_a_room_of_any_kind() {
    let direct: RoomKey = crate::ids::RoomId::direct(&user("ann"), &user("bob")).into();
    let altered = |fields| event("eve", Body::Room(fields));
    for kind in RoomKind::ALL.iter().copied() {
        let there = |mut event: Event| {
            if kind == RoomKind::Direct {
                event.key = direct.clone();
            }
            event
        };
        let mut room = Room::of(&[
            there(create("ann", kind, kind != RoomKind::Direct)),
            there(member("bob", "bob", MemberChange::Joined)),
        ]);
        let bob = |change| member("eve", "bob", change);
        for step in [
            bob(MemberChange::Muted),
            bob(MemberChange::Unmuted),
            bob(MemberChange::Role(Role::Moderator)),
            bob(MemberChange::Banned),
            bob(MemberChange::Unbanned),
            bob(MemberChange::Invited),
            bob(MemberChange::Removed),
            pinning("eve", vec![Seq(2)]),
            altered(RoomEvent {
                name: Some("hall".into()),
                ..RoomEvent::default()
            }),
            altered(RoomEvent {
                slow_mode_s: Some(5),
                ..RoomEvent::default()
            }),
            delete("eve"),
        ] {
            let step = there(step);
            let unmarked = room.apply(&step);
            assert_eq!(unmarked, Effect::Void, "{kind:?}: {step:?}");
            let marked = room.apply(&by_admin(step.clone()));
            assert!(stands(&marked), "{kind:?}: {step:?}");
        }
    }
}

#[test]
fn an_admin_comes_in_where_nobody_asked_them_and_goes() {
    let mut room = Room::of(&[
        create("ann", RoomKind::Group, false),
        member("ann", "eve", MemberChange::Banned),
    ]);
    let eve = |change| member("eve", "eve", change);
    assert_eq!(room.apply(&eve(MemberChange::Joined)), Effect::Void);
    assert!(stands(&room.apply(&by_admin(eve(MemberChange::Joined)))));
    assert!(stands(&room.apply(&by_admin(eve(MemberChange::Left)))));
}

#[test]
fn not_even_an_admin_takes_the_last_owner_away() {
    let away = [
        MemberChange::Removed,
        MemberChange::Banned,
        MemberChange::Role(Role::Member),
    ];
    for change in away {
        let mut room = Room::of(&[
            create("ann", RoomKind::Group, true),
            member("bob", "bob", MemberChange::Joined),
        ]);
        let ann = by_admin(member("eve", "ann", change));
        assert_eq!(room.apply(&ann), Effect::Void, "{change:?}");
        let owner = MemberChange::Role(Role::Owner);
        assert!(stands(&room.apply(&by_admin(member("eve", "bob", owner)))));
        assert!(stands(&room.apply(&ann)), "{change:?}");
    }
}
