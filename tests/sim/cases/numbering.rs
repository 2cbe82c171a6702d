//! Who numbers after whom: snapshots, take-overs, and logs that are not what they were.

use roomlog_core::{
    ids::Seq,
    partition::partition_of,
    room_log::{Foreign, Outcome, RoomLog, Spec, Unfit},
};

use crate::{
    client::Client,
    log::{Draft, Log, room},
    owner::Said,
    stage::{OTHER, ROOM},
    world::{Fate, World},
};

#[test]
fn a_snapshot_write_is_lost_and_the_next_one_kept() {
    let mut world = World::with(&[("ann", 0)]);
    world.message(ROOM, "1");
    world.reads_all(0);
    world.fanout_writes(0, 0, false, true);
    world.make_room(OTHER, "bob");
    world.reads_all(0);
    world.fanout_writes(0, 0, true, true);
    assert!(
        !world.snapshot_is_trusted(),
        "the sum shows what is missing"
    );
    let untrusted = world.tally.untrusted;
    world.crash_fanout(1);
    world.reads_all(1);
    assert_eq!(world.tally.untrusted, untrusted + 1);
    world.groups[0][0]
        .owner
        .check_snapshot(&world.log, &world.redis);
    world.fanout_writes(0, 0, true, true);
    assert!(world.snapshot_is_trusted(), "the running owner mends it");
    world.heal();
}

#[test]
fn redis_is_rolled_back_by_a_failover() {
    let mut world = World::with(&[("ann", 0)]);
    for (name, id) in [(ROOM, "1"), (OTHER, "2"), (ROOM, "3")] {
        match name {
            OTHER => world.make_room(OTHER, "bob"),
            _ => world.message(name, id),
        }
        world.reads_all(0);
        world.groups[0][0].owner.begin_write();
        world.groups[0][0]
            .owner
            .end_write(&mut world.redis, true, true);
    }
    world.redis.roll_back(2);
    assert!(
        world.snapshot_is_trusted(),
        "it is one of a moment that was"
    );
    world.message(ROOM, "4");
    world.reads_all(0);
    world.groups[0][0].owner.begin_write();
    world.groups[0][0]
        .owner
        .end_write(&mut world.redis, true, true);
    assert!(
        !world.snapshot_is_trusted(),
        "a change on top of an older moment"
    );
    world.crash_fanout(1);
    world.reads_all(1);
    world.heal();
    assert!(world.snapshot_is_trusted());
}

#[test]
fn flushall_between_two_snapshot_writes() {
    let mut world = World::with(&[("ann", 0)]);
    world.make_room(OTHER, "bob");
    world.reads_all(0);
    world.fanout_writes(0, 0, true, true);
    world.redis.wipe();
    world.message(ROOM, "1");
    world.reads_all(0);
    world.fanout_writes(0, 0, true, true);
    assert!(world.redis.snapshot().is_some() && !world.snapshot_is_trusted());
    world.crash_fanout(0);
    world.reads_all(0);
    world.heal();
    assert!(world.snapshot_is_trusted());
}

#[test]
fn the_first_message_of_a_new_room_while_dynamodb_is_down_and_redis_is_empty() {
    let mut world = World::with(&[("ann", 0)]);
    world.messages(ROOM, 1..=9);
    world.settle();
    world.crash_fanout(1);
    world.redis.wipe();
    let new = &mut world.groups[1][0].owner;
    new.start(&world.log, &world.redis, &world.dynamo, &mut world.tally);
    (world.dynamo.down, world.redis.down) = (true, true);
    world.make_room(OTHER, "bob");
    world.reads_all(0);
    let served = world.groups[0][0].owner.head(&room(OTHER));
    assert_eq!(
        served.map(|(seq, _)| seq),
        Some(Seq(1)),
        "who knows the partition serves it"
    );
    let (waits, new) = (world.tally.waits, &mut world.groups[1][0].owner);
    let said = new.poll(&mut world.log, &world.dynamo, 9, true, &mut world.tally);
    assert!(!said.iter().any(|said| matches!(said, Said::Event { .. })));
    assert_eq!(world.tally.waits, waits + 1, "a new owner waits");
    // One that begins now finds no base at all, and waits as well.
    world.replace_fanout(1);
    world.reads_all(1);
    assert!(world.groups[1][1].owner.log.is_none());
    // All there is of the room is its log, and that says who may read it and who may not.
    let [bob, cy, old] = [("bob", OTHER), ("cy", OTHER), ("ann", ROOM)].map(|(user, name)| {
        world.clients.push(Client::new(user, room(name)));
        let client = world.clients.len() - 1;
        world.connect(client, 1);
        client
    });
    world.settle();
    world.says(bob, "first");
    world.settle();
    assert_eq!(world.screen(bob), ["make-room-2", "first"]);
    assert!(world.clients[bob].acknowledged.contains("first"));
    assert!(world.clients[cy].is_refused, "nobody let cy in");
    // What nobody can have all events of stays closed, and shows nothing, until the store answers.
    assert!(world.screen(old).is_empty() && world.screen(cy).is_empty());
    let served = world.groups[0][0].owner.head(&room(OTHER));
    world.heal();
    assert_eq!(world.screen(bob), ["make-room-2", "first"]);
    assert_eq!(world.clients[old].seen, world.head(ROOM));
    for fanout in &world.groups[1] {
        assert_eq!(fanout.owner.head(&room(OTHER)), served, "nothing is lost");
    }
}

