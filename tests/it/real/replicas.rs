//! A replica is alone: what it alone has is nothing that the log has.

use roomlog_core::partition::partition_of;

use crate::harness::{
    Frame, Room, Shape, Stack, System,
    wait::{SOON, until},
};

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: u32 = 6;
const BROKERS: usize = 3;
/// How long the log may take before a sender is told that nobody knows.
const MESSAGE_TIMEOUT: &str = "5s";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_receipted_while_one_replica_is_alone() {
    let settings = [("ROOMLOG_KAFKA_MESSAGE_TIMEOUT", MESSAGE_TIMEOUT)];
    let shape = Shape::single(Stack::Real { brokers: BROKERS });
    let mut system = System::start_with(shape, &settings).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut watching, head) = alice.watches(&room).await;
    // A cluster just born may take longer for its first records than a sender is kept waiting here.
    alice.gets_through(post(&room, "before")).await;
    let mut client = alice.connects().await;
    let kafka = &mut system.servers().kafka;
    kafka.in_step().await;
    let partition = partition_of(room.as_bytes(), PARTITIONS);
    let leader = until("the partition to have a leader", SOON, async || {
        kafka.leader(TOPIC, partition).await
    })
    .await;
    let others = (0..BROKERS).filter(|node| *node != leader);
    for node in others.clone() {
        kafka.node(node).freeze();
    }

    // The leader takes the record, and says nothing while nobody copies it.
    client
        .send(&post(&room, "alone").with("receipt", "alone"))
        .await;
    let (error, _) = client.error().await;
    assert_eq!(error.header("code"), "log-unavailable", "{error:?}");
    let receipts = client.all_kept("RECEIPT");
    assert!(receipts.is_empty(), "{receipts:?}");

    for node in others {
        kafka.node(node).thaw();
    }
    alice.gets_through(post(&room, "alone")).await;
    alice.gets_through(post(&room, "end")).await;
    for (index, id) in ["before", "alone", "end"].into_iter().enumerate() {
        let message = watching.message(&room).await;
        assert_eq!(message.json()["id"], id, "shown once and in order");
        assert_eq!(message.number("seq"), head + 1 + index as u64);
    }
}

fn post(room: &Room, id: &str) -> Frame {
    Frame::send(room, id).with("id", id)
}
