//! What a service that was asked to stop leaves in its consumer group: an offset for whoever watches lag.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use super::scale::is_stored;
use crate::harness::{
    Role, Shape, Stack, System, dynamo,
    traffic::{Followers, Post, Senders},
    wait::SOON,
};

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: i32 = 6;
const ROOMS: usize = 12;
const MESSAGES: usize = 1_200;

/// The next offset of each partition, from 0.
type Offsets = Vec<i64>;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_has_committed_how_far_it_came() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(alice.opens_room().await);
    }
    let posts = (0..MESSAGES).map(|number| Post {
        room: rooms[number % ROOMS].clone(),
        id: format!("m-{number}"),
        text: format!("message {number}"),
    });
    let gateways = system.gateways();
    let followed = vec![(alice.clone(), rooms.clone())];
    let followers = Followers::new(&gateways, followed, (MESSAGES / ROOMS) as u64);
    let mut senders = Senders::new(&gateways, vec![(alice.clone(), posts.collect())]);
    senders.release(MESSAGES);
    senders.in_full_flow(MESSAGES).await;

    // In the middle of the traffic: what it commits follows the rows it moved, and is never ahead of them.
    system.stop_gracefully(Role::Persister, 0).await;
    let (stored, committed_there) = (stored(&system).await, committed(&system.kafka, "persister"));
    assert!(committed_there.iter().sum::<i64>() > 0);
    let mut follows = committed_there.iter().zip(&stored);
    assert!(
        follows.all(|(committed, stored)| committed <= stored),
        "{committed_there:?} are committed, {stored:?} are stored"
    );

    // Stopped with nothing left to do, each has committed the log's end.
    system.restart(Role::Persister, 0).await;
    senders.finish().await;
    is_stored(&system, &followers.agreed().await).await;
    system.stop_gracefully(Role::Persister, 0).await;
    system.stop_gracefully(Role::Fanout, 0).await;
    let ends = ends(&system.kafka);
    assert_eq!(committed(&system.kafka, "persister"), ends);
    assert_eq!(committed(&system.kafka, "fanout-a"), ends);
}

/// Where the rows of the partitions say the store has come.
async fn stored(system: &System) -> Offsets {
    let rows = system.rows("partitions").await;
    let row_of = |partition: i32| {
        let key = dynamo::text(&format!("{TOPIC}/{partition}"));
        let row = rows.iter().find(|row| row["partition"] == key);
        row.map_or(0, |row| {
            let offset = row["offset"].as_n().expect("a number");
            offset.parse().expect("an offset")
        })
    };
    (0..PARTITIONS).map(row_of).collect()
}

/// A consumer that joins nothing.
fn reader(brokers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .create()
        .expect("a consumer")
}

/// What stands in the group; 0 where nothing does.
fn committed(brokers: &str, group: &str) -> Offsets {
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition(TOPIC, partition);
    }
    let found = reader(brokers, group).committed_offsets(all, SOON);
    let found = found.expect("an answer");
    let offset_of = |partition: i32| {
        let element = found.find_partition(TOPIC, partition).expect("asked for");
        match element.offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        }
    };
    (0..PARTITIONS).map(offset_of).collect()
}

/// Where the log ends.
fn ends(brokers: &str) -> Offsets {
    let reader = reader(brokers, "it-ends");
    let end_of = |partition| {
        let marks = reader.fetch_watermarks(TOPIC, partition, SOON);
        marks.expect("the watermarks").1
    };
    (0..PARTITIONS).map(end_of).collect()
}
