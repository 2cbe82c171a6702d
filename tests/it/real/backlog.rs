//! A persister that comes back to a long backlog, with a store that stands still: it waits in bounded memory.

use std::collections::BTreeSet;

use crate::harness::{
    Role, Room, Shape, Stack, System, dynamo,
    traffic::{Post, Senders},
    wait::{SOON, until},
};

/// The backlog: 120 MB of text in one partition's log.
const MESSAGES: usize = 20_000;
const TEXT_BYTES: usize = 6_000;
const SENDERS: usize = 4;
/// What a persister's memory may grow by beyond what it takes with nothing to do. What it holds of a partition
/// is bounded by its windows begun (1,600 events), the requests under way (400 events, thrice: as rows, as JSON and in the
/// socket), a batch of 500 packed, a buffer of 1 MiB and the client's prefetch of 16 MiB: some 40 MB here. The rest is
/// for the allocator, the windows of ids and what a debug build adds.
const GROWTH_BYTES_MAX: u64 = 80 << 20;
/// The store stands still once so many are stored: the persister is in full flow, and nearly everything lies ahead.
const STORED_AT_FIRST: f64 = 200.0;

const STORED: &str = "roomlog_persister_events_stored_total ";
const STALLED: &str = "roomlog_persister_stalled ";

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_waits_in_bounded_memory_while_the_store_stands_still_and_is_stored_then() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let at_rest = memory(&mut system);
    system.stop_gracefully(Role::Persister, 0).await;
    let share = |sender: usize| {
        let numbers = (0..MESSAGES).filter(move |number| number % SENDERS == sender);
        let posts = numbers.map(|number| Post {
            room: room.clone(),
            id: format!("m-{number}"),
            text: format!("{number:.<TEXT_BYTES$}"),
        });
        (alice.clone(), posts.collect())
    };
    let plans = (0..SENDERS).map(share).collect();
    let mut senders = Senders::new(&system.gateways(), plans);
    senders.release(MESSAGES);
    let posted = senders.finish().await;

    system.restart(Role::Persister, 0).await;
    until("the persister to begin", SOON, async || {
        (figure(&system, STORED).await >= STORED_AT_FIRST).then_some(())
    })
    .await;

    system.servers().dynamodb.process().freeze();
    until(
        "it to notice that the store stands still",
        SOON,
        async || (figure(&system, STALLED).await > 0.0).then_some(()),
    )
    .await;
    let stored = figure(&system, STORED).await;
    assert!(
        stored < MESSAGES as f64 / 2.0,
        "{stored} are stored already"
    );
    let mut peak = settled(&mut system).await;
    system.servers().dynamodb.process().thaw();
    until("everything to be stored", SOON * 2, async || {
        peak = peak.max(memory(&mut system));
        (figure(&system, STORED).await >= MESSAGES as f64).then_some(())
    })
    .await;
    let grown = peak.saturating_sub(at_rest);
    assert!(
        grown <= GROWTH_BYTES_MAX,
        "{grown} bytes more than {at_rest}"
    );
    let ids: BTreeSet<String> = posted.into_iter().map(|post| post.id).collect();
    until("the table to hold every message once", SOON, async || {
        let (seqs, stored) = stored_of(&system, &room).await;
        let dense = seqs.iter().copied().eq(1..=seqs.len() as u64);
        (dense && stored == ids).then_some(())
    })
    .await;
}

fn memory(system: &mut System) -> u64 {
    system.process(Role::Persister, 0).resident_bytes()
}

/// Its memory once it has taken all it takes: it grows no more between two looks.
async fn settled(system: &mut System) -> u64 {
    let mut last = 0;
    until("the persister to take no more", SOON, async || {
        let now = memory(system);
        let is_settled = now <= last;
        last = last.max(now);
        is_settled.then_some(last)
    })
    .await
}

/// A figure of the persister's, without labels; 0 where it shows none yet.
async fn figure(system: &System, name: &str) -> f64 {
    let figures = system.admin(Role::Persister, 0).get("/metrics").await.ok();
    let text = figures.as_str().unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// The seqs of a room's stored events, and the ids of its messages among them.
async fn stored_of(system: &System, room: &Room) -> (BTreeSet<u64>, BTreeSet<String>) {
    let client = dynamo::client(&system.dynamodb);
    let mut pages = client
        .query()
        .table_name(system.table("events"))
        .key_condition_expression("room_shard = :key")
        .expression_attribute_values(":key", dynamo::text(&format!("{room}/0")))
        .projection_expression("seq, id, #type")
        .expression_attribute_names("#type", "type")
        .consistent_read(true)
        .into_paginator()
        .send();
    let (mut seqs, mut ids) = (BTreeSet::new(), BTreeSet::new());
    while let Some(page) = pages.next().await {
        for row in page.expect("a page of the table").items.unwrap_or_default() {
            let seq = row["seq"].as_n().expect("a number");
            seqs.insert(seq.parse().expect("a number"));
            if row["type"] == dynamo::text("message") {
                ids.insert(row["id"].as_s().expect("a text").clone());
            }
        }
    }
    (seqs, ids)
}
