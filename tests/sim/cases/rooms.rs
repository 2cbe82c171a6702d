//! Who may do what, decided by the log and nothing else.

use roomlog_core::{
    event::{MemberChange, Role},
    ids::Seq,
};

use crate::{
    client::Client,
    log::{Draft, room, user},
    stage::ROOM,
    world::{Fate, World},
};

fn change(sender: &'static str, id: &str, whose: &str, change: MemberChange) -> Draft {
    Draft::member(ROOM, sender, id, whose, change)
}

#[test]
fn a_ban_known_to_one_gateway_only() {
    let mut world = World::with(&[("ann", 0), ("bob", 1), ("bob", 0)]);
    world.append(change("ann", "ban", "bob", MemberChange::Banned));
    let ban = world.head(ROOM);
    world.reads_all(0);
    world.hears_all(0);
    world.says(2, "refused");
    world.catch_up(2);
    assert_eq!(world.clients[2].forbidden, 1, "this gateway knows of it");
    world.says(1, "stands");
    world.lands(1, Fate::Acknowledged);
    world.heal();
    assert_eq!(
        world.seqs("bob", "stands"),
        [ban.0 + 1],
        "a message is never void"
    );
    assert_eq!(world.screen(0).last(), Some(&"stands"));
    for client in [1, 2] {
        assert_eq!(
            world.clients[client].seen, ban,
            "the ban is the last thing they see"
        );
    }
}

#[test]
fn two_creators_of_one_room() {
    let mut world = World::quiet();
    for (client, name) in ["ann", "bob"].into_iter().enumerate() {
        world.clients.push(Client::new(name, room(ROOM)));
        world.connect(client, client);
        world.write(
            client,
            Draft::creation(ROOM, name, &format!("make-by-{name}")),
        );
    }
    world.lands(1, Fate::Acknowledged);
    world.lands(0, Fate::Acknowledged);
    world.heal();
    let first = world.log.state(&room(ROOM), Seq(1));
    let second = world.log.state(&room(ROOM), Seq(2));
    assert!(!first.is_void && second.is_void);
    assert!(second.has(&user("bob")) && !second.has(&user("ann")));
    assert_eq!(world.dynamo.rooms[&room(ROOM)].meta, second.meta);
}

#[test]
fn two_last_owners_leave_at_once() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.append(change(
        "ann",
        "promote",
        "bob",
        MemberChange::Role(Role::Owner),
    ));
    world.settle();
    for (client, name) in [(0, "ann"), (1, "bob")] {
        world.write(
            client,
            change(name, &format!("{name}-leaves"), name, MemberChange::Left),
        );
    }
    world.lands(0, Fate::Acknowledged);
    world.lands(1, Fate::Acknowledged);
    world.heal();
    let state = world.log.state(&room(ROOM), world.head(ROOM));
    assert!(state.is_void && state.has(&user("bob")) && !state.has(&user("ann")));
    assert_eq!(
        state.meta.as_ref().map(|meta| (meta.members, meta.owners)),
        Some((1, 1))
    );
}

#[test]
fn a_room_is_opened_while_the_store_moves_on() {
    let mut world = World::quiet();
    world.make_room(ROOM, "ann");
    world.reads_all(0);
    world.clients.push(Client::new("ann", room(ROOM)));
    world.connect(0, 0);
    // The room's row is read before the room is stored, its creator's row after it.
    world.gateway_tends(0, &room(ROOM), false);
    let persister = &mut world.persisters[0];
    persister.start(&world.log, &world.dynamo);
    persister.poll(&mut world.log, &world.dynamo, 1, true, &mut world.tally);
    persister.write_events(0, 1, &world.log, &mut world.dynamo, &mut world.tally);
    (0..9).for_each(|_| persister.move_row(&mut world.dynamo));
    world.heal();
    assert_eq!(world.clients[0].seen, Seq(1));
}

#[test]
fn a_gateway_behind_the_store_judges_nothing_by_its_newer_rows() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    // A stranger joins and leaves; the store knows all of it before one gateway hears of the first.
    world.append(change("cy", "in", "cy", MemberChange::Joined));
    world.append(change("cy", "out", "cy", MemberChange::Left));
    world.append(change("cy", "again", "cy", MemberChange::Joined));
    let persister = &mut world.persisters[0];
    persister.poll(&mut world.log, &world.dynamo, 3, true, &mut world.tally);
    persister.write_events(0, 3, &world.log, &mut world.dynamo, &mut world.tally);
    (0..20).for_each(|_| persister.move_row(&mut world.dynamo));
    world.reads_all(0);
    world.hears_all(1);
    world.gateway_tends(1, &room(ROOM), false);
    assert!(world.tally.reopened > 0);
    assert_eq!(world.tally.unjudged, 0);
    world.heal();
    assert_eq!(world.screen(0), world.screen(1));
}

#[test]
fn a_ban_nobody_could_judge_keeps_the_banned_out() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    // The second gateway has never looked up who bans, and the store is down.
    world.append(change("ann", "promote", "bob", MemberChange::Muted));
    world.append(change("ann", "ban", "bob", MemberChange::Banned));
    let ban = world.head(ROOM);
    world.dynamo.down = true;
    world.message(ROOM, "behind");
    world.settle();
    assert_eq!(world.clients[0].seen, world.head(ROOM));
    assert_eq!(world.clients[1].seen, ban);
    world.heal();
    assert_eq!(world.clients[1].seen, ban);
}

#[test]
fn what_was_shown_without_the_store_is_judged_once_it_answers() {
    let mut world = World::with(&[("ann", 0), ("bob", 1)]);
    world.dynamo.down = true;
    // Nobody here knows cy, so nobody can say whether this one stands, nor what comes of the next.
    world.append(change("cy", "in", "cy", MemberChange::Joined));
    world.append(change("ann", "role", "cy", MemberChange::Role(Role::Owner)));
    world.append(change("ann", "out", "ann", MemberChange::Left));
    let left = world.head(ROOM);
    world.message(ROOM, "behind");
    world.settle();
    assert_eq!(
        world.clients[1].seen,
        world.head(ROOM),
        "bob waits for nothing"
    );
    assert_eq!(world.clients[0].seen, left, "ann is taken to be out");
    assert!(world.tally.unjudged > 0);
    world.clients.push(Client::new("cy", room(ROOM)));
    world.connect(2, 1);
    world.settle();
    assert_eq!(world.clients[2].seen, Seq::ZERO, "nobody gets in by it");
    world.dynamo.down = false;
    world.heal();
    assert_eq!(world.clients[2].seen, world.head(ROOM));
}
