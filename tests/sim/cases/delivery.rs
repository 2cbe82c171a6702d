//! What reaches clients: whatever is lost or late on the way, each event once and in order.

use roomlog_core::{event::MemberChange, ids::Seq};

use crate::{
    client::Client,
    gateway::Slot,
    log::{Draft, room},
    stage::ROOM,
    world::{Fate, World},
};

#[test]
fn a_client_at_seq_100_reconnects_to_an_owner_that_has_only_read_to_98() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    while world.head(ROOM) < Seq(98) {
        let id = format!("m{}", world.head(ROOM));
        world.message(ROOM, &id);
        world.round();
    }
    world.settle();
    // Only the first group reads the last two events, and only the first gateway hears of them.
    world.messages(ROOM, 1_001..=1_002);
    world.reads_all(0);
    while world.gateway_hears(0, 0, 0) {}
    world.catch_up(0);
    assert_eq!(world.clients[0].seen, Seq(100));
    let second = world.groups[1][0].owner.head(&room(ROOM));
    assert_eq!(second.map(|(seq, _)| seq), Some(Seq(98)));
    // The first group and gateway are gone; the client comes to the other gateway.
    world.crash_fanout(0);
    world.connect(0, 1);
    world.gateway_serves(0);
    world.gateway_asks(1, 1);
    world.fanout_reads(1, 0, 0);
    world.catch_up(0);
    assert_eq!(
        world.clients[0].resets, 0,
        "nobody denies what the client has seen"
    );
    world.message(ROOM, "next");
    world.heal();
    assert_eq!(
        (world.clients[0].seen, world.clients[0].resets),
        (Seq(101), 0)
    );
}

#[test]
fn a_forward_is_dropped_with_no_later_event() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.faults.link = 100;
    world.message(ROOM, "last");
    world.reads_all(0);
    world.reads_all(1);
    world.faults.link = 0;
    world.hears_all(0);
    world.catch_up(0);
    assert_eq!(world.clients[0].seen, Seq(2), "nobody noticed");
    world.fanout_repeats_heads(0, 0);
    world.hears_all(0);
    world.gateway_tends(0, &room(ROOM), false);
    world.catch_up(0);
    assert_eq!(world.clients[0].seen, Seq(3));
    world.heal();
}

#[test]
fn a_hole_between_stored_rows_and_the_tail_is_never_skipped() {
    let mut world = World::with(&[("ann", 0)]);
    world.messages(ROOM, 1..=3);
    world.settle();
    world.dynamo.down = true;
    for id in 4..=13 {
        world.message(ROOM, &format!("m{id}"));
        world.reads_all(0);
        world.reads_all(1);
        world.hears_all(0);
    }
    world.catch_up(0);
    assert_eq!(world.clients[0].seen, Seq(14));
    // Of the events behind the stored ones neither a fanout's memory nor the tail has the first.
    world.redis.wipe();
    world.dynamo.down = false;
    world.clients.push(Client::new("ann", room(ROOM)));
    world.connect(1, 0);
    for _ in 0..9 {
        world.gateway_serves(1);
        world.catch_up(1);
    }
    assert_eq!(
        world.clients[1].seen,
        Seq(4),
        "it waits in front of the hole"
    );
    world.heal();
    assert_eq!(world.clients[1].seen, Seq(14));
}

#[test]
fn delivery_does_not_wait_for_the_stores() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    (world.dynamo.down, world.redis.down) = (true, true);
    for id in 1..=30 {
        world.says(0, &format!("m{id}"));
        world.round();
        world.round();
        assert_eq!(world.clients[1].seen, world.head(ROOM));
        assert!(world.clients[0].acknowledged.contains(&format!("m{id}")));
    }
    world.heal();
}

#[test]
fn one_dead_fanout_of_two_groups_is_not_noticed() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.groups[0].clear();
    for id in 1..=5 {
        world.says(0, &format!("m{id}"));
        world.lands(0, Fate::Acknowledged);
        world.reads_all(1);
        world.hears_all(1);
        world.catch_up(1);
        assert_eq!(world.clients[1].seen, world.head(ROOM));
    }
    world.replace_fanout(0);
    world.heal();
}

#[test]
fn what_comes_while_an_event_waits_for_rows_is_known_to_be_missing() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.append(Draft::member(ROOM, "cy", "in", "cy", MemberChange::Joined));
    world.messages(ROOM, 1..=5);
    world.reads_all(0);
    // The first one waits for a row, and more come than are held meanwhile.
    world.hears_all(1);
    let Some(Slot::Open(open)) = world.gateways[1].rooms.get(&room(ROOM)) else {
        panic!("bob looks at it");
    };
    assert_eq!(open.head(), world.head(ROOM));
    (0..3).for_each(|_| world.gateway_tends(1, &room(ROOM), false));
    world.catch_up(1);
    assert_eq!(world.clients[1].seen, world.head(ROOM));
    world.heal();
}
