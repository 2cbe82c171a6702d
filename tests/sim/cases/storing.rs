//! What is stored, and what a half-finished write leaves behind.

use roomlog_core::{event::Body, ids::Seq};

use crate::{
    log::{Draft, room, user},
    persister::{MarkStore, ReadMark},
    stage::ROOM,
    world::World,
};

#[test]
fn a_later_window_finishes_while_an_earlier_one_is_throttled_then_a_kill() {
    let mut world = World::quiet();
    world.make_room(ROOM, "ann");
    world.messages(ROOM, 1..=5);
    let persister = &mut world.persisters[0];
    persister.start(&world.log, &world.dynamo);
    for _ in 0..2 {
        persister.poll(&mut world.log, &world.dynamo, 3, true, &mut world.tally);
    }
    assert_eq!(persister.windows(), 2);
    // Whatever the store takes of the earlier one while it throttles, it does not say so.
    world.dynamo.throttled = 100;
    for _ in 0..9 {
        let (log, random) = (&world.log, &mut world.random);
        persister.write_some(log, &mut world.dynamo, random, &mut world.tally);
    }
    assert_eq!(
        (persister.windows(), world.dynamo.refused.writes.get()),
        (2, 9)
    );
    persister.write_events(1, 3, &world.log, &mut world.dynamo, &mut world.tally);
    assert_eq!(persister.windows(), 1, "the later window is stored");
    world.dynamo.throttled = 0;
    (0..20).for_each(|_| persister.move_row(&mut world.dynamo));
    let is_stored = |seq| world.dynamo.events.contains_key(&(room(ROOM), Seq(seq)));
    assert!((4..=6).all(is_stored));
    assert!(world.dynamo.rooms.is_empty() && world.dynamo.partition.is_none());
    world.check();
    world.crash_persister();
    world.heal();
    assert_eq!(
        world.dynamo.head(&room(ROOM)).map(|head| head.seq),
        Some(Seq(6))
    );
}

#[test]
fn a_persister_that_does_not_know_it_was_replaced_stores_the_same() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.messages(ROOM, 1..=4);
    let old = &mut world.persisters[0];
    old.poll(&mut world.log, &world.dynamo, 4, true, &mut world.tally);
    world.replace_persister();
    let new = &mut world.persisters[1];
    new.start(&world.log, &world.dynamo);
    new.poll(&mut world.log, &world.dynamo, 4, true, &mut world.tally);
    new.write_events(0, 4, &world.log, &mut world.dynamo, &mut world.tally);
    (0..20).for_each(|_| new.move_row(&mut world.dynamo));
    world.check();
    // The old one writes the same rows once more, and its moves come too late to move anything back.
    let old = &mut world.persisters[0];
    old.write_events(0, 4, &world.log, &mut world.dynamo, &mut world.tally);
    let partition = world.dynamo.start();
    (0..20).for_each(|_| old.move_row(&mut world.dynamo));
    assert_eq!(world.dynamo.start(), partition);
    world.heal();
}

#[test]
fn a_reaction_applied_by_a_stale_reader_changes_nothing() {
    let mut world = World::with(&[("ann", 0)]);
    let react = |id: &str, on| {
        let (target, emoji) = (Seq(1), "+1".to_owned());
        Draft::of(ROOM, "ann", id, Body::Reaction { target, emoji, on })
    };
    world.append(react("on", true));
    let stale = &mut world.persisters[0];
    stale.poll(&mut world.log, &world.dynamo, 1, true, &mut world.tally);
    world.append(react("off", false));
    world.replace_persister();
    let new = &mut world.persisters[1];
    new.start(&world.log, &world.dynamo);
    new.poll(&mut world.log, &world.dynamo, 2, true, &mut world.tally);
    new.write_events(0, 2, &world.log, &mut world.dynamo, &mut world.tally);
    (0..20).for_each(|_| new.move_row(&mut world.dynamo));
    let is_on = |world: &World| {
        let amended = world.dynamo.amended(&room(ROOM));
        let reactions = amended
            .of(Seq(1))
            .map(|of| of.reactions(&user("ann")).len());
        reactions.expect("it is stored") > 0
    };
    assert!(!is_on(&world));
    let stale = &mut world.persisters[0];
    stale.write_events(0, 1, &world.log, &mut world.dynamo, &mut world.tally);
    (0..20).for_each(|_| stale.move_row(&mut world.dynamo));
    assert!(!is_on(&world));
    world.heal();
}

