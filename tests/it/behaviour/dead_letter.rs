//! A record nobody can read: it keeps its place in the room, and the dead-letter topic gets it as it was.

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use crate::harness::{
    Frame, System,
    wait::{SOON, until},
};

const TOPIC: &str = "chat.events.v1";
const DEAD_LETTERS: &str = "chat.dlq.v1";
const PARTITIONS: i32 = 6;
/// Fanout and persister put it aside each for itself.
const LETTERS: usize = 2;

/// No schema's frame: it begins with another octet than zero, and holds all there are.
fn value() -> Vec<u8> {
    (0..=255_u8).rev().cycle().take(1_000).collect()
}

/// A record as it lies in a topic.
#[derive(Debug, PartialEq, Eq)]
struct Raw {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

#[tokio::test]
async fn a_dead_letter_is_the_record_as_it_was_and_says_where_it_was_and_why() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    // Names that are ours and others', one of them twice, and values that are no text.
    let headers: [(&str, &[u8]); 6] = [
        ("id", b"unreadable-1"),
        ("sender", alice.id.as_bytes()),
        ("type", b"message"),
        ("twice", b"first"),
        ("twice", &[0, 0xff, 0xfe]),
        ("empty", b""),
    ];
    let original = Raw {
        key: room.clone().into_bytes(),
        value: value(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .to_vec(),
    };
    let (partition, offset) = append(&system.kafka, &original).await;

    let shown = client.message(&room).await;
    assert_eq!(
        (shown.header("type"), shown.number("seq")),
        ("unreadable", head + 1)
    );
    client.request(Frame::send(&room, "goes on")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);

    let origin = [
        ("dlq.topic", TOPIC.to_owned()),
        ("dlq.partition", partition.to_string()),
        ("dlq.offset", offset.to_string()),
    ];
    for mut letter in letters_of(&system.kafka, &original.key).await {
        let (name, reason) = letter.headers.pop().expect("headers");
        assert_eq!(name, "dlq.reason");
        assert!(!reason.is_empty());
        let added = letter.headers.split_off(original.headers.len());
        let told = origin
            .clone()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()));
        assert_eq!(added, told);
        assert_eq!(letter, original);
    }
}

/// Appends a record to the rooms' log, where any client of Kafka would; its partition and offset.
async fn append(brokers: &str, record: &Raw) -> (i32, i64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            let value = Some(value);
            headers.insert(Header { key, value })
        });
    let record = FutureRecord::to(TOPIC)
        .key(&record.key)
        .payload(&record.value)
        .headers(headers);
    let delivery = producer.send(record, SOON).await.expect("it is appended");
    (delivery.partition, delivery.offset)
}

/// The dead letters with this key, once all are there.
async fn letters_of(brokers: &str, key: &[u8]) -> Vec<Raw> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "it-whole-letters")
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
            if letter.key() != Some(key) {
                continue;
            }
            let headers = letter.headers().expect("headers").iter();
            letters.push(Raw {
                key: key.to_vec(),
                value: letter.payload().unwrap_or_default().to_vec(),
                headers: headers
                    .map(|header| {
                        let value = header.value.expect("a value");
                        (header.key.to_owned(), value.to_vec())
                    })
                    .collect(),
            });
        }
        (letters.len() >= LETTERS).then_some(())
    })
    .await;
    letters
}
