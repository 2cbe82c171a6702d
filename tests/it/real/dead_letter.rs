//! A record nobody can read keeps its place, and what the dead-letter topic has no room for leaves a note there.

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use crate::harness::{
    Frame, Shape, Stack, System,
    wait::{SOON, until},
};

const TOPIC: &str = "chat.events.v1";
const DEAD_LETTERS: &str = "chat.dlq.v1";
const PARTITIONS: i32 = 6;
/// What the dead-letter topic takes at most here, in bytes.
const LETTER_BYTES_MAX: &str = "10000";
/// An unreadable record that is larger.
const RECORD_BYTES: usize = 50_000;
/// Fanout and persister put it aside each for itself.
const LETTERS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_too_large_says_where_the_original_is() {
    let system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    narrow_the_dead_letters(&system.kafka).await;
    let (partition, offset) = appends_what_nobody_can_read(&system.kafka, &room, &alice.id).await;

    let shown = client.message(&room).await;
    assert_eq!(
        (shown.header("type"), shown.number("seq")),
        ("unreadable", head + 1)
    );
    client.request(Frame::send(&room, "goes on")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);

    let letters = letters(&system.kafka).await;
    for letter in letters {
        let origin = [
            ("dlq.topic", TOPIC.to_owned()),
            ("dlq.partition", partition.to_string()),
            ("dlq.offset", offset.to_string()),
            ("dlq.truncated", RECORD_BYTES.to_string()),
        ];
        for (name, value) in origin {
            let found = letter.iter().find(|(key, _)| key == name);
            assert_eq!(found.map(|(_, value)| value), Some(&value), "{letter:?}");
        }
        assert!(letter.iter().any(|(name, _)| name == "dlq.reason"));
    }
}

async fn narrow_the_dead_letters(brokers: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("an admin client");
    let narrow = AlterConfig::new(ResourceSpecifier::Topic(DEAD_LETTERS))
        .set("max.message.bytes", LETTER_BYTES_MAX);
    let altered = admin.alter_configs([&narrow], &AdminOptions::new()).await;
    altered.expect("an answer")[0]
        .as_ref()
        .expect("a narrower topic");
}

async fn appends_what_nobody_can_read(brokers: &str, room: &str, sender: &str) -> (i32, i64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    let headers = [
        ("id", "unreadable-1"),
        ("sender", sender),
        ("type", "message"),
    ];
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            let value = Some(*value);
            headers.insert(Header { key, value })
        });
    let value = vec![0xff; RECORD_BYTES];
    let record = FutureRecord::to(TOPIC)
        .key(room)
        .payload(&value)
        .headers(headers);
    let delivery = producer.send(record, SOON).await.expect("it is appended");
    (delivery.partition, delivery.offset)
}

/// The headers of every dead letter, once all are there; none of them has a key or a value.
async fn letters(brokers: &str) -> Vec<Vec<(String, String)>> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "it-letters")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(DEAD_LETTERS, partition, Offset::Beginning)
            .expect("an offset");
    }
    reader.assign(&all).expect("an assignment");
    let mut letters = Vec::new();
    until("the dead letters", SOON, async || {
        while let Some(polled) = reader.poll(std::time::Duration::ZERO) {
            let letter = polled.expect("a record");
            assert_eq!(letter.payload().map_or(0, <[u8]>::len), 0);
            assert_eq!(letter.key().map_or(0, <[u8]>::len), 0);
            letters.push(headers_of(&letter));
        }
        (letters.len() >= LETTERS).then_some(())
    })
    .await;
    letters
}

fn headers_of(letter: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let headers = letter.headers().expect("headers");
    headers
        .iter()
        .map(|header| {
            let value = header.value.unwrap_or_default();
            let value = String::from_utf8_lossy(value).into_owned();
            (header.key.to_owned(), value)
        })
        .collect()
}