/// Edits, deletions and reactions of one message, and what they come to, in the order they have in the log.
fn changes() -> Vec<Draft> {
    let target = Seq(3);
    let react = |on| Body::Reaction {
        target,
        emoji: "+1".to_owned(),
        on,
    };
    let edit = |text: &str| Body::Edit {
        target,
        text: text.to_owned(),
    };
    let bodies = [
        ("bob", edit("not mine")),
        ("ann", edit("first")),
        ("bob", react(true)),
        ("ann", react(true)),
        ("bob", react(false)),
        ("ann", edit("second")),
    ];
    let drafts = bodies.into_iter().enumerate();
    drafts
        .map(|(index, (sender, body))| Draft::of(ROOM, sender, &format!("c{index}"), body))
        .collect()
}

#[test]
fn edits_and_reactions_come_to_the_same_however_far_the_store_is() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.message(ROOM, "text");
    for draft in changes() {
        world.append(draft);
    }
    // Two persisters store the same changes, each its own way, and the world checks after every row.
    world.replace_persister();
    for (which, records) in [(0, 2), (1, 5), (0, 3), (1, 9), (0, 9)] {
        let persister = &mut world.persisters[which];
        persister.start(&world.log, &world.dynamo);
        persister.poll(
            &mut world.log,
            &world.dynamo,
            records,
            true,
            &mut world.tally,
        );
        for _ in 0..40 {
            let persister = &mut world.persisters[which];
            if persister.windows() > 0 {
                persister.write_events(0, 9, &world.log, &mut world.dynamo, &mut world.tally);
            }
            persister.move_row(&mut world.dynamo);
            world.check();
        }
    }
    let amended = world.dynamo.amended(&room(ROOM));
    let message = amended.of(Seq(3)).expect("it is stored");
    let text = message.edit(&user("ann")).map(|edit| edit.text.as_str());
    assert_eq!(text, Some("second"));
    let reactions = message.reactions(&user("bob"));
    assert_eq!((reactions[0].count, reactions[0].is_own), (1, false));
    world.append(Draft::of(
        ROOM,
        "ann",
        "gone",
        Body::Delete { target: Seq(3) },
    ));
    let (target, text) = (Seq(3), "late".to_owned());
    world.append(Draft::of(ROOM, "ann", "late", Body::Edit { target, text }));
    world.heal();
    let amended = world.dynamo.amended(&room(ROOM));
    assert!(amended.deletion(Seq(3)).is_some());
    assert_eq!(
        amended.of(Seq(3)).and_then(|of| of.edit(&user("ann"))),
        None
    );
}

#[test]
fn read_positions_never_move_back_whoever_stores_them() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.messages(ROOM, 1..=6);
    world.settle();
    let mark = |seq| ReadMark {
        room: room(ROOM),
        user: user("bob"),
        to: (Seq(seq), roomlog_core::ids::Count(seq - 2)),
    };
    let before = world.marks.len();
    world.marks.extend([mark(4), mark(8), mark(5)]);
    world.mark_stores.push(MarkStore::default());
    for (which, most) in [(0, 2), (1, 1), (0, 1), (1, 5)] {
        let store = &mut world.mark_stores[which];
        store.store(&world.marks, before + most, &mut world.dynamo, world.rules);
        world.check();
    }
    let position = world.dynamo.reads[&(room(ROOM), user("bob"))];
    assert_eq!(position.0, Seq(8));
    world.heal();
}

#[test]
fn a_poison_record_in_the_middle_keeps_its_place_and_is_put_aside_first() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.message(ROOM, "before");
    world.append(Draft::poison(ROOM, "bob", "poison"));
    world.message(ROOM, "behind");
    let poison = world.log.records[3].position;
    let fanout = &mut world.groups[0][0];
    let said = fanout
        .owner
        .poll(&mut world.log, &world.dynamo, 9, false, &mut world.tally);
    assert_eq!(said.len(), 1, "nothing passes what is not put aside yet");
    fanout.say(said, &mut world.random, 0);
    assert!(!world.log.put_aside.contains(&poison));
    world.settle();
    assert!(world.log.put_aside.contains(&poison));
    assert_eq!(
        world.screen(0),
        ["make-room-0", "join-bob", "before", "poison", "behind"]
    );
    world.heal();
}
