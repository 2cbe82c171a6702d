//! Kafka, Redis and DynamoDB die, stand still, forget and refuse.

use std::time::Duration;

use roomlog_core::partition::partition_of;

use super::{is_full, system, under};
use crate::harness::{
    System,
    proxy::Mode,
    wait::{SOON, until},
};

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: u32 = 6;

/// Longer than a broker's session, so that its partitions get other leaders.
const STANDSTILL: Duration = Duration::from_secs(5);
/// How long a server is missed before it is started again.
const ABSENCE: Duration = Duration::from_secs(2);
const THROTTLED: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 109\r\n",
    "connection: close\r\n\r\n",
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"   }"#
);

#[tokio::test(flavor = "multi_thread")]
async fn no_server_of_others_is_missed() {
    let mut system = system().await;
    under(
        &mut system,
        "SIGKILL of the leader of a room's partition",
        async |system, load| {
            let leader = leader(system, &load.rooms()[0]).await;
            system.servers().kafka.node(leader).kill();
            load.lasts(ABSENCE).await;
            system.servers().kafka.restart(leader).await;
        },
    )
    .await;
    under(
        &mut system,
        "no space left on the disk of a broker",
        async |system, load| {
            system.servers().kafka.fill_disk().await;
            load.lasts(ABSENCE).await;
            system.servers().kafka.free_disk().await;
        },
    )
    .await;
    if is_full() {
        under(
            &mut system,
            "SIGSTOP of the leader of a room's partition",
            async |system, load| {
                let leader = leader(system, &load.rooms()[0]).await;
                system.servers().kafka.node(leader).freeze();
                load.lasts(STANDSTILL).await;
                system.servers().kafka.node(leader).thaw();
            },
        )
        .await;
        for node in 0..3 {
            under(
                &mut system,
                &format!("SIGKILL of broker {}", node + 1),
                async |system, load| {
                    system.servers().kafka.node(node).kill();
                    load.lasts(ABSENCE).await;
                    system.servers().kafka.restart(node).await;
                },
            )
            .await;
            under(
                &mut system,
                &format!("SIGSTOP of broker {}", node + 1),
                async |system, load| {
                    system.servers().kafka.node(node).freeze();
                    load.lasts(STANDSTILL).await;
                    system.servers().kafka.node(node).thaw();
                },
            )
            .await;
        }
    }
    under(&mut system, "Redis flushed", async |system, _| {
        system.servers().redis.wipe().await;
    })
    .await;
    under(
        &mut system,
        "SIGKILL of Redis, back empty",
        async |system, load| {
            system.servers().redis.process().kill();
            load.lasts(ABSENCE).await;
            system.servers().redis.restart().await;
        },
    )
    .await;
    under(
        &mut system,
        "DynamoDB stands still",
        async |system, load| {
            system.servers().dynamodb.process().freeze();
            load.lasts(STANDSTILL).await;
            system.servers().dynamodb.process().thaw();
        },
    )
    .await;
    for (fault, mode) in [
        ("DynamoDB refuses connections", Mode::Reset),
        ("DynamoDB throttles everything", Mode::Answer(THROTTLED)),
    ] {
        under(&mut system, fault, async |system, load| {
            let links = system.servers().links.as_ref().expect("a linked system");
            links.dynamodb.set(mode);
            load.lasts(STANDSTILL).await;
            links.dynamodb.set(Mode::Open);
        })
        .await;
    }
}

/// The broker that a room's messages go to.
async fn leader(system: &mut System, room: &str) -> usize {
    let partition = partition_of(room.as_bytes(), PARTITIONS);
    let kafka = &system.servers().kafka;
    until("the partition to have a leader", SOON, async || {
        kafka.leader(TOPIC, partition).await
    })
    .await
}

#[test]
fn the_canned_refusal_is_as_long_as_it_says() {
    let (_, body) = THROTTLED.split_once("\r\n\r\n").expect("a body");
    assert!(THROTTLED.contains(&format!("content-length: {}\r\n", body.len())));
}