#[test]
fn a_rebalance_in_the_middle_leaves_one_order() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    for id in 1..=9 {
        world.message(ROOM, &format!("m{id}"));
        if id % 3 == 0 {
            world.replace_fanout(0);
            world.replace_persister();
        }
        // The one that was replaced goes on as if nothing had happened.
        world.fanout_reads(0, 0, 2);
        world.round();
    }
    world.heal();
    assert_eq!(world.screen(0), world.screen(1));
}

#[test]
fn a_topic_recreated_with_lower_offsets_stops_its_readers() {
    let mut world = World::with(&[("ann", 0)]);
    world.messages(ROOM, 1..=9);
    world.settle();
    world.log = Log::new();
    world.make_room(ROOM, "bob");
    let stored = world.dynamo.start().0.offset;
    let past_end = Unfit::PastEnd {
        offset: stored,
        high: 1,
    };
    for with_snapshot in [true, false] {
        if !with_snapshot {
            world.redis.wipe();
        }
        world.crash_fanout(0);
        let owner = &mut world.groups[0][0].owner;
        owner.start(&world.log, &world.redis, &world.dynamo, &mut world.tally);
        assert_eq!(owner.refused, Some(past_end));
        assert!(owner.log.is_none(), "nothing is numbered anew");
    }
    world.crash_persister();
    let persister = &mut world.persisters[0];
    persister.start(&world.log, &world.dynamo);
    assert_eq!(persister.refused, Some(past_end));
    assert!(persister.log.is_none(), "nothing is stored over what was");
}

#[test]
fn partitions_added_behind_our_back_number_nothing_twice() {
    // With four partitions instead of two, new records of this room are placed in another one.
    assert_eq!(
        (
            partition_of(ROOM.as_bytes(), 2),
            partition_of(ROOM.as_bytes(), 4)
        ),
        (0, 2)
    );
    let mut world = World::with(&[("ann", 0)]);
    let mut added = RoomLog::empty(
        Spec {
            partition: 2,
            ..world.log.spec
        },
        1,
    );
    let mut elsewhere = Log::new();
    elsewhere.append(Draft::message(ROOM, "ann", "misplaced"), world.now_ms);
    let outcome = added.apply(&elsewhere.records[0].as_ref());
    assert_eq!(outcome, Outcome::Foreign(Foreign::Partition));
    // What was placed by the recorded count goes on without a hole.
    world.messages(ROOM, 1..=3);
    world.heal();
    assert_eq!(world.clients[0].seen, Seq(4));
}

#[test]
fn partitions_added_behind_our_back_lose_nothing_that_was_acknowledged() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.says(0, "before");
    world.lands(0, Fate::Acknowledged);
    world.live_partitions = 4;
    world.says(0, "after");
    world.lands(0, Fate::Acknowledged);
    // A gateway that begins now places by the recorded count as well.
    world.crash_gateway(1, 0);
    world.connect(1, 1);
    world.says(1, "answer");
    world.lands(1, Fate::Acknowledged);
    world.heal();
    assert!(world.elsewhere.is_empty());
    let screen = world.screen(0);
    assert_eq!(screen[2..], ["before", "after", "answer"]);
    assert_eq!(world.screen(1), screen);
    for (client, id) in [(0, "before"), (0, "after"), (1, "answer")] {
        assert!(world.clients[client].acknowledged.contains(id));
    }
}

#[test]
fn retention_behind_a_lagging_snapshot_is_noticed() {
    let mut world = World::with(&[("ann", 0)]);
    world.fanout_writes(0, 0, true, true);
    world.redis.down = true;
    world.messages(ROOM, 1..=9);
    world.settle();
    world.redis.down = false;
    world.log.trim(world.dynamo.start().0.offset - 1);
    world.crash_fanout(0);
    let partial = world.tally.partial;
    world.reads_all(0);
    assert_eq!(
        world.tally.partial,
        partial + 1,
        "the rows are further than the snapshot"
    );
    world.heal();
    world.log.trim(world.log.end().offset);
    world.message(ROOM, "last");
    world.log.trim(world.log.end().offset);
    world.crash_persister();
    let persister = &mut world.persisters[0];
    persister.start(&world.log, &world.dynamo);
    assert!(matches!(persister.refused, Some(Unfit::Trimmed { .. })));
}
