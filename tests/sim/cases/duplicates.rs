//! What is sent again: shown once within the window, by everyone alike.

use roomlog_core::room_log::WINDOW_MS;

use crate::{
    log::{Draft, WINDOW_OFFSETS},
    stage::{OTHER, ROOM},
    world::{Fate, World},
};

/// A message, so many other records and so much time later the same one again: read by a fanout and a persister that lived
/// through all of it, and by one of each that began in between. How often it is an event.
fn times_after(records: i64, ms: i64) -> usize {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.make_room(OTHER, "bob");
    world.message(ROOM, "m");
    world.settle();
    (0..records).for_each(|id| world.message(OTHER, &format!("between-{id}")));
    world.settle();
    world.crash_fanout(1);
    world.replace_persister();
    world.now_ms += ms;
    world.message(ROOM, "m");
    world.heal();
    // All four agree, or a checker would have said so.
    world.seqs("ann", "m").len()
}

#[test]
fn a_resend_25_hours_later_is_a_new_event_for_old_and_new_owners() {
    assert_eq!(times_after(3, 25 * 60 * 60 * 1_000), 2);
}

#[test]
fn a_resend_just_inside_the_window_is_shown_once_by_old_and_new_owners() {
    assert_eq!(times_after(WINDOW_OFFSETS - 1, 0), 1);
    assert_eq!(times_after(0, WINDOW_MS), 1);
    assert_eq!(times_after(WINDOW_OFFSETS - 1, WINDOW_MS), 1);
}

#[test]
fn a_resend_just_outside_the_window_is_a_new_event_for_old_and_new_owners() {
    assert_eq!(times_after(WINDOW_OFFSETS, 0), 2);
    assert_eq!(times_after(0, WINDOW_MS + 1), 2);
}

#[test]
fn the_window_survives_takeover_and_restart_of_fanout_and_persister() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    for round in 0..8 {
        world.says(0, &format!("m{round}"));
        world.lands(0, Fate::Acknowledged);
        match round % 4 {
            0 => world.crash_fanout(0),
            1 => world.crash_persister(),
            2 => world.replace_fanout(1),
            _ => world.redis.wipe(),
        }
        // Every message so far once more, from a client that never heard of its receipts.
        for earlier in 0..=round {
            world.message(ROOM, &format!("m{earlier}"));
        }
        world.heal();
    }
    let once = |round| world.seqs("ann", &format!("m{round}")).len();
    assert!((0..8).all(|round| once(round) == 1));
    assert_eq!(world.screen(0), world.screen(1));
}

#[test]
fn m1_timed_out_m2_acknowledged_m1_resent() {
    for is_in_the_log in [true, false] {
        let mut world = World::with(&[("ann", 0), ("bob", 1)]);
        world.says(0, "m1");
        world.lands(
            0,
            if is_in_the_log {
                Fate::Unanswered
            } else {
                Fate::Lost
            },
        );
        world.says(0, "m2");
        world.catch_up(0);
        assert_eq!(
            world.clients[0].unsent, 2,
            "m2 waits for m1 in this session"
        );
        assert!(world.gateways[0].producing.is_empty());
        // Another session knows nothing of that, and its m2 is acknowledged.
        world.connect(0, 1);
        world.says_again(0, "m2");
        world.lands(1, Fate::Acknowledged);
        world.says_again(0, "m1");
        world.lands(1, Fate::Acknowledged);
        world.heal();
        let order = match is_in_the_log {
            true => ["m1", "m2"],
            false => ["m2", "m1"],
        };
        assert_eq!(world.screen(1)[2..], order);
        assert_eq!(world.screen(0), world.screen(1));
    }
}

#[test]
fn within_a_session_a_resend_is_not_overtaken() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.says(0, "m1");
    world.lands(0, Fate::Lost);
    world.says(0, "m2");
    world.says_again(0, "m1");
    world.lands(0, Fate::Acknowledged);
    world.says_again(0, "m2");
    world.lands(0, Fate::Acknowledged);
    world.heal();
    assert_eq!(world.screen(1)[2..], ["m1", "m2"]);
}

#[test]
fn the_same_message_through_two_gateways_is_shown_once() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.says(0, "m");
    world.connect(0, 1);
    world.says_again(0, "m");
    world.lands(1, Fate::Acknowledged);
    world.message(OTHER, "between");
    world.lands(0, Fate::Acknowledged);
    world.heal();
    assert_eq!(world.seqs("ann", "m").len(), 1);
    assert!(world.clients[0].acknowledged.contains("m"));
}

#[test]
fn what_arrives_after_its_resend_is_a_retry_too() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.says(0, "m");
    world.lands(0, Fate::Adrift);
    world.says_again(0, "m");
    world.lands(0, Fate::Acknowledged);
    let late: Vec<Draft> = world.adrift.drain(..).collect();
    late.into_iter().for_each(|draft| world.append(draft));
    world.heal();
    assert_eq!(world.seqs("ann", "m").len(), 1);
}

#[test]
fn nothing_is_receipted_that_the_log_does_not_have() {
    let mut world = World::with(&[("ann", 0)]);
    for (id, fate) in [
        ("a", Fate::Lost),
        ("b", Fate::Unanswered),
        ("c", Fate::Adrift),
    ] {
        world.connect(0, 0);
        world.says(0, id);
        world.lands(0, fate);
        world.catch_up(0);
        assert!(world.clients[0].acknowledged.is_empty());
    }
    world.heal();
    assert_eq!(world.clients[0].acknowledged.len(), 3);
}
