//! Kafka, Redis and DynamoDB die, stand still, forget and refuse.

use std::time::Duration;

use roomlog_core::partition::partition_of;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Course, is_full};
use crate::harness::{
    System,
    proxy::{Mode, Proxy},
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
/// A fault of its own, which passes.
const FAILED: &str = concat!(
    "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 84\r\n",
    "connection: close\r\n\r\n",
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"sorry" }"#
);
/// What it says while somebody has a permission wrong; trying again does not help until that is mended.
const REJECTED: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 87\r\n",
    "connection: close\r\n\r\n",
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","message":"denied" }"#
);
/// More than a socket's buffers hold, as batches of rows may be.
const LARGE_BODY_BYTES: usize = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_server_of_others_is_missed() {
    let mut course = Course::of_two().await;
    course
        .under(
            "SIGKILL of the leader of a room's partition",
            async |system, load| {
                let leader = leader(system, &load.rooms()[0]).await;
                system.servers().kafka.node(leader).kill();
                load.lasts(ABSENCE).await;
                system.servers().kafka.restart(leader).await;
            },
        )
        .await;
    course
        .under(
            "no space left on the disk of a broker",
            async |system, load| {
                system.servers().kafka.fill_disk().await;
                load.lasts(ABSENCE).await;
                system.servers().kafka.free_disk().await;
            },
        )
        .await;
    course
        .under(
            "SIGSTOP of the leader of a room's partition",
            async |system, load| {
                let leader = leader(system, &load.rooms()[0]).await;
                system.servers().kafka.node(leader).freeze();
                load.lasts(STANDSTILL).await;
                system.servers().kafka.node(leader).thaw();
            },
        )
        .await;
    let brokers = if is_full() { 3 } else { 1 };
    for node in 0..brokers {
        course
            .under(
                &format!("SIGKILL of broker {}", node + 1),
                async |system, load| {
                    system.servers().kafka.node(node).kill();
                    load.lasts(ABSENCE).await;
                    system.servers().kafka.restart(node).await;
                },
            )
            .await;
        course
            .under(
                &format!("SIGSTOP of broker {}", node + 1),
                async |system, load| {
                    system.servers().kafka.node(node).freeze();
                    load.lasts(STANDSTILL).await;
                    system.servers().kafka.node(node).thaw();
                },
            )
            .await;
    }
    course
        .under("Redis flushed", async |system, _| {
            system.servers().redis.wipe().await;
        })
        .await;
    course
        .under("SIGKILL of Redis, back empty", async |system, load| {
            system.servers().redis.process().kill();
            load.lasts(ABSENCE).await;
            system.servers().redis.restart().await;
        })
        .await;
    course
        .under("DynamoDB stands still", async |system, load| {
            system.servers().dynamodb.process().freeze();
            load.lasts(STANDSTILL).await;
            system.servers().dynamodb.process().thaw();
        })
        .await;
    for (fault, mode) in [
        ("DynamoDB refuses connections", Mode::Reset),
        ("DynamoDB throttles everything", Mode::Answer(THROTTLED)),
        ("DynamoDB fails at everything", Mode::Answer(FAILED)),
        ("DynamoDB rejects everything", Mode::Answer(REJECTED)),
    ] {
        course
            .under(fault, async |system, load| {
                let links = system.servers().links.as_ref().expect("a linked system");
                links.dynamodb.set(mode);
                load.lasts(STANDSTILL).await;
                links.dynamodb.set(Mode::Open);
            })
            .await;
    }
    course.ends().await;
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
fn canned_answers_are_as_long_as_they_say() {
    for answer in [THROTTLED, FAILED, REJECTED] {
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let length = format!("content-length: {}\r\n", body.len());
        assert!(answer.contains(&length), "{length}");
    }
}

#[tokio::test]
async fn a_large_request_is_answered_like_any_other() {
    let nobody = Proxy::to(0).await;
    nobody.set(Mode::Answer(THROTTLED));
    let mut client = TcpStream::connect(nobody.address()).await.expect("a link");
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {LARGE_BODY_BYTES}\r\n\r\n");
    client.write_all(head.as_bytes()).await.expect("the head");
    let body = vec![0; LARGE_BODY_BYTES];
    client.write_all(&body).await.expect("the body");
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer).await;
    read.expect("an answer, and then a good end");
    assert_eq!(answer, THROTTLED);
}
