//! What is on top of a room.

use super::*;

fn notice(sender: &str) -> Event {
    let text = "mind the step".to_owned();
    event(sender, Body::Notice { text, pinned: true })
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
